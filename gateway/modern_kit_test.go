package gateway

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// caller is a client of 2026-07-28 over HTTP.
type caller struct {
	*client
	capabilities string
	meta         string // more members of _meta, each with a comma before it
}

func (r *rig) caller(capabilities string) *caller {
	return &caller{client: &client{r: r, path: "/mcp"}, capabilities: capabilities}
}

// body is a request; params is a JSON object.
func (c *caller) body(id, method, params string) string {
	meta := fmt.Sprintf(`{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":%s%s}`, c.capabilities, c.meta)
	if params != "{}" {
		meta += ","
	}
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"method":%q,"params":%s}`, id, method, meta+params[1:])
}

// ask makes an HTTP request of a body with the headers that belong to it.
func (c *caller) ask(ctx context.Context, body string) *http.Request {
	c.r.t.Helper()
	req := c.request(ctx, http.MethodPost, body)
	m, err := jsonrpc.Parse([]byte(body))
	if err != nil {
		return req
	}
	req.Header.Set("Mcp-Protocol-Version", "2026-07-28")
	req.Header.Set("Mcp-Method", m.MethodName())
	switch {
	case m.MethodName() == "resources/read":
		req.Header.Set("Mcp-Name", m.Text(m.URI))
	case m.Name.Ok():
		req.Header.Set("Mcp-Name", m.Text(m.Name))
	}
	return req
}

// call posts a request and reads the whole answer.
func (c *caller) call(method, params string) reply {
	c.r.t.Helper()
	return c.do(c.ask(c.r.t.Context(), c.body("1", method, params)))
}

// tool calls a tool.
func (c *caller) tool(name, more string) reply {
	c.r.t.Helper()
	return c.call("tools/call", fmt.Sprintf(`{"name":%q,"arguments":{}%s}`, name, more))
}

// required reads an answer that requires input: what is asked, by key, and the
// state to bring back.
func (r reply) required(t *testing.T) (asked map[string]string, state string) {
	t.Helper()
	var m struct {
		Result struct {
			ResultType    string
			InputRequests map[string]json.RawMessage
			RequestState  string
		}
	}
	if err := json.Unmarshal([]byte(r.body), &m); err != nil || m.Result.ResultType != "input_required" {
		t.Fatalf("input is not required: %d %s", r.status, r.body)
	}
	asked = make(map[string]string)
	for key, raw := range m.Result.InputRequests {
		asked[key] = string(raw)
	}
	return asked, m.Result.RequestState
}

// retry are the members that a retry adds.
func retry(state, responses string) string {
	return fmt.Sprintf(`,"requestState":%q,"inputResponses":%s`, state, responses)
}

func has(t *testing.T, what, got string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(got, p) {
			t.Errorf("%s: %s\nhas no %s", what, got, p)
		}
	}
}

// pipeClient is a client on stdio.
type pipeClient struct {
	in    io.WriteCloser
	lines *bufio.Scanner
}

// pipe serves a client on stdio until the test ends.
func (r *rig) pipe(t *testing.T) *pipeClient {
	t.Helper()
	in, send := io.Pipe()
	recv, out := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = r.ServeStdio(t.Context(), in, out)
		out.Close()
	}()
	t.Cleanup(func() { send.Close(); recv.Close(); <-done })
	return &pipeClient{send, linesOf(t, recv)}
}

// linesOf are the lines that come on recv, for five minutes: then a test that hangs
// says where.
func linesOf(t *testing.T, recv *io.PipeReader) *bufio.Scanner {
	t.Helper()
	if !inBubble() {
		over := time.AfterFunc(5*time.Minute, func() { recv.Close() })
		t.Cleanup(func() { over.Stop() })
	}
	return bufio.NewScanner(recv)
}

func (p *pipeClient) say(line string) { _, _ = io.WriteString(p.in, line+"\n") }

func (p *pipeClient) hear() string { p.lines.Scan(); return p.lines.Text() }
