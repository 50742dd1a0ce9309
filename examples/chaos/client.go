package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// verdict is what a client was told of a call.
type verdict int

const (
	answered verdict = iota // by the server
	refused                 // executed: no
	unknown                 // executed: unknown
	quit                    // the client itself cancelled or went away
	lost                    // nothing, within the client's patience
)

// client is one MCP client of either era over HTTP. It is not safe for
// concurrent use, but for cancel.
type client struct {
	name    string
	url     string
	modern  bool
	web     *http.Client
	session string
	// patience is how long it waits for an answer.
	patience time.Duration
	last     int // the id of its last request: all clients use the same
}

// connect begins a session, which a modern client has none of.
func (c *client) connect(ctx context.Context) error {
	if c.modern {
		return nil
	}
	res, err := c.post(ctx, `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"chaos","version":"1"}}}`, "", "")
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	c.session = res.Header.Get("Mcp-Session-Id")
	if c.session == "" {
		return fmt.Errorf("initialize: %s and no session", res.Status)
	}
	return c.notify(ctx, `{"jsonrpc":"2.0","method":"notifications/initialized"}`)
}

func (c *client) notify(ctx context.Context, body string) error {
	res, err := c.post(ctx, body, "", "")
	if err == nil {
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
	}
	return err
}

// cancel takes back the request with an id. Modern clients close the connection
// instead.
func (c *client) cancel(ctx context.Context, id int) error {
	return c.notify(ctx, fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":%d,"reason":"enough"}}`, id))
}

// post sends a body; method and name are for the headers of a modern request.
func (c *client) post(ctx context.Context, body, method, name string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	if c.modern {
		req.Header.Set("Mcp-Protocol-Version", "2026-07-28")
		req.Header.Set("Mcp-Method", method)
		if name != "" {
			req.Header.Set("Mcp-Name", name)
		}
	}
	if c.session != "" {
		req.Header.Set("Mcp-Session-Id", c.session)
		req.Header.Set("Mcp-Protocol-Version", "2025-11-25")
	}
	return c.web.Do(req)
}

// request is the body of the next request and its id. params are the members of
// its params, without braces; token adds a progress token.
func (c *client) request(method, params string, token bool) (body string, id int) {
	c.last++
	meta := ""
	if token {
		meta = fmt.Sprintf(`"progressToken":%d`, c.last)
	}
	if c.modern {
		if meta != "" {
			meta += ","
		}
		meta += `"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}`
	}
	if params != "" {
		params = "," + params
	}
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":%q,"params":{"_meta":{%s}%s}}`, c.last, method, meta, params), c.last
}

// message is what of an answer matters.
type message struct {
	ID     json.RawMessage
	Method string
	Params struct {
		ProgressToken json.RawMessage
		Message       string
	}
	Result *struct {
		StructuredContent struct{ Nonce string }
		IsError           bool
		Tools             []struct{ Name string }
		Meta              struct {
			Error *fault `json:"interlock/error"`
		} `json:"_meta"`
	}
	Error *struct {
		Code    int
		Message string
		Data    *fault
	}
}

// fault is what the gateway says of a call that it could not make.
type fault struct{ Source, Reason, Executed string }

// answers reads all messages of a response.
func answers(res *http.Response) (all []message, err error) {
	defer res.Body.Close()
	if !strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		body, err := io.ReadAll(res.Body)
		if err != nil || len(bytes.TrimSpace(body)) == 0 {
			return nil, err
		}
		var m message
		if err := json.Unmarshal(body, &m); err != nil {
			return nil, fmt.Errorf("%s: %w in %.200q", res.Status, err, body)
		}
		return []message{m}, nil
	}
	err = eachEvent(res.Body, func(m message) { all = append(all, m) })
	return all, err
}

// eachEvent reads a stream of events to its end.
func eachEvent(body io.Reader, f func(message)) error {
	in := bufio.NewReader(body)
	for {
		line, err := in.ReadBytes('\n')
		if data, ok := bytes.CutPrefix(line, []byte("data:")); ok && len(bytes.TrimSpace(data)) > 0 {
			var m message
			if err := json.Unmarshal(data, &m); err != nil {
				return fmt.Errorf("event %.200q: %w", line, err)
			}
			f(m)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// exchange sends a request and reads all that is said in answer to it.
func (c *client) exchange(ctx context.Context, body, method, name string) ([]message, error) {
	res, err := c.post(ctx, body, method, name)
	if err != nil {
		return nil, err
	}
	return answers(res)
}
