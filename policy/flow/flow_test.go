package flow

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/policy/policytest"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func made(t testing.TB, c Config) *Policy {
	t.Helper()
	return policytest.New(t, &c, nil).(*Policy)
}

// upstreams have these tags.
var upstreams = map[string][]string{
	"files": {"private"}, "issues": {"untrusted", "other"}, "web": {"untrusted"}, "mail": {"private", "untrusted", "egress"},
	"chat": {"egress"}, "clock": nil,
}

func someone(subject string) *policy.Principal {
	if subject == "" {
		return new(policy.Principal)
	}
	return &policy.Principal{Issuer: "https://id.example", Subject: subject}
}

// call returns a call as "subject/session upstream tool", where all but the
// upstream may be left out.
func call(t testing.TB, what string) *policy.Call {
	t.Helper()
	words := strings.Fields(what)
	who, session, _ := strings.Cut(words[0], "/")
	c := &policy.Call{Principal: someone(who), Session: session, Method: "tools/call", Upstream: words[1], Tags: upstreams[words[1]], Target: "get"}
	if len(words) > 2 {
		c.Target = words[2]
	}
	if strings.Contains(c.Target, "/") {
		c.Method, c.Target = c.Target, ""
	}
	return c
}

// do makes a call from its beginning to its answer, and reports whether it was
// refused.
func do(t testing.TB, p *Policy, what string) error {
	t.Helper()
	c := call(t, what)
	if err := p.Before(t.Context(), c); err != nil {
		return err
	}
	return p.After(t.Context(), c, &policy.Answer{})
}

