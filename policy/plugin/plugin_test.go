//go:build unix

package plugin

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// What a plugin decides before a call, and what becomes of it.
func TestBefore(t *testing.T) {
	p, w := started(t, config(t))
	for _, c := range []struct {
		tool, arguments string // the arguments after it, "" for those before
		reason          string // of a denial
		wrong           string // in the error of one that is undecided
		notes           []policy.Note
	}{
		{tool: "allow"},
		{tool: "deny", reason: "not today", notes: []policy.Note{{Name: "why", Value: "it was told to"}}},
		{tool: "change", arguments: `{"n":12345678901234567890, "ü":1.0}`},
		{tool: "note", notes: []policy.Note{{Name: "seen", Value: "yes"}}},
		{tool: "broken", wrong: "no JSON object"},
		{tool: "list", wrong: "no JSON object"},
		{tool: "error", wrong: "no idea"},
		{tool: "panic", wrong: "panic"},
	} {
		t.Run(c.tool, func(t *testing.T) {
			const raw = `{"big":12345678901234567890,"twice":1.50}`
			call := request(t, c.tool, raw)
			err := p.Before(t.Context(), call)
			d, denied := errors.AsType[*policy.Denial](err)
			switch {
			case c.wrong != "":
				if !undecided(err) || !strings.Contains(err.Error(), c.wrong) {
					t.Errorf("error %v, want one with %q", err, c.wrong)
				}
			case c.reason != "":
				if !denied || d.Reason != c.reason || d.RetryAfter != 1500*time.Millisecond {
					t.Errorf("error %v, want the denial %q", err, c.reason)
				}
			case err != nil:
				t.Error(err)
			}
			want := c.arguments
			if want == "" {
				want = raw
			}
			if got := string(call.Arguments()); got != want {
				t.Errorf("arguments %s, want %s", got, want)
			}
			if diff := cmp.Diff(c.notes, call.Notes()); diff != "" {
				t.Error(diff)
			}
		})
	}
	w.log.await(t, "boom") // what it writes comes in its own time
}

// A plugin is told all that there is, byte for byte.
func TestCallAsToldToPlugins(t *testing.T) {
	p, _ := started(t, config(t))
	call := request(t, "tell", `{"n": 12345678901234567890}`)
	if err := p.Before(t.Context(), call); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Call
		Arguments, Raw string
	}
	if err := json.Unmarshal(call.Arguments(), &got); err != nil {
		t.Fatal(err)
	}
	want := Call{
		ID: 1, Principal: *call.Principal, Session: call.Session, Profile: call.Profile, Method: call.Method, Upstream: call.Upstream,
		Tags: call.Tags, Target: call.Target, Exposed: call.Exposed,
		Definition: &Definition{Raw: call.Definition.Raw, Hash: call.Definition.Hash(), Trusted: true},
	}
	if diff := cmp.Diff(want, got.Call, cmpopts.IgnoreUnexported(Call{})); diff != "" {
		t.Error(diff)
	}
	if got.Arguments != `{"n": 12345678901234567890}` || got.Raw != string(call.Definition.Raw) {
		t.Errorf("arguments %s, definition %s", got.Arguments, got.Raw)
	}
}

// After sees results and errors, and may refuse and replace both.
func TestAfter(t *testing.T) {
	p, _ := started(t, config(t))
	const result, failure = `{"content":[{"type":"text","text":"x"}],"n":1e400}`, `{"code":-1,"message":"x"}`
	for _, c := range []struct {
		tool, answer, want, reason, wrong string
	}{
		{"allow", `{"jsonrpc":"2.0","id":1,"result":` + result + `}`, result, "", ""},
		{"after-deny", `{"jsonrpc":"2.0","id":1,"result":` + result + `}`, result, "no such answer", ""},
		{"after-change", `{"jsonrpc":"2.0","id":1,"result":` + result + `}`, `{"content":[],"n":12345678901234567890}`, "", ""},
		{"after-change", `{"jsonrpc":"2.0","id":1,"error":` + failure + `}`, `{"content":[],"n":12345678901234567890}`, "", ""},
		{"after-tell", `{"jsonrpc":"2.0","id":1,"result":` + result + `}`, result, result + `||{"a":1}`, ""},
		{"after-tell", `{"jsonrpc":"2.0","id":1,"error":` + failure + `}`, failure, `|` + failure + `|{"a":1}`, ""},
		{"after-broken", `{"jsonrpc":"2.0","id":1,"result":` + result + `}`, result, "", "no JSON object"},
	} {
		t.Run(c.tool, func(t *testing.T) {
			a := answer(t, c.answer)
			err := p.After(t.Context(), request(t, c.tool, `{"a":1}`), a)
			d, denied := errors.AsType[*policy.Denial](err)
			switch {
			case c.wrong != "" && (!undecided(err) || !strings.Contains(err.Error(), c.wrong)):
				t.Errorf("error %v, want one with %q", err, c.wrong)
			case c.reason != "" && (!denied || d.Reason != c.reason):
				t.Errorf("error %v, want the denial %q", err, c.reason)
			case c.wrong == "" && c.reason == "" && err != nil:
				t.Error(err)
			}
			got := string(a.Result()) + string(a.Failure())
			if got != c.want {
				t.Errorf("answer %s, want %s", got, c.want)
			}
		})
	}
}

