package gateway

import (
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/interlock-mcp/interlock/gateway/identity"
	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/upstream/oauth"
	"github.com/interlock-mcp/interlock/upstream/oauth/oauthtest"
)

// TestSignInShowsNoOrders: what an authorization server writes is text, on the page, in
// the log and in the answer that a model reads.
func TestSignInShowsNoOrders(t *testing.T) {
	for name, b := range map[string]func(b *oauthtest.Behaviour){
		"in the address": func(b *oauthtest.Behaviour) {
			b.Redirect = func(q url.Values) {
				q.Del("code")
				q.Set("error", "access_denied\x1b[2J")
				q.Set("error_description", "<script>alert(1)</script>\x1b]0;x\a\u202e\r\nlevel=ERROR")
			}
		},
		"in the answer": func(b *oauthtest.Behaviour) {
			b.Before = func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path != "/token" {
					return false
				}
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(http.StatusBadRequest)
				_, _ = io.WriteString(w, `{"error":"invalid_grant\u001b[2J","error_description":"<script>alert(1)</script>\u001b]0;x\u0007\u202e\r\nlevel=ERROR"}`)
				return true
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := protect(t, noRefresh, nil).signedIn()
			c := p.connect(`{"elicitation":{"url":{}}}`)
			p.issuer.Revoke()
			p.issuer.Set(b)
			events := c.events(t.Context(), c.request(t.Context(), http.MethodPost, whoami))
			link := pageIn(t, c.next(events))
			got := newBrowser(t).press(link)
			has(t, "the page", got.body, "not signed in", "&lt;script&gt;")
			if csp := got.header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") {
				t.Errorf("the page may do more: %q", csp)
			}
			if strings.Contains(got.body, "<script>") {
				t.Errorf("the page has a script: %s", got.body)
			}
			answer := c.next(events)
			for answer != "" && !strings.Contains(answer, `"id":7`) {
				answer = c.next(events) // what tells the client that the question is void
			}
			has(t, "the answer", answer, `needs_auth`)
			for where, text := range map[string]string{"page": got.body, "answer": answer, "log": p.log.String()} {
				if strings.ContainsAny(text, "\x1b\a\u202e") || strings.Contains(text, `\u001b`) || strings.Contains(text, "\nlevel=ERROR") {
					t.Errorf("the %s has orders: %s", where, text)
				}
			}
		})
	}
}

// TestNameOnThePage: a principal's name is whatever its issuer lets it choose.
func TestNameOnThePage(t *testing.T) {
	got := nameOf(&policy.Principal{Issuer: "https://i.example", Subject: "mallory", Name: "Alice\u202e\x00\x1b[2J" + strings.Repeat("x", 500)})
	if strings.ContainsAny(got, "\u202e\x00\x1b") || len(got) > 120 || !strings.Contains(got, "mallory") {
		t.Errorf("is called %q", got)
	}
}

// TestAccountsOfPrincipalsStayApart: with an account for each nobody's call is made with
// another's, nor with the gateway's own, whoever signs in or out first.
func TestAccountsOfPrincipalsStayApart(t *testing.T) {
	var keys map[string]string
	p := protect(t, noRefresh, func(c *config.Config) {
		keys = keyed(c, "alice", "bob")
		c.Upstreams[0].Auth.Per = oauth.PerPrincipal
	}).signedIn() // for the lists: it is somebody's
	person := func(name, capabilities string) *client {
		return (&client{r: p.rig, path: "/mcp", version: "2025-11-25", key: keys[name]}).begin(capabilities)
	}
	alice, bob := person("alice", `{"elicitation":{"url":{}}}`), person("bob", `{"elicitation":{"url":{}}}`)
	signIn := func(c *client, name string) {
		t.Helper()
		events := c.events(t.Context(), c.request(t.Context(), http.MethodPost, whoami))
		link := pageIn(t, c.next(events))
		b := newBrowser(t)
		has(t, "the page of "+name, b.visit(link).body, name+", through Interlock")
		p.issuer.Set(func(b *oauthtest.Behaviour) { b.Subject = name + " at the issuer" })
		has(t, "the end for "+name, b.press(link).body, "You are signed in")
		answer := c.next(events)
		for answer != "" && !strings.Contains(answer, `"id":7`) {
			answer = c.next(events)
		}
		has(t, "the call of "+name, answer, name+" at the issuer")
	}
	signIn(alice, "alice")
	if got := person("bob", `{}`).post(whoami).body; strings.Contains(got, "at the issuer") || strings.Contains(got, "somebody") || !strings.Contains(got, "needs_auth") {
		t.Errorf("bob, who has not signed in, is answered %s", got)
	}
	signIn(bob, "bob")
	var calling sync.WaitGroup
	for i := range 40 {
		c, name := alice, "alice"
		if i%2 == 1 {
			c, name = bob, "bob"
		}
		calling.Go(func() {
			has(t, name, c.post(calls(strconv.Itoa(100+i), "up__whoami", "{}")).body, name+" at the issuer")
		})
	}
	calling.Wait()
	target, err := SignInTarget(p.set.Upstream("up").Config())
	if err != nil {
		t.Fatal(err)
	}
	defer target.Client.CloseIdleConnections()
	if err := p.signIns.accounts.Forget(t.Context(), target, (&policy.Principal{Issuer: identity.Issuer, Subject: "alice"}).Key()); err != nil {
		t.Fatal(err)
	}
	if got := person("alice", `{}`).post(whoami).body; strings.Contains(got, "at the issuer") || strings.Contains(got, "somebody") {
		t.Errorf("alice, who has signed out, is answered %s", got)
	}
	has(t, "bob, after alice signed out", bob.post(whoami).body, "bob at the issuer")
}
