package gateway

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/interlock-mcp/interlock/upstream/oauth"
)

// offered is the link that a call of a new session is offered.
func (p *protected) offered() string {
	p.t.Helper()
	return pageIn(p.t, <-p.connect(`{"elicitation":{"url":{}}}`).told(whoami))
}

// The pages run no script, are in no cache and in no frame, and tell nobody where they
// are.
func TestSignInPagesAreGuarded(t *testing.T) {
	p := protect(t, noRefresh, nil).signedIn()
	c := &client{r: p.rig}
	p.issuer.Revoke()
	at := p.offered()
	b := newBrowser(t)
	began := b.staying().press(at)
	if began.status != http.StatusSeeOther || !strings.HasPrefix(began.header.Get("Location"), p.issuer.URL+"/") {
		t.Fatalf("the button: %d %s", began.status, began.header.Get("Location"))
	}
	cookie := began.header.Get("Set-Cookie")
	has(t, "the cookie", cookie, "interlock_sign_in_", "; Path=/oauth/callback;", "Max-Age=600", "HttpOnly", "SameSite=Lax")
	for name, got := range map[string]reply{"the page": b.visit(p.offered()), "no page": b.visit(p.url + "/signin/x"), "no callback": b.visit(p.url + "/oauth/callback"), "the button": began} {
		policy := got.header.Get("Content-Security-Policy")
		has(t, name, policy, "default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'")
		if strings.Contains(policy, "script") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: %s", name, policy)
		}
		referrer := "same-origin"
		if name == "the button" {
			referrer = "no-referrer"
		}
		for key, want := range map[string]string{"Cache-Control": "no-store", "Referrer-Policy": referrer, "X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff"} {
			if got.header.Get(key) != want {
				t.Errorf("%s: %s is %q, want %q", name, key, got.header.Get(key), want)
			}
		}
		if strings.Contains(got.body, "<script") || strings.Contains(got.body, "http-equiv") {
			t.Errorf("%s: %s", name, got.body)
		}
	}
	for _, header := range []http.Header{{"Origin": {"https://evil.example"}}, {"Origin": {"null"}}, {"Host": {"evil.example"}}} {
		for method, path := range map[string]string{http.MethodPost: strings.TrimPrefix(p.offered(), p.url), http.MethodGet: "/oauth/callback"} {
			req, _ := http.NewRequestWithContext(t.Context(), method, p.url+path, nil)
			maps.Copy(req.Header, header)
			req.Host = header.Get("Host")
			if got := c.do(req); got.status != http.StatusForbidden {
				t.Errorf("%s %s with %v: %d", method, path, header, got.status)
			}
		}
	}
}

// What comes back counts for the browser that began it alone, and once; a state that
// nobody gave counts for nobody.
func TestSignInIsOfOneBrowser(t *testing.T) {
	p := protect(t, noRefresh, nil).signedIn()
	p.issuer.Revoke()
	before := len(p.issuer.Seen("token/authorization_code"))
	at := p.offered()
	victim, thief := newBrowser(t), newBrowser(t)
	there := victim.staying().press(at).header.Get("Location")
	back := thief.staying().visit(there).header.Get("Location")
	if got := thief.visit(back); got.status != http.StatusBadRequest || !strings.Contains(got.body, "did not begin here") {
		t.Errorf("another browser: %d %s", got.status, got.body)
	}
	u, err := url.Parse(back)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	for name, change := range map[string]func(){"no state": func() { q.Del("state") }, "another state": func() { q.Set("state", "x") }} {
		change()
		if got := victim.visit(p.url + "/oauth/callback?" + q.Encode()); got.status != http.StatusBadRequest {
			t.Errorf("%s: %d", name, got.status)
		}
	}
	if n := len(p.issuer.Seen("token/authorization_code")); n != before {
		t.Errorf("%d codes were used", n-before)
	}
	if got := victim.visit(back); got.status != http.StatusOK {
		t.Errorf("the right browser: %d %s", got.status, got.body)
	}
	if got := victim.visit(back); got.status != http.StatusBadRequest {
		t.Errorf("again: %d", got.status)
	}
}

