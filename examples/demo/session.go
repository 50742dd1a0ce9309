package demo

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"
)

// revisions are the protocol revisions spoken, the newest last.
var revisions = []string{"2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"}

// message is any JSON-RPC message.
type message struct {
	JSONRPC string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id,omitempty"`
	Method  string          `json:"method,omitempty"`
	Params  json.RawMessage `json:"params,omitempty"`
	Result  any             `json:"result,omitempty"`
	Error   *rpcError       `json:"error,omitempty"`
}

// rpcError is an error that the client's program reads, not the model.
type rpcError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

func (e *rpcError) Error() string { return e.Message }

const (
	parseError     = -32700
	methodNotFound = -32601
	invalidParams  = -32602
)

// session is one client on one pair of pipes.
type session struct {
	*server
	calls sync.WaitGroup

	writing sync.Mutex // guards out: one message a line, whole
	out     io.Writer

	mu         sync.Mutex // guards what follows
	running    map[string]context.CancelFunc
	asked      map[string]chan message
	nextID     int
	elicits    bool
	subscribed map[string]bool
}

// serve speaks to the client until in ends, then cancels what still runs and
// waits for it. Calls run side by side; all else is answered in order.
func serve(s *server, in io.Reader, out io.Writer) error {
	c := &session{
		server: s, out: out,
		running: map[string]context.CancelFunc{}, asked: map[string]chan message{}, subscribed: map[string]bool{},
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer c.calls.Wait()
	defer cancel()
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if line = bytes.TrimSpace(line); len(line) > 0 {
			c.take(ctx, line)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("standard input: %w", err)
		}
	}
}

// take handles one line.
func (c *session) take(ctx context.Context, line []byte) {
	var in struct {
		message
		Result json.RawMessage `json:"result"`
	}
	if json.Unmarshal(line, &in) != nil {
		c.send(message{ID: json.RawMessage("null"), Error: &rpcError{parseError, "not a JSON-RPC message"}})
		return
	}
	m := in.message
	switch {
	case m.Method == "": // the answer to what we asked
		m.Result = in.Result
		c.mu.Lock()
		if answer, ok := c.asked[string(m.ID)]; ok {
			answer <- m // has room for one, and is taken out with it
			delete(c.asked, string(m.ID))
		}
		c.mu.Unlock()
	case m.ID == nil:
		c.noted(m)
	case m.Method == "tools/call":
		c.start(ctx, m)
	default:
		result, err := c.answer(m)
		c.reply(m.ID, result, err)
	}
}

// noted handles a notification.
func (c *session) noted(m message) {
	if m.Method != "notifications/cancelled" {
		return
	}
	var p struct {
		RequestID json.RawMessage `json:"requestId"`
	}
	if json.Unmarshal(m.Params, &p) != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if cancel := c.running[string(p.RequestID)]; cancel != nil {
		cancel()
	}
}

// answer handles a request that needs no time.
func (c *session) answer(m message) (any, error) {
	switch m.Method {
	case "initialize":
		return c.initialize(m.Params)
	case "ping", "logging/setLevel":
		return struct{}{}, nil
	case "tools/list":
		return map[string]any{"tools": list(c.tools)}, nil
	case "prompts/list":
		return map[string]any{"prompts": list(c.prompts)}, nil
	case "prompts/get":
		return c.getPrompt(m.Params)
	case "completion/complete":
		return c.completion(m.Params)
	}
	if c.read != nil {
		switch m.Method {
		case "resources/list":
			return map[string]any{"resources": list(c.resources())}, nil
		case "resources/templates/list":
			return map[string]any{"resourceTemplates": list(c.templates)}, nil
		case "resources/read", "resources/subscribe", "resources/unsubscribe":
			return c.resource(m.Method, m.Params)
		}
	}
	return nil, &rpcError{methodNotFound, "method not found: " + strconv.Quote(m.Method)}
}

func (c *session) initialize(params json.RawMessage) (any, error) {
	var p struct {
		ProtocolVersion string `json:"protocolVersion"`
		Capabilities    struct {
			Elicitation json.RawMessage `json:"elicitation"`
		} `json:"capabilities"`
	}
	if err := json.Unmarshal(params, &p); err != nil {
		return nil, &rpcError{invalidParams, "initialize: " + err.Error()}
	}
	c.mu.Lock()
	c.elicits = p.Capabilities.Elicitation != nil
	c.mu.Unlock()
	version := revisions[len(revisions)-1]
	if slices.Contains(revisions, p.ProtocolVersion) {
		version = p.ProtocolVersion
	}
	capabilities := map[string]any{"tools": struct{}{}, "logging": struct{}{}}
	if c.prompts != nil {
		capabilities["prompts"] = struct{}{}
	}
	if c.complete != nil {
		capabilities["completions"] = struct{}{}
	}
	if c.read != nil {
		capabilities["resources"] = map[string]bool{"subscribe": true, "listChanged": true}
	}
	return map[string]any{
		"protocolVersion": version,
		"capabilities":    capabilities,
		"serverInfo":      map[string]string{"name": c.name, "title": c.title, "version": "1.0.0"},
		"instructions":    c.instructions,
	}, nil
}

// reply answers the request under id.
func (c *session) reply(id json.RawMessage, result any, err error) {
	if err == nil {
		c.send(message{ID: id, Result: result})
		return
	}
	e := new(rpcError)
	if !errors.As(err, &e) {
		e = &rpcError{-32603, err.Error()}
	}
	c.send(message{ID: id, Error: e})
}

func (c *session) notify(method string, params any) {
	raw, err := json.Marshal(params)
	if err != nil { // only plain structs and maps come here
		panic(err)
	}
	c.send(message{Method: method, Params: raw})
}

// send writes one message on one line.
func (c *session) send(m message) {
	m.JSONRPC = "2.0"
	raw, err := json.Marshal(m)
	if err != nil { // only what this package made, or RawMessages that were read
		panic(err)
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	_, _ = c.out.Write(append(raw, '\n')) // a client that is gone also ends the input
}
