package demo

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"
)

// Client is a small MCP client over streamable HTTP (MCP 2025-11-25
// basic/transports): enough to call a tool and hear of its progress. It is for
// one goroutine.
type Client struct {
	http              *http.Client
	endpoint          string
	session, revision string
	lastID            int
}

// Dial shakes hands with the server at endpoint. The session ends with Close.
func Dial(ctx context.Context, endpoint string) (*Client, error) {
	c := &Client{http: &http.Client{Transport: new(http.Transport)}, endpoint: endpoint}
	var hello struct {
		ProtocolVersion string `json:"protocolVersion"`
	}
	err := c.request(ctx, "initialize", map[string]any{
		"protocolVersion": revisions[len(revisions)-1],
		"capabilities":    struct{}{},
		"clientInfo":      map[string]string{"name": "interlock-demo", "version": "1.0.0"},
	}, nil, &hello)
	if err == nil {
		c.revision = hello.ProtocolVersion
		err = c.post(ctx, message{Method: "notifications/initialized"}, nil)
	}
	if err != nil {
		c.http.CloseIdleConnections()
		return nil, err
	}
	return c, nil
}

// Call calls a tool and returns its text. progress, which may be nil, hears how
// far the call is. The error is also what the tool says of its failure.
func (c *Client) Call(ctx context.Context, tool string, arguments json.RawMessage, progress func(done, total float64, text string)) (string, error) {
	var r result
	err := c.request(ctx, "tools/call", map[string]any{
		"name": tool, "arguments": arguments, "_meta": map[string]any{"progressToken": "1"},
	}, progress, &r)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, block := range r.Content {
		b.WriteString(block.Text)
	}
	if r.IsError {
		return "", errors.New(b.String())
	}
	return b.String(), nil
}

// Close ends the session.
func (c *Client) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if req, err := http.NewRequestWithContext(ctx, http.MethodDelete, c.endpoint, nil); err == nil && c.session != "" {
		c.headers(req)
		if res, err := c.http.Do(req); err == nil {
			_ = res.Body.Close()
		}
	}
	c.http.CloseIdleConnections()
}

// request sends a request and decodes its result into out.
func (c *Client) request(ctx context.Context, method string, params any, progress func(done, total float64, text string), out any) error {
	raw, err := json.Marshal(params)
	if err != nil {
		return err
	}
	c.lastID++
	id := fmt.Sprint(c.lastID)
	answered := false
	err = c.post(ctx, message{ID: json.RawMessage(id), Method: method, Params: raw}, func(raw []byte) error {
		var m struct {
			ID     json.RawMessage
			Method string
			Params struct {
				Progress, Total float64
				Message         string
			}
			Result json.RawMessage
			Error  *rpcError
		}
		if err := json.Unmarshal(raw, &m); err != nil {
			return fmt.Errorf("answer of %s: %w", c.endpoint, err)
		}
		switch {
		case m.Method == "notifications/progress" && progress != nil:
			progress(m.Params.Progress, m.Params.Total, m.Params.Message)
		case m.Method == "" && string(m.ID) == id && m.Error != nil:
			return m.Error
		case m.Method == "" && string(m.ID) == id:
			answered = true
			return json.Unmarshal(m.Result, out)
		}
		return nil
	})
	if err == nil && !answered {
		err = fmt.Errorf("%s ended its answer to %s too early", c.endpoint, method)
	}
	return err
}

// post sends a message and gives each message of the answer to take: one in a
// JSON body, or one in each event of a stream.
func (c *Client) post(ctx context.Context, m message, take func([]byte) error) error {
	m.JSONRPC = "2.0"
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	c.headers(req)
	res, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if id := res.Header.Get("Mcp-Session-Id"); id != "" {
		c.session = id
	}
	switch kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type")); {
	case res.StatusCode == http.StatusAccepted:
		return nil
	case kind == "text/event-stream":
		return events(res.Body, take)
	case kind == "application/json" && take != nil:
		raw, err := io.ReadAll(res.Body)
		if err != nil {
			return err
		}
		return take(raw)
	}
	return fmt.Errorf("%s answers with HTTP status %s", c.endpoint, res.Status)
}

func (c *Client) headers(req *http.Request) {
	if c.session != "" {
		req.Header.Set("Mcp-Session-Id", c.session)
	}
	if c.revision != "" {
		req.Header.Set("Mcp-Protocol-Version", c.revision)
	}
}

// events gives the data of each server-sent event to take.
func events(r io.Reader, take func([]byte) error) error {
	var data []byte
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		line = bytes.TrimRight(line, "\r\n")
		if value, ok := bytes.CutPrefix(line, []byte("data:")); ok {
			data = append(append(data, bytes.TrimPrefix(value, []byte(" "))...), '\n')
		}
		if (len(line) == 0 || err != nil) && len(bytes.TrimSpace(data)) > 0 && take != nil {
			if err := take(data); err != nil {
				return err
			}
			data = data[:0]
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