func TestFlow(t *testing.T) {
	for name, c := range map[string]struct {
		Config
		calls []string // the last is the one that counts
		want  string   // the reason it is refused with, "" if it passes
	}{
		"nothing has met":            {Config{}, []string{"a/1 chat"}, ""},
		"private alone":              {Config{}, []string{"a/1 files", "a/1 chat"}, ""},
		"untrusted alone":            {Config{}, []string{"a/1 issues", "a/1 chat"}, ""},
		"they met":                   {Config{}, []string{"a/1 files", "a/1 issues", "a/1 chat"}, `private content of "files" and untrusted content of "issues" have been read, so nothing may leave through "chat"`},
		"they met the other way":     {Config{}, []string{"a/1 issues", "a/1 files", "a/1 chat"}, `private content of "files" and untrusted content of "issues" have been read, so nothing may leave through "chat"`},
		"in one answer":              {Config{}, []string{"a/1 mail", "a/1 chat"}, `private content of "mail" and untrusted content of "mail" have been read, so nothing may leave through "chat"`},
		"of the same upstream":       {Config{}, []string{"a/1 mail", "a/1 mail"}, `private content of "mail" and untrusted content of "mail" have been read, so nothing may leave through "mail"`},
		"two of a kind":              {Config{}, []string{"a/1 files", "a/1 issues", "a/1 web", "a/1 chat"}, `private content of "files" and untrusted content of "issues" and "web" have been read, so nothing may leave through "chat"`},
		"what does not leave passes": {Config{}, []string{"a/1 files", "a/1 issues", "a/1 files"}, ""},
		"without tags it passes":     {Config{}, []string{"a/1 files", "a/1 issues", "a/1 clock"}, ""},
		"another principal":          {Config{}, []string{"a/1 files", "a/1 issues", "b/1 chat"}, ""},
		"of two principals":          {Config{}, []string{"a/1 files", "b/1 issues", "a/1 chat"}, ""},
		"another session":            {Config{}, []string{"a/1 files", "a/2 issues", "a/3 chat"}, `private content of "files" and untrusted content of "issues" have been read, so nothing may leave through "chat"`},
		"another session, by scope":  {Config{Scope: "session"}, []string{"a/1 files", "a/2 issues", "a/1 chat"}, ""},
		"one session, by scope":      {Config{Scope: "session"}, []string{"a/1 files", "a/1 issues", "a/1 chat"}, `private content of "files" and untrusted content of "issues" have been read, so nothing may leave through "chat"`},
		"no sessions, by scope":      {Config{Scope: "session"}, []string{"a files", "a issues", "a chat"}, `private content of "files" and untrusted content of "issues" have been read, so nothing may leave through "chat"`},
		"the anonymous are one":      {Config{}, []string{"/1 files", "/2 issues", "/3 chat"}, `private content of "files" and untrusted content of "issues" have been read, so nothing may leave through "chat"`},
		"private is enough":          {Config{Require: []string{"private"}}, []string{"a/1 files", "a/1 chat"}, `private content of "files" has been read, so nothing may leave through "chat"`},
		"untrusted is enough":        {Config{Require: []string{"untrusted"}}, []string{"a/1 issues", "a/1 chat"}, `untrusted content of "issues" has been read, so nothing may leave through "chat"`},
		"other names of tags":        {Config{Tags: Tags{Untrusted: "other"}}, []string{"a/1 files", "a/1 web", "a/1 chat"}, ""},
		"another name of a tag":      {Config{Tags: Tags{Untrusted: "other"}}, []string{"a/1 files", "a/1 issues", "a/1 chat"}, `private content of "files" and untrusted content of "issues" have been read, so nothing may leave through "chat"`},
		"a tool's own tags":          {Config{Tools: map[string][]string{"clock__get": {"untrusted"}}}, []string{"a/1 files", "a/1 clock get", "a/1 chat"}, `private content of "files" and untrusted content of "clock" have been read, so nothing may leave through "chat"`},
		"another tool":               {Config{Tools: map[string][]string{"clock__get": {"untrusted"}}}, []string{"a/1 files", "a/1 clock set", "a/1 chat"}, ""},
		"a tool that sends":          {Config{Tools: map[string][]string{"*__send_*": {"egress"}}}, []string{"a/1 files", "a/1 issues", "a/1 clock send_it"}, `private content of "files" and untrusted content of "issues" have been read, so nothing may leave through "clock"`},
		"a resource is read":         {Config{}, []string{"a/1 files resources/read", "a/1 issues prompts/get", "a/1 chat completion/complete"}, `private content of "files" and untrusted content of "issues" have been read, so nothing may leave through "chat"`},
		"a task goes on":             {Config{}, []string{"a/1 files", "a/1 issues", "a/1 chat tasks/get"}, ""},
		"a task is told something":   {Config{}, []string{"a/1 files", "a/1 issues", "a/1 chat tasks/update"}, `private content of "files" and untrusted content of "issues" have been read, so nothing may leave through "chat"`},
	} {
		t.Run(name, func(t *testing.T) {
			p := made(t, c.Config)
			last := len(c.calls) - 1
			for _, what := range c.calls[:last] {
				if err := do(t, p, what); err != nil {
					t.Fatalf("%s: %v", what, err)
				}
			}
			reason := ""
			if denial, ok := errors.AsType[*policy.Denial](do(t, p, c.calls[last])); ok {
				reason = denial.Reason
			}
			if reason != c.want {
				t.Errorf("reason %q, want %q", reason, c.want)
			}
		})
	}
}

// A call that began before what it must not carry came back is not called back; one
// that begins after it is refused, even if the first is still under way.
func TestInFlight(t *testing.T) {
	p := made(t, Config{})
	reading, sending := call(t, "a/1 mail read"), call(t, "a/1 chat")
	for _, c := range []*policy.Call{reading, sending} {
		if err := p.Before(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.After(t.Context(), reading, &policy.Answer{}); err != nil {
		t.Fatal(err)
	}
	if len(reading.Notes()) != 1 {
		t.Errorf("that they met is noted %d times", len(reading.Notes()))
	}
	again := call(t, "a/1 mail read")
	if err := p.After(t.Context(), again, &policy.Answer{}); err != nil || len(again.Notes()) != 0 {
		t.Errorf("an answer after they met: %v, noted %d times", err, len(again.Notes()))
	}
	if err := p.After(t.Context(), sending, &policy.Answer{}); err != nil {
		t.Errorf("the answer of what was sent before: %v", err)
	}
	if err := do(t, p, "a/1 chat"); err == nil {
		t.Error("not refused afterwards")
	}
}

// All is forgotten when nothing came for the time, and not before.
func TestForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := made(t, Config{ForgetAfter: 10 * time.Minute})
		for _, what := range []string{"a files", "a issues"} {
			if err := do(t, p, what); err != nil {
				t.Fatal(err)
			}
			time.Sleep(9 * time.Minute)
		}
		if err := do(t, p, "a chat"); err == nil {
			t.Error("forgotten though something came nine minutes ago")
		}
		time.Sleep(time.Minute)
		if err := do(t, p, "a chat"); err != nil {
			t.Errorf("not forgotten: %v", err)
		}
		if n := len(p.memory.known); n != 0 {
			t.Errorf("%d are remembered still", n)
		}
	})
}

