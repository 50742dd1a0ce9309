package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
)

// raw is a client that sends what it is told, also what no decent client would, and
// shows what came back as it came.
type raw struct {
	t       *testing.T
	ctx     context.Context //nolint:containedctx // the test's deadline, which every wait of this kit obeys
	url     string
	id      int
	session string // of a legacy client that has one
}

// newRaw returns a client of an era.
func newRaw(ctx context.Context, t *testing.T, url string, speaks era) *raw {
	t.Helper()
	r := &raw{t: t, ctx: ctx, url: url}
	if speaks == legacy {
		_, header := r.send("", fields{"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": fields{
			"protocolVersion": legacy.revision(), "clientInfo": fields{"name": "raw", "version": "1"}, "capabilities": fields{},
		}})
		if r.session = header.Get("Mcp-Session-Id"); r.session == "" {
			t.Fatal("no session")
		}
		r.send("", fields{"jsonrpc": "2.0", "method": "notifications/initialized"})
	}
	return r
}

// post sends a request, to which params about a name or a uri belong, and returns
// the message that answers it.
func (r *raw) post(method string, params fields) json.RawMessage {
	r.t.Helper()
	r.id++
	name, _ := params["name"].(string)
	if uri, ok := params["uri"].(string); ok {
		name = uri
	}
	if r.session == "" {
		params = maps.Clone(params)
		params["_meta"] = fields{
			"io.modelcontextprotocol/protocolVersion":    modern.revision(),
			"io.modelcontextprotocol/clientInfo":         fields{"name": "raw", "version": "1"},
			"io.modelcontextprotocol/clientCapabilities": fields{"elicitation": fields{"form": fields{}}, "sampling": fields{}},
		}
	}
	text, _ := r.send(name, fields{"jsonrpc": "2.0", "id": r.id, "method": method, "params": params})
	return text
}

// send posts a message. Of a stream it returns the last event.
func (r *raw) send(name string, message fields) (json.RawMessage, http.Header) {
	r.t.Helper()
	body, err := json.Marshal(message)
	if err != nil {
		r.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(r.ctx, http.MethodPost, r.url, bytes.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	switch method := message["method"].(string); {
	case r.session != "":
		req.Header.Set("Mcp-Session-Id", r.session)
		req.Header.Set("Mcp-Protocol-Version", legacy.revision())
	case method != "initialize":
		req.Header.Set("Mcp-Protocol-Version", modern.revision())
		req.Header.Set("Mcp-Method", method)
		if name != "" {
			req.Header.Set("Mcp-Name", name)
		}
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	if strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		for line := range bytes.Lines(text) {
			if data, ok := bytes.CutPrefix(line, []byte("data: ")); ok && len(bytes.TrimSpace(data)) > 0 {
				text = bytes.TrimSpace(data)
			}
		}
	}
	return text, res.Header
}
