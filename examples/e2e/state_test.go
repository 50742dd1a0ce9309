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
	"time"
)

// raw is a client of 2026-07-28 that sends what it is told, also what no decent
// client would.
type raw struct {
	t   *testing.T
	ctx context.Context //nolint:containedctx // the test's deadline, which every wait of this kit obeys
	url string
	id  int
}

// answered is what came back.
type answered struct {
	Result struct {
		ResultType    string
		RequestState  string
		InputRequests map[string]json.RawMessage
		Content       []struct{ Text string }
		IsError       bool
	}
	Error *rpcError
}

// post sends a request; more are members of its params.
func (r *raw) post(method, name string, more fields) answered {
	r.t.Helper()
	r.id++
	params := fields{"name": name, "_meta": fields{
		"io.modelcontextprotocol/protocolVersion":    modern.revision(),
		"io.modelcontextprotocol/clientInfo":         fields{"name": "raw", "version": "1"},
		"io.modelcontextprotocol/clientCapabilities": fields{"elicitation": fields{"form": fields{}}, "sampling": fields{}},
	}}
	maps.Copy(params, more)
	body, err := json.Marshal(fields{"jsonrpc": "2.0", "id": r.id, "method": method, "params": params})
	if err != nil {
		r.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(r.ctx, http.MethodPost, r.url, bytes.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	for key, value := range map[string]string{
		"Content-Type": "application/json", "Accept": "application/json, text/event-stream",
		"Mcp-Protocol-Version": modern.revision(), "Mcp-Method": method, "Mcp-Name": name,
	} {
		req.Header.Set(key, value)
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
			if data, ok := bytes.CutPrefix(line, []byte("data: ")); ok {
				text = data // the answer is the last
			}
		}
	}
	var a answered
	if err := json.Unmarshal(text, &a); err != nil {
		r.t.Fatalf("%s %s: %v in %s", method, name, err, text)
	}
	return a
}

// ask calls a tool that requires a form to be filled in, and returns what a retry
// of the call needs.
func (r *raw) ask(name string, arguments fields) fields {
	r.t.Helper()
	a := r.post("tools/call", name, fields{"arguments": arguments})
	if a.Result.ResultType != "input_required" || a.Result.RequestState == "" || len(a.Result.InputRequests) != 1 {
		r.t.Fatalf("%s answered %+v, want that input is required", name, a)
	}
	answers := fields{}
	for key := range a.Result.InputRequests {
		answers[key] = fields{"action": "accept", "content": fields{"name": "Ada", "ok": true}}
	}
	return fields{"arguments": arguments, "requestState": a.Result.RequestState, "inputResponses": answers}
}

// with is f with another value for a key.
func with(f fields, key string, value any) fields {
	f = maps.Clone(f)
	f[key] = value
	return f
}

// TestRequestState brings request states back in ways that are not allowed: changed,
// twice, and with another request than the one they were given to. Each is refused
// in the same words, whether the gateway keeps a call open behind them, as for a
// legacy server, or passes on a server's own.
func TestRequestState(t *testing.T) {
	t.Parallel()
	for _, speaks := range []struct {
		name, tool, other, want string
		server                  func(ctx context.Context, t *testing.T, dir string) fields
	}{
		{"legacy", "s__trigger-elicitation-request", "s__echo", "Name: Ada", everythingProcess},
		{"modern", "s__test_input_required_result_request_state", "s__test_input_required_result_tampered_state", "state-ok", func(ctx context.Context, t *testing.T, dir string) fields {
			t.Helper()
			return referenceHTTP(ctx, t, dir, modern)
		}},
	} {
		t.Run(speaks.name, func(t *testing.T) {
			t.Parallel()
			ctx, dir := deadline(t, 2*time.Minute), home(t)
			g := newGateway(ctx, t, dir, fields{"s": speaks.server(ctx, t, dir)})
			r := &raw{t: t, ctx: ctx, url: g.url()}
			none := fields{}

			retry := r.ask(speaks.tool, none)
			state := retry["requestState"].(string)
			flip := map[bool]string{true: "B", false: "A"}[strings.HasPrefix(state, "A")]
			refusals := map[string]answered{
				"changed":        r.post("tools/call", speaks.tool, with(retry, "requestState", flip+state[1:])),
				"cut":            r.post("tools/call", speaks.tool, with(retry, "requestState", state[:len(state)-4])),
				"made up":        r.post("tools/call", speaks.tool, with(retry, "requestState", "round=2")),
				"another tool":   r.post("tools/call", speaks.other, retry),
				"other params":   r.post("tools/call", speaks.tool, with(retry, "arguments", fields{"a": 1})),
				"another method": r.post("prompts/get", "s__simple-prompt", with(retry, "arguments", none)),
			}
			// None of that used it up.
			if a := r.post("tools/call", speaks.tool, retry); len(a.Result.Content) == 0 || !strings.Contains(text(a), speaks.want) {
				t.Errorf("the rightful retry was answered %+v", a)
			}
			if speaks.name == "legacy" { // the call was parked, and is over
				refusals["again"] = r.post("tools/call", speaks.tool, retry)
			}
			same := refusals["changed"]
			for how, a := range refusals {
				if a.Error == nil || a.Error.Code != -32602 {
					t.Errorf("%s: answered %+v", how, a)
				} else if how != "another method" && a.Error.Message != same.Error.Message {
					t.Errorf("%s: refused with %q, and another with %q", how, a.Error.Message, same.Error.Message)
				}
			}
		})
	}
}

// text is the text of a tool's result.
func text(a answered) string {
	var b strings.Builder
	for _, c := range a.Result.Content {
		b.WriteString(c.Text + "\n")
	}
	return b.String()
}
