package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// user is a modern client with a key.
func (r *rig) user(key, capabilities string) *caller {
	c := r.caller(capabilities)
	c.key = key
	return c
}

// Which clients share a link is decided by the upstream's isolation, by what it is,
// and by whether anybody has to say who it is.
func TestIsolation(t *testing.T) {
	const legacy, modern = "2025-11-25", "2026-07-28"
	for _, tt := range []struct {
		what      string
		kind      string
		isolation upstream.Isolation
		keys      bool
		version   string // of the server
		links     int    // besides the supervised one
		roots     int    // of these, that declare what a client did
	}{
		{"a process, nobody asked", "", upstream.AutoIsolation, false, legacy, 0, 0},
		{"a process", "", upstream.AutoIsolation, true, legacy, 2, 0},
		{"a modern process", "", upstream.AutoIsolation, true, modern, 2, 0},
		{"a shared process", "", upstream.Shared, true, legacy, 0, 0},
		{"a process for each session", "", upstream.PerSession, true, legacy, 6, 6},
		{"a process for each principal, of whom there is one", "", upstream.PerPrincipal, false, legacy, 0, 0},
		{"a remote, nobody asked", "=http", upstream.AutoIsolation, false, legacy, 5, 5}, // modern clients of one set share
		{"a remote", "=http", upstream.AutoIsolation, true, legacy, 6, 6},
		{"a modern remote", "=http", upstream.AutoIsolation, true, modern, 0, 0},
		{"a remote for each principal", "=http", upstream.PerPrincipal, true, legacy, 2, 0},
	} {
		t.Run(tt.what, func(t *testing.T) {
			cfg := settings(t, "a"+tt.kind)
			cfg.Upstreams[0].Isolation = tt.isolation
			keys := map[string]string{}
			if tt.keys {
				keys = keyed(cfg, "alice", "bob")
			}
			d := dialer("echo")
			d.Server("a").OnRequest = echo
			d.Server("a").Version = tt.version
			r := start(t, cfg, d).running()
			for _, key := range []string{keys["alice"], keys["bob"]} {
				for range 2 { // two sessions, and two clients without one
					c := (&client{r: r, path: "/mcp", version: legacy, key: key}).begin(`{"roots":{}}`)
					for _, got := range []reply{c.post(calls("1", "a__echo", "{}")), r.user(key, `{"roots":{}}`).tool("a__echo", "")} {
						if got.status != http.StatusOK || strings.Contains(got.body, "isError") {
							t.Fatalf("%d %s", got.status, got.body)
						}
					}
				}
			}
			links := d.Server("a").Links()[1:]
			roots := 0
			for _, l := range links {
				if strings.Contains(string(l.Dial.Capabilities), "roots") {
					roots++
				}
				if l.Dial.Exclusive != (tt.roots > 0) {
					t.Errorf("owned by a session: %v", l.Dial.Exclusive)
				}
			}
			if len(links) != tt.links || roots != tt.roots {
				t.Errorf("%d links, %d of which declare roots; want %d and %d", len(links), roots, tt.links, tt.roots)
			}
		})
	}
}

// P2: 64 clients of two principals that all use the same ids and tokens get their
// own answers and progress, and no process serves more than one principal.
func TestPrincipalsDoNotMix(t *testing.T) {
	d := dialer("echo")
	var mu sync.Mutex
	served := map[*linktest.Link]map[string]bool{}
	d.Server("a").OnRequest = func(ctx context.Context, l *linktest.Link, method string, r *upstream.Request) (json.RawMessage, error) {
		if method == "tools/call" {
			nonce, _ := jsonrpc.Lookup(r.Message.Raw, r.Message.Arguments, "nonce")
			who, _, _ := strings.Cut(r.Message.Text(nonce), "-")
			mu.Lock()
			if served[l] == nil {
				served[l] = map[string]bool{}
			}
			served[l][who] = true
			mu.Unlock()
			r.Peer.Notified(serverMessage(t, fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1,"message":%q}}`, r.Message.Text(nonce))))
		}
		return echo(ctx, l, method, r)
	}
	cfg := settings(t, "a")
	keys := keyed(cfg, "alice", "bob")
	r := start(t, cfg, d).running()
	var all sync.WaitGroup
	for i := range 64 {
		who := []string{"alice", "bob"}[i%2]
		all.Go(func() {
			var c *client
			legacy, modern := r.as(keys[who]), r.user(keys[who], "{}")
			for n := range 10 {
				nonce := fmt.Sprintf("%s-%d-%d", who, i, n)
				arguments := fmt.Sprintf(`{"name":"a__echo","arguments":{"nonce":%q},"_meta":{"progressToken":1}}`, nonce)
				var got reply
				if i%4 < 2 {
					got = legacy.post(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":` + arguments + `}`)
				} else {
					modern.meta = `,"progressToken":1`
					got = modern.do(modern.ask(t.Context(), modern.body("7", "tools/call", fmt.Sprintf(`{"name":"a__echo","arguments":{"nonce":%q}}`, nonce))))
				}
				if strings.Count(got.body, nonce) != 2 || strings.Count(got.body, `\"nonce\"`) != 1 || strings.Count(got.body, `"progress":1`) != 1 {
					t.Errorf("%s got %s", nonce, got.body)
				}
			}
			_ = c
		})
	}
	all.Wait()
	if len(served) != 2 {
		t.Errorf("%d processes served calls", len(served))
	}
	for _, by := range served {
		if len(by) != 1 {
			t.Errorf("one process served %v", by)
		}
	}
}