// A call is known again by its number.
func TestNumbers(t *testing.T) {
	p, _ := started(t, config(t))
	var calls []*policy.Call
	for range 3 {
		calls = append(calls, request(t, "after-id", "{}"))
		if err := p.Before(t.Context(), calls[len(calls)-1]); err != nil {
			t.Fatal(err)
		}
	}
	for i, call := range calls {
		err := p.After(t.Context(), call, answer(t, `{"jsonrpc":"2.0","id":1,"result":{}}`))
		if d, _ := errors.AsType[*policy.Denial](err); d == nil || d.Reason != strconv.Itoa(i+1) {
			t.Errorf("call %d: %v, want its number", i+1, err)
		}
	}
}

// What servers send of themselves is only shown to plugins that want to see it.
func TestReceived(t *testing.T) {
	c := config(t)
	c.Config = map[string]any{"hooks": "ba"}
	without, _ := started(t, c)
	if _, ok := without.(policy.Inbound); ok {
		t.Error("a plugin that does not want what servers send is asked about it")
	}
	c.Config = map[string]any{"hooks": "r"}
	p, _ := started(t, c)
	in, ok := p.(policy.Inbound)
	if !ok {
		t.Fatal("a plugin that wants what servers send is not asked about it")
	}
	message := func(params string) *policy.ServerMessage {
		m, err := jsonrpc.ParseServer([]byte(`{"jsonrpc":"2.0","method":"notifications/message","params":` + params + `}`))
		if err != nil {
			t.Fatal(err)
		}
		return &policy.ServerMessage{Upstream: "x", Message: m, Call: request(t, "allow", "{}")}
	}
	m := message(`{"data":"fine"}`)
	if err := in.Received(t.Context(), m); err != nil || m.Changed() {
		t.Errorf("error %v, changed %v", err, m.Changed())
	}
	if err := in.Received(t.Context(), message(`{"data":"secret"}`)); err == nil || undecided(err) {
		t.Errorf("error %v, want a denial", err)
	}
	m = message(`{"data":"change"}`)
	if err := in.Received(t.Context(), m); err != nil || string(m.Params()) != `{"changed":true}` {
		t.Errorf("error %v, params %s", err, m.Params())
	}
	// What it does not want costs nothing: a hook that would hang is not asked.
	if err := p.Before(t.Context(), request(t, "hang", "{}")); err != nil {
		t.Error(err)
	}
}

// A plugin has no environment but its own, and none of ours.
func TestEnvironment(t *testing.T) {
	t.Setenv("INTERLOCK_TEST_OURS", "secret")
	c := config(t)
	c.Env["OWN"] = "yes"
	p, _ := started(t, c)
	call := request(t, "environ", "{}")
	if err := p.Before(t.Context(), call); err != nil {
		t.Fatal(err)
	}
	var got struct{ Environ []string }
	if err := json.Unmarshal(call.Arguments(), &got); err != nil {
		t.Fatal(err)
	}
	own := false
	for _, kv := range got.Environ {
		name, value, _ := strings.Cut(kv, "=")
		own = own || name == "OWN" && value == "yes"
		switch {
		case strings.HasPrefix(name, "PLUGIN_"), name == CookieKey, name == testMode, name == "GORACE", name == "OWN", name == "INTERLOCK_CHILD":
		default:
			t.Errorf("it has %s", kv)
		}
	}
	if !own {
		t.Error("it lacks what it was given")
	}
}