// What the authorization server refuses is said to the person, and to the call.
func TestRefusedSignIn(t *testing.T) {
	p := protect(t, noRefresh, nil).signedIn()
	c := p.connect(`{"elicitation":{"url":{}}}`)
	p.issuer.Revoke()
	messages := c.told(whoami)
	b := newBrowser(t)
	there, err := url.Parse(b.staying().press(pageIn(t, <-messages)).header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	q := url.Values{"error": {"access_denied"}, "error_description": {"<b>no</b>\x1b[2J"}, "state": {there.Query().Get("state")}, "iss": {p.issuer.URL}}
	got := b.visit(p.url + "/oauth/callback?" + q.Encode())
	if got.status != http.StatusForbidden {
		t.Errorf("status %d", got.status)
	}
	has(t, "the page", got.body, "You are not signed in to up", "access_denied")
	if strings.Contains(got.body, "<b>") || strings.Contains(got.body, "\x1b") {
		t.Errorf("what the server wrote is HTML: %s", got.body)
	}
	for m := range messages {
		if !strings.Contains(m, "notifications/cancelled") {
			has(t, "the call", m, `"isError":true`, `"reason":"needs_auth"`, "access_denied")
		}
	}
	events, _ := p.Events(0)
	kinds := ""
	for _, e := range events {
		kinds += " " + e.Kind
	}
	has(t, "events", kinds, " needs_auth", " signed_in", " sign_in_failed")
}

// A gateway with an https address of its own is a client that describes itself.
func TestClientDocument(t *testing.T) {
	const public = "https://mcp.example.com/gw/mcp"
	p := protect(t, noRefresh, func(c *config.Config) { c.Server.PublicURL = public })
	if got, want := p.pageBase(), "https://mcp.example.com/gw"; got != want {
		t.Errorf("the pages are at %s, want %s", got, want)
	}
	got := newBrowser(t).visit(p.url + "/oauth/client.json")
	var doc struct {
		ClientID     string   `json:"client_id"`
		RedirectURIs []string `json:"redirect_uris"`
		Method       string   `json:"token_endpoint_auth_method"`
	}
	if err := json.Unmarshal([]byte(got.body), &doc); err != nil || got.header.Get("Content-Type") != "application/json" {
		t.Fatalf("%s %v", got.body, err)
	}
	if doc.ClientID != "https://mcp.example.com/gw/oauth/client.json" || len(doc.RedirectURIs) != 1 ||
		doc.RedirectURIs[0] != "https://mcp.example.com/gw/oauth/callback" || doc.Method != "none" {
		t.Errorf("%+v", doc)
	}
	// The client that comes back to loopback is another one.
	got = newBrowser(t).visit(p.url + "/oauth/native.json")
	doc.RedirectURIs = nil
	if err := json.Unmarshal([]byte(got.body), &doc); err != nil {
		t.Fatal(err)
	}
	want := []string{"http://127.0.0.1:7780/callback", "http://localhost:7780/callback"}
	if doc.ClientID != LoginDocument(&p.cfg.Load().Server) || doc.ClientID != "https://mcp.example.com/gw/oauth/native.json" ||
		!slices.Equal(doc.RedirectURIs, want) || !strings.Contains(got.body, `"application_type":"native"`) {
		t.Errorf("%+v", doc)
	}
	for _, public := range []string{"", "http://127.0.0.1:7777/mcp", "https://localhost/mcp", "http://mcp.example.com/mcp"} {
		if at := LoginDocument(&config.Server{PublicURL: public, Path: "/mcp"}); at != "" {
			t.Errorf("%s has a document at %s", public, at)
		}
	}
	if got := newBrowser(t).visit(protect(t, noRefresh, nil).url + "/oauth/client.json"); got.status != http.StatusNotFound {
		t.Errorf("on loopback: %d", got.status)
	}
}

// Where a person's browser finds the pages, if anywhere.
func TestPageBase(t *testing.T) {
	for _, tt := range []struct{ listen, public, want string }{
		{"127.0.0.1:7777", "", "http://127.0.0.1:7777"},
		{"[::1]:7777", "", "http://[::1]:7777"},
		{"0.0.0.0:7777", "", "http://127.0.0.1:7777"},
		{"[::]:7777", "", "http://127.0.0.1:7777"},
		{"192.0.2.1:7777", "", ""}, // no code is sent there without TLS
		{"", "", ""},
		{"127.0.0.1:7777", "https://mcp.example.com/mcp", "https://mcp.example.com"},
		{"127.0.0.1:7777", "https://mcp.example.com:8443/a/mcp/", "https://mcp.example.com:8443/a"},
		{"127.0.0.1:7777", "https://mcp.example.com/other", "https://mcp.example.com"},
		{"127.0.0.1:7777", "http://mcp.example.com/mcp", ""},
		{"127.0.0.1:7777", "http://localhost:8080/mcp", "http://localhost:8080"},
	} {
		cfg := config.Defaults()
		cfg.Server.PublicURL = tt.public
		g := new(Gateway)
		g.cfg.Store(&cfg)
		g.guard.Store(newGuard(cfg.Server, nil, nil))
		if tt.listen != "" {
			g.served.Store(&tt.listen)
		}
		if got := g.pageBase(); got != tt.want {
			t.Errorf("listen %s, public_url %s: %q, want %q", tt.listen, tt.public, got, tt.want)
		}
	}
}

// A page says for whom it is, whatever that one is called.
func TestPagesEscape(t *testing.T) {
	p := protect(t, noRefresh, nil)
	o, ticket, err := p.signIns.offers.open(oauth.Key{Upstream: "up", Principal: "i\x00s"}, `<img src=x onerror=alert(1)>"'`)
	if err != nil || o == nil {
		t.Fatal(err)
	}
	got := newBrowser(t).visit(p.url + "/signin/" + ticket)
	if strings.Contains(got.body, "<img") || !strings.Contains(got.body, "&lt;img") {
		t.Errorf("%s", got.body)
	}
}