// What is remembered is bounded.
func TestBound(t *testing.T) {
	p := made(t, Config{})
	for i := range maxKnown + 10 {
		if err := do(t, p, fmt.Sprintf("u%d mail", i)); err != nil {
			t.Fatal(err)
		}
	}
	if len(p.memory.known) != maxKnown || p.memory.order.Len() != maxKnown {
		t.Errorf("%d are remembered, in a list of %d", len(p.memory.known), p.memory.order.Len())
	}
	if do(t, p, "u9 chat") != nil || do(t, p, "u10 chat") == nil {
		t.Error("it was not the oldest who was forgotten")
	}
}

// What a server sends of itself counts as its answers do, and it is not asked of
// somebody what may not leave.
func TestReceived(t *testing.T) {
	message := func(from, method string, id bool) *policy.ServerMessage {
		raw := `{"jsonrpc":"2.0","method":"` + method + `","params":{}}`
		if id {
			raw = `{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":{}}`
		}
		m, err := jsonrpc.ParseServer([]byte(raw))
		if err != nil {
			t.Fatal(err)
		}
		return &policy.ServerMessage{Principal: someone("a"), Session: "1", Upstream: from, Tags: upstreams[from], Message: m}
	}
	p := made(t, Config{Tools: map[string][]string{"clock__get": {"private"}}})
	refused := func(m *policy.ServerMessage) bool { return p.Received(t.Context(), m) != nil }
	nobody := message("mail", "notifications/message", false)
	nobody.Principal = nil
	if refused(nobody) || do(t, p, "a/1 chat") != nil || do(t, p, "/1 chat") != nil {
		t.Error("what nobody gets counts")
	}
	if refused(message("chat", "sampling/createMessage", true)) {
		t.Error("refused before anything met")
	}
	progress := message("clock", "notifications/progress", false)
	progress.Call = call(t, "a/1 clock get") // the tool is private
	if refused(progress) || refused(message("issues", "elicitation/create", true)) {
		t.Error("refused where nothing leaves")
	}
	if do(t, p, "a/1 chat") == nil {
		t.Error("what servers send of themselves does not count")
	}
	if !refused(message("chat", "sampling/createMessage", true)) || !refused(message("chat", "elicitation/create", true)) {
		t.Error("an answer to a server may leave")
	}
	if refused(message("chat", "notifications/message", false)) {
		t.Error("a notification of a server that content leaves through is refused")
	}
}

// Many at once: whoever has got an answer finds it remembered.
func TestParallel(t *testing.T) {
	p := made(t, Config{})
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			who := fmt.Sprintf("u%d/%d", i%8, i)
			for range 50 {
				if i%8 == 0 { // these read nothing that is private
					if err := errors.Join(do(t, p, who+" issues"), do(t, p, who+" chat")); err != nil {
						t.Errorf("%s: %v", who, err)
					}
					continue
				}
				if err := errors.Join(do(t, p, who+" files"), do(t, p, who+" web")); err != nil {
					t.Errorf("%s: %v", who, err)
				}
				if do(t, p, who+" chat") == nil {
					t.Errorf("%s: not refused", who)
				}
			}
		})
	}
	wg.Wait()
}
