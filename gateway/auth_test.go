package gateway

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/interlock-mcp/interlock/gateway/identity"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// keyed has cfg ask for a key, and returns one of each principal.
func keyed(cfg *config.Config, principals ...string) map[string]string {
	keys := make(map[string]string)
	for _, p := range principals {
		key, hash := identity.NewKey()
		cfg.Server.Auth.APIKeys = append(cfg.Server.Auth.APIKeys, identity.APIKey{Principal: p, Name: "test", Hash: hash})
		keys[p] = key
	}
	return keys
}

// guarded is a rig with a server a that echoes, for these principals.
func guarded(t *testing.T, principals ...string) (*rig, map[string]string) {
	t.Helper()
	cfg := settings(t, "a")
	keys := keyed(cfg, principals...)
	d := dialer("echo")
	d.Server("a").OnRequest = echo
	return start(t, cfg, d).running(), keys
}

// as is a client with a session of its own.
func (r *rig) as(key string) *client {
	r.t.Helper()
	return (&client{r: r, path: "/mcp", version: "2025-11-25", key: key}).begin("{}")
}

// Every request to the endpoint needs a credential, whatever it asks for, and is
// refused before its body is read.
func TestEveryRequestIsAuthenticated(t *testing.T) {
	r, keys := guarded(t, "alice")
	s := r.as(keys["alice"])
	for _, path := range []string{"/mcp", "/mcp/u/a", "/mcp/u/nobody", "/sse", "/messages?session=x", "/messages"} {
		for _, method := range []string{"GET", "POST", "DELETE", "PUT"} {
			for name, key := range map[string]string{"none": "", "unknown": "ilk_" + strings.Repeat("0", 64), "malformed": "x y", "in the query": "?"} {
				at := path
				if key == "?" {
					at, key = strings.TrimSuffix(path+"?access_token="+keys["alice"], "?"), ""
				}
				body := strings.NewReader("{")
				req, err := http.NewRequestWithContext(t.Context(), method, r.url+at, struct{ io.Reader }{body})
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Mcp-Session-Id", s.session)
				if key != "" {
					req.Header.Set("Authorization", "Bearer "+key)
				}
				got := s.do(req)
				challenge := got.header.Get("WWW-Authenticate")
				if got.status != http.StatusUnauthorized || !strings.Contains(challenge, "resource_metadata=") {
					t.Errorf("%s %s with a key %s: %d %q", method, at, name, got.status, challenge)
				}
			}
		}
	}
	for _, path := range []string{"/livez", "/readyz", "/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource/mcp/u/a"} {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+path, nil)
		if got := s.do(req); got.status != http.StatusOK {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodOptions, r.url+"/mcp", nil)
	if got := s.do(req); got.status != http.StatusNoContent {
		t.Errorf("OPTIONS: %d", got.status)
	}
	if got := s.post(calls("1", "a__echo", `{}`)); got.status != http.StatusOK {
		t.Errorf("with the key: %d %s", got.status, got.body)
	}
}

