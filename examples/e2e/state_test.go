package e2e

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"strings"
	"testing"
	"time"
)

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

// try sends a request about a name; more are members of its params.
func (r *raw) try(method, name string, more fields) (a answered) {
	r.t.Helper()
	params := fields{"name": name}
	maps.Copy(params, more)
	text := r.post(method, params)
	if err := json.Unmarshal(text, &a); err != nil {
		r.t.Fatalf("%s %s: %v in %s", method, name, err, text)
	}
	return a
}

// ask calls a tool that requires a form to be filled in, and returns what a retry
// of the call needs.
func (r *raw) ask(name string, arguments fields) fields {
	r.t.Helper()
	a := r.try("tools/call", name, fields{"arguments": arguments})
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
			r := newRaw(ctx, t, g.url(), modern)
			none := fields{}

			retry := r.ask(speaks.tool, none)
			state := retry["requestState"].(string)
			flip := map[bool]string{true: "B", false: "A"}[strings.HasPrefix(state, "A")]
			refusals := map[string]answered{
				"changed":        r.try("tools/call", speaks.tool, with(retry, "requestState", flip+state[1:])),
				"cut":            r.try("tools/call", speaks.tool, with(retry, "requestState", state[:len(state)-4])),
				"made up":        r.try("tools/call", speaks.tool, with(retry, "requestState", "round=2")),
				"another tool":   r.try("tools/call", speaks.other, retry),
				"other params":   r.try("tools/call", speaks.tool, with(retry, "arguments", fields{"a": 1})),
				"another method": r.try("prompts/get", "s__simple-prompt", with(retry, "arguments", none)),
			}
			// None of that used it up.
			if a := r.try("tools/call", speaks.tool, retry); len(a.Result.Content) == 0 || !strings.Contains(text(a), speaks.want) {
				t.Errorf("the rightful retry was answered %+v", a)
			}
			if speaks.name == "legacy" { // the call was parked, and is over
				refusals["again"] = r.try("tools/call", speaks.tool, retry)
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

// TestRequestStateExpires comes back too late, when the call that was kept open has
// been cancelled. It takes the five minutes that a person has. (A state that is only
// passed on costs nothing, and is good for longer.)
func TestRequestStateExpires(t *testing.T) {
	if os.Getenv("INTERLOCK_SOAK") == "" {
		t.Skip("INTERLOCK_SOAK=1 runs it")
	}
	t.Parallel()
	ctx, dir := deadline(t, 8*time.Minute), home(t)
	g := newGateway(ctx, t, dir, fields{"s": everythingStdio()})
	r := newRaw(ctx, t, g.url(), modern)
	const name = "s__trigger-elicitation-request"
	retry := r.ask(name, fields{})
	late := time.NewTimer(5*time.Minute + 10*time.Second)
	defer late.Stop()
	select {
	case <-late.C:
	case <-ctx.Done():
		t.Fatal(context.Cause(ctx))
	}
	a := r.try("tools/call", name, retry)
	never := r.try("tools/call", name, with(retry, "requestState", "made up"))
	if a.Error == nil || never.Error == nil || a.Error.Message != never.Error.Message {
		t.Errorf("answered %+v, and with a state that was never given %+v", a, never)
	}
	if a := r.try("tools/call", "s__echo", fields{"arguments": fields{"message": "after"}}); text(a) != "Echo: after\n" {
		t.Errorf("echo answered %+v", a)
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
