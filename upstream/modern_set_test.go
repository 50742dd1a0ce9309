package upstream

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// chameleon is a server that a test makes modern or legacy.
func chameleon(t *testing.T) (f *fakeRemote, modern *atomic.Bool, c Config) {
	t.Helper()
	f, modern = new(fakeRemote), new(atomic.Bool)
	f.session = "s"
	f.post = func(w http.ResponseWriter, r *http.Request, m jsonrpc.Message) bool {
		method := m.MethodName()
		switch {
		case m.Kind != jsonrpc.Request:
			return false
		case modern.Load() && method == "initialize", !modern.Load() && method == "server/discover",
			!modern.Load() && method != "initialize" && r.Header.Get("Mcp-Session-Id") == "":
			w.WriteHeader(http.StatusBadRequest)
			return true
		case method == "server/discover":
			reply(w, m, discovered)
		case method == "tools/list":
			reply(w, m, `{"tools":[{"name":"x","inputSchema":{"type":"object"}}],"ttlMs":1000,"cacheScope":"public"}`)
		default:
			return false
		}
		return true
	}
	d := serve(t, f)
	c = *d.Config
	c.Protocol = AutoProtocol
	return f, modern, c
}

// runSet runs a set with one upstream until the test ends or the function it
// returns is called.
func runSet(t *testing.T, c Config, state string) (*Upstream, func()) {
	t.Helper()
	dialer, err := NewDialer(DialerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	set := NewSet(Options{Dialer: dialer, StateDir: state})
	if _, err := set.Apply([]Config{c}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan struct{})
	go func() { defer close(over); _ = set.Run(ctx) }()
	stop := func() { cancel(); <-over }
	t.Cleanup(stop)
	u := set.Upstream(c.Name)
	wait, done := context.WithTimeout(t.Context(), patient)
	defer done()
	if err := u.Start(wait); err != nil {
		t.Fatal(err)
	}
	return u, stop
}

// TestEraIsKept: a gateway that begins again does not ask again.
func TestEraIsKept(t *testing.T) {
	for _, modern := range []bool{false, true} {
		f, era, c := chameleon(t)
		era.Store(modern)
		state := t.TempDir()
		u, stop := runSet(t, c, state)
		if u.Modern() != modern || u.Status().Hello.Modern() != modern {
			t.Fatalf("modern %v: %+v", modern, u.Status().Hello)
		}
		if inv := u.Inventory(); modern && (inv.TTL != time.Second || inv.Private) || !modern && (inv.TTL != 0 || !inv.Private) {
			t.Errorf("modern %v: ttl %v, private %v", modern, inv.TTL, inv.Private)
		}
		stop()
		f.mu.Lock()
		f.methods = nil
		f.mu.Unlock()
		again, _ := runSet(t, c, state)
		if again.Modern() != modern {
			t.Errorf("modern %v: forgotten", modern)
		}
		wrong := "server/discover"
		if modern {
			wrong = "initialize"
		}
		if bodies, _ := f.sent(wrong); len(bodies) > 0 {
			t.Errorf("modern %v: asked again: %s", modern, bodies)
		}
	}
}

// TestEraChanges: a server that is replaced by one of the other era is met as
// what it is now, and the call that found out runs once.
func TestEraChanges(t *testing.T) {
	f, modern, c := chameleon(t)
	modern.Store(true)
	u, _ := runSet(t, c, "")
	ask := func() {
		t.Helper()
		ctx, done := context.WithTimeout(t.Context(), patient)
		defer done()
		m, err := u.Call(ctx, &Call{Request: *call(t), Method: "tools/call"})
		if err != nil || m.Kind != jsonrpc.Result {
			t.Fatalf("%s, %v", m.Raw, err)
		}
	}
	ask()
	modern.Store(false)
	ask()
	if h := u.Status().Hello; h.Modern() {
		t.Errorf("hello %+v", h)
	}
	_, headers := f.sent("tools/call")
	if len(headers) != 3 || headers[2].Get("Mcp-Session-Id") == "" {
		t.Errorf("%d calls came", len(headers))
	}
}

// TestScopesOfModernServers: there are no sessions, so that all share the link.
func TestScopesOfModernServers(t *testing.T) {
	f, modern, c := chameleon(t)
	modern.Store(true)
	u, _ := runSet(t, c, "")
	for _, key := range []string{"", "a", "b"} {
		r := call(t)
		r.Owner, r.Client.Capabilities = key, []byte(`{"roots":{"of":"`+key+`"}}`)
		if _, err := u.Call(t.Context(), &Call{Scope: Scope{Key: key, Exclusive: true}, Request: *r, Method: "tools/call"}); err != nil {
			t.Fatal(err)
		}
	}
	bodies, _ := f.sent("tools/call")
	for i, key := range []string{"", "a", "b"} {
		if !strings.Contains(bodies[i], `"io.modelcontextprotocol/clientCapabilities":{"roots":{"of":"`+key+`"}}`) {
			t.Errorf("%q sent %s", key, bodies[i])
		}
	}
	if b, _ := f.sent("server/discover"); len(b) != 1 {
		t.Errorf("%d links", len(b))
	}
}