// One principal's session is not there for another, and none of those that began
// before anybody had to say who it is.
func TestSessionsBelongToTheirPrincipal(t *testing.T) {
	r, keys := guarded(t, "alice", "bob")
	alice := r.as(keys["alice"])
	unknown := &client{r: r, path: "/mcp", version: alice.version, key: keys["bob"], session: strings.Repeat("A", len(alice.session))}
	bob := &client{r: r, path: "/mcp", version: alice.version, key: keys["bob"], session: alice.session}
	list := `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`
	try := func(c *client, method string) reply { return c.do(c.request(t.Context(), method, list)) }
	for _, method := range []string{"POST", "GET", "DELETE"} {
		want, got := try(unknown, method), try(bob, method)
		if got.status != http.StatusNotFound || got.status != want.status || got.body != want.body {
			t.Errorf("%s of another's session: %d %s, of one that is not there: %d %s", method, got.status, got.body, want.status, want.body)
		}
	}
	// Nor is it revived for him from its seal.
	r.sessions.remove(r.sessions.find(alice.session))
	r.sessions.mu.Lock()
	delete(r.sessions.ended, r.sessions.order[0])
	r.sessions.order = nil
	r.sessions.mu.Unlock()
	if got := try(bob, "POST"); got.status != http.StatusNotFound || len(r.sessions.all()) != 0 {
		t.Errorf("of another's that the gateway forgot: %d, %d sessions", got.status, len(r.sessions.all()))
	}
	if got := try(alice, "POST"); got.status != http.StatusOK {
		t.Errorf("her own: %d %s", got.status, got.body)
	}
	for name, id := range map[string]string{"10 KB": strings.Repeat("x", 10<<10), "another alphabet": "%0d%0a", "empty parts": "....", "not ours": "e30"} {
		c := *bob
		c.session = id
		if got, want := try(&c, "POST"), try(unknown, "POST"); got.status != http.StatusNotFound || got.body != want.body {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
}

// What net/http does not let through at all: a line break in a header.
func TestSessionIDWithLineBreaks(t *testing.T) {
	r, keys := guarded(t, "alice")
	for _, id := range []string{"a\r\n b", "a\rb", "a\x00b"} {
		got := raw(t, r, "POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "+keys["alice"]+"\r\nMcp-Session-Id: "+id+
			"\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
		if !strings.HasPrefix(got, "HTTP/1.1 400") && !strings.HasPrefix(got, "HTTP/1.1 404") {
			t.Errorf("%q: %.100s", id, got)
		}
	}
}

// Switched on or changed while the gateway runs, server.auth applies to the next
// request: sessions from before are not found, and those of a key that went, or of
// another principal, cannot go on.
func TestAuthReloads(t *testing.T) {
	cfg := settings(t, "a")
	d := dialer("echo")
	d.Server("a").OnRequest = echo
	r := start(t, cfg, d).running()
	open := r.connect("{}")
	with := func(principals ...string) map[string]string {
		next := *r.cfg.Load()
		next.Server.Auth = identity.Config{}
		keys := keyed(&next, principals...)
		if _, err := r.Apply(t.Context(), &next); err != nil {
			t.Fatal(err)
		}
		return keys
	}
	call := calls("1", "a__echo", `{}`)
	keys := with("alice", "bob")
	if got := open.post(call); got.status != http.StatusUnauthorized {
		t.Errorf("without a key: %d", got.status)
	}
	open.key = keys["alice"]
	if got := open.post(call); got.status != http.StatusNotFound {
		t.Errorf("a session from before: %d", got.status)
	}
	alice, bob := r.as(keys["alice"]), r.as(keys["bob"])
	auth := r.guard.Load().auth
	next := *r.cfg.Load()
	next.Server.AllowedHosts = []string{"x.example"}
	if _, err := r.Apply(t.Context(), &next); err != nil || r.guard.Load().auth != auth {
		t.Errorf("another change made another Authenticator: %v", err)
	}
	again := with("bob", "carol")
	if got := alice.post(call); got.status != http.StatusUnauthorized {
		t.Errorf("a key that went: %d", got.status)
	}
	alice.key = again["carol"]
	if got := alice.post(call); got.status != http.StatusNotFound {
		t.Errorf("her session for somebody else: %d", got.status)
	}
	bob.key = again["bob"]
	if got := bob.post(call); got.status != http.StatusOK {
		t.Errorf("another key of the same principal: %d %s", got.status, got.body)
	}
	with()
	bob.key = ""
	if got := bob.post(call); got.status != http.StatusNotFound {
		t.Errorf("his session for nobody in particular: %d", got.status)
	}
}

// Streams that are open end when their clients may not listen any longer, and those
// of others stay.
func TestStreamsEndWithTheirKey(t *testing.T) {
	for _, later := range []bool{false, true} { // because of a reload, or of time
		synctest.Test(t, func(t *testing.T) {
			cfg := settings(t, "a")
			keys := keyed(cfg, "alice", "bob")
			if later {
				cfg.Server.Auth.APIKeys[0].Expires = time.Now().Add(time.Hour).Format(time.RFC3339)
			}
			r := start(t, cfg, dialer("echo")).running()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			open := map[string]<-chan jsonrpc.Event{}
			for who, key := range keys {
				open[who] = r.as(key).listen(ctx)
				m := r.user(key, "{}")
				open[who+" modern"] = m.events(ctx, m.ask(ctx, m.body("1", "subscriptions/listen", `{"notifications":{"toolsListChanged":true}}`)))
				old := &client{r: r, path: "/sse", key: key}
				open[who+" older"] = old.listen(ctx)
			}
			ended := func(who string) bool {
				for {
					select {
					case _, more := <-open[who]:
						if !more {
							return true
						}
					default:
						return false
					}
				}
			}
			synctest.Wait()
			if later {
				time.Sleep(time.Hour - time.Second)
			}
			for who := range open {
				if ended(who) {
					t.Errorf("%s ended before", who)
				}
			}
			if later {
				time.Sleep(recheckEvery + time.Second)
			} else {
				next := *r.cfg.Load()
				next.Server.Auth.APIKeys = cfg.Server.Auth.APIKeys[1:]
				if _, err := r.Apply(t.Context(), &next); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
			for who := range open {
				if want := strings.HasPrefix(who, "alice"); ended(who) != want {
					t.Errorf("%s ended: %v", who, !want)
				}
			}
		})
	}
}

// Scopes are looked at before anything else, under every name that a tool has, and
// in whatever it is called.
func TestStepUp(t *testing.T) {
	cfg := settings(t, "a")
	keys := keyed(cfg, "alice", "bob")
	cfg.Server.Auth.Scopes.Tools = map[string][]string{"a__echo": {"write"}}
	cfg.Server.Auth.APIKeys[1].Scopes = []string{"write"}
	d := dialer("echo")
	d.Server("a").OnRequest = echo
	r := start(t, cfg, d).running()
	at := func(path, version, key string) *client {
		return (&client{r: r, path: path, version: version, key: key}).begin("{}")
	}
	modern := r.caller("{}")
	modern.key = keys["alice"]
	whole, only := calls("1", "a__echo", "{}"), calls("1", "echo", "{}")
	for name, got := range map[string]reply{
		"the tool":         at("/mcp", "2025-11-25", keys["alice"]).post(whole),
		"its own name":     at("/mcp/u/a", "2025-11-25", keys["alice"]).post(only),
		"2026-07-28":       modern.tool("a__echo", ""),
		"in a batch":       at("/mcp", "2025-03-26", keys["alice"]).post(`[{"jsonrpc":"2.0","id":9,"method":"ping"},` + whole + `]`),
		"the older way":    r.older(keys["alice"]).post(whole),
		"a batch that way": r.older(keys["alice"]).post(`[{"jsonrpc":"2.0","method":"ping"},` + whole + `]`),
	} {
		challenge := got.header.Get("WWW-Authenticate")
		if got.status != http.StatusForbidden || !strings.Contains(challenge, `error="insufficient_scope"`) || !strings.Contains(challenge, `scope="write"`) {
			t.Errorf("%s: %d %s %s", name, got.status, challenge, got.body)
		}
	}
	if n := d.Server("a").Asked("tools/call"); n != 0 {
		t.Errorf("%d calls got through", n)
	}
	if got := at("/mcp", "2025-11-25", keys["bob"]).post(whole); got.status != http.StatusOK || d.Server("a").Asked("tools/call") != 1 {
		t.Errorf("with the scope: %d %s", got.status, got.body)
	}
}

// older opens a session of the HTTP+SSE transport at 2025-03-26.
func (r *rig) older(key string) *client {
	r.t.Helper()
	c := &client{r: r, path: "/sse", key: key}
	events := c.listen(r.t.Context())
	first := <-events
	c.path = string(first.Data)
	c.post(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-03-26","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`)
	<-events
	return c
}

// raw sends bytes and returns what comes back until the connection ends.
func raw(t *testing.T, r *rig, request string) string {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	got, _ := io.ReadAll(conn)
	return string(got)
}

// Whom the operating system lets in is a principal of its own, who needs neither a
// credential nor scopes, but only where others are asked who they are.
func TestLocalClients(t *testing.T) {
	for _, asked := range []bool{false, true} {
		cfg := settings(t, "a")
		if asked {
			keyed(cfg, "alice")
			cfg.Server.Auth.Scopes.Tools = map[string][]string{"*": {"write"}}
		}
		d := dialer("echo")
		d.Server("a").OnRequest = echo
		r := start(t, cfg, d).running()
		p := r.pipe(t)
		p.say(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`)
		p.hear()
		p.say(calls("1", "a__echo", "{}"))
		if got := p.hear(); !strings.Contains(got, `"content"`) || strings.Contains(got, "isError") {
			t.Errorf("asked %v: %s", asked, got)
		}
		s := r.sessions.all()[0]
		if is := s.principal.Issuer == "interlock" && s.principal.Subject == "local"; is != asked || s.principal.Anonymous() == asked {
			t.Errorf("asked %v: it is %+v", asked, s.principal)
		}
		if n := len(d.Server("a").Links()); (n == 2) != asked {
			t.Errorf("asked %v: %d processes", asked, n)
		}
	}
}