// What a server says on the link of one principal reaches nobody else, whoever
// subscribed to the same resource.
func TestUpdatesStayWithTheirPrincipal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		d.Server("a").OnRequest = func(_ context.Context, _ *linktest.Link, method string, _ *upstream.Request) (json.RawMessage, error) {
			if method == "resources/list" {
				return json.RawMessage(`{"resources":[{"uri":"file:///x","name":"x"}]}`), nil
			}
			return nil, nil
		}
		cfg := settings(t, "a")
		keys := keyed(cfg, "alice", "bob")
		r := start(t, cfg, d).running()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		heard := map[string]<-chan jsonrpc.Event{}
		for _, who := range []string{"alice", "bob"} {
			c := r.as(keys[who])
			heard[who] = c.listen(ctx)
			c.post(`{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"file:///x"}}`)
			m := r.user(keys[who], "{}")
			heard[who+" modern"] = m.events(ctx, m.ask(ctx, m.body("1", "subscriptions/listen", `{"notifications":{"resourceSubscriptions":["file:///x"]}}`)))
		}
		synctest.Wait()
		links := d.Server("a").Links()
		if len(links) != 3 {
			t.Fatalf("%d links", len(links))
		}
		updates := func() map[string]int {
			synctest.Wait()
			got := map[string]int{}
			for who, events := range heard {
				for len(events) > 0 {
					if e := <-events; strings.Contains(string(e.Data), "resources/updated") {
						got[who]++
					}
				}
			}
			return got
		}
		updates()
		for i, who := range []string{"alice", "bob"} {
			links[i+1].Dial.Inbox.Notified(serverMessage(t, `{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"file:///x"}}`))
			if got := updates(); len(got) != 2 || got[who] != 1 || got[who+" modern"] != 1 {
				t.Errorf("an update of %s's reached %v", who, got)
			}
		}
		// Whoever listens keeps a link for as long.
		time.Sleep(time.Hour)
		if slices.Contains(d.Events(), "close a") {
			t.Error("a link was closed that somebody listens on")
		}
	})
}

// The process of a principal ends when nobody has used it for limits.idle, and makes
// room for another one before, if it must.
func TestIdleLinksOfPrincipals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dialer("echo")
		slow := make(chan struct{})
		d.Server("a").OnRequest = func(ctx context.Context, l *linktest.Link, method string, r *upstream.Request) (json.RawMessage, error) {
			if r.Message.Text(r.Message.ID) == "slow" {
				<-slow
			}
			return echo(ctx, l, method, r)
		}
		cfg := settings(t, "a")
		cfg.Upstreams[0].Limits.Processes = 2
		cfg.Upstreams[0].CallTimeout, cfg.Upstreams[0].MaxCallTimeout = 3*time.Hour, 3*time.Hour
		keys := keyed(cfg, "alice", "bob", "carol")
		r := start(t, cfg, d).running()
		links := func() (open, made int) {
			synctest.Wait()
			all := d.Server("a").Links()[1:]
			for _, l := range all {
				if l.Err() == nil {
					open++
				}
			}
			return open, len(all)
		}
		expect := func(what string, open, made int) {
			t.Helper()
			if o, m := links(); o != open || m != made {
				t.Errorf("%s: %d open of %d, want %d of %d", what, o, m, open, made)
			}
		}
		call := func(who, id string) reply {
			return r.user(keys[who], "{}").do(r.user(keys[who], "{}").ask(t.Context(), r.caller("{}").body(id, "tools/call", `{"name":"a__echo","arguments":{}}`)))
		}
		call("alice", "1")
		time.Sleep(10 * time.Minute)
		call("alice", "1")
		call("bob", "1")
		expect("both called", 2, 2)
		time.Sleep(30 * time.Second)
		if got := call("carol", "1"); !strings.Contains(got.body, "limits.processes") {
			t.Errorf("a third one, while the others have only just been used: %s", got.body)
		}
		time.Sleep(14 * time.Minute)
		expect("before limits.idle", 2, 2)
		done := make(chan reply)
		go func() { done <- call("alice", `"slow"`) }()
		time.Sleep(20 * time.Minute)
		expect("bob's is idle, and alice calls", 1, 2)
		call("bob", "1")
		expect("he comes back", 2, 3)
		time.Sleep(time.Minute)
		if got := call("carol", "1"); strings.Contains(got.body, "isError") {
			t.Errorf("a third one, when another is idle for a minute: %s", got.body)
		}
		expect("carol in bob's place", 2, 4)
		close(slow)
		<-done
		time.Sleep(16 * time.Minute)
		expect("all is quiet", 0, 4)
	})
}
