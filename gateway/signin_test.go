package gateway

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/interlock-mcp/interlock/upstream/oauth"
	"github.com/interlock-mcp/interlock/upstream/oauth/oauthtest"
)

const whoami = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"up__whoami","arguments":{}}}`

// noRefresh has tokens be good until they are revoked.
var noRefresh = oauthtest.Behaviour{NoRefresh: true}

// A call that needs a sign-in asks its client to open a link; the person signs in there,
// the client is told, and the call goes on.
func TestCallWaitsForASignIn(t *testing.T) {
	p := protect(t, noRefresh, nil).signedIn()
	c := p.connect(`{"elicitation":{"url":{}}}`)
	has(t, "signed in", c.post(whoami).body, "somebody")

	p.issuer.Revoke()
	events := c.events(t.Context(), c.request(t.Context(), http.MethodPost, whoami))
	question := c.next(events)
	has(t, "the question", question, `"method":"elicitation/create"`, `"mode":"url"`, `"elicitationId":"`, `"url":"`+p.url+`/signin/`, `\"up\"`)
	b := newBrowser(t)
	at := pageIn(t, question)
	has(t, "the page", b.visit(at).body, "Sign in to up", "for all who use this gateway", `<form method="post">`)
	c.post(`{"jsonrpc":"2.0","id":1,"result":{"action":"accept"}}`)
	got := b.press(at)
	if got.status != http.StatusOK || !strings.Contains(got.body, "You are signed in to up") {
		t.Fatalf("the person ends at %d %s", got.status, got.body)
	}
	_, id, _ := strings.Cut(question, `"elicitationId":"`)
	id, _, _ = strings.Cut(id, `"`)
	if got := c.next(events); got != `{"jsonrpc":"2.0","method":"notifications/elicitation/complete","params":{"elicitationId":"`+id+`"}}` {
		t.Errorf("then came %s", got)
	}
	has(t, "the answer", c.next(events), `"id":7`, "somebody")
	if got := c.next(events); got != "" {
		t.Errorf("after the answer came %s", got)
	}
	// The link was good once.
	for _, got := range []reply{b.visit(at), b.press(at)} {
		if got.status != http.StatusNotFound || !strings.Contains(got.body, "not good any more") {
			t.Errorf("the link again: %d %s", got.status, got.body)
		}
	}
}

// Calls that wait for one sign-in share one link, each session is asked once, and all
// go on when it is done.
func TestCallsShareASignIn(t *testing.T) {
	p := protect(t, noRefresh, nil).signedIn()
	one, two := p.connect(`{"elicitation":{"url":{}}}`), p.connect(`{"elicitation":{"url":{}}}`)
	p.issuer.Revoke()
	const each = 10
	answers := make(chan string, 2*each)
	links := make(chan string, 2*each)
	for _, c := range []*client{one, two} {
		for i := range each {
			go func() {
				for m := range c.told(calls(strconv.Itoa(100+i), "up__whoami", "{}")) {
					switch {
					case strings.Contains(m, "elicitation/create"):
						links <- linkIn.FindStringSubmatch(m)[1]
					case strings.Contains(m, "notifications/"):
					default:
						answers <- m
					}
				}
			}()
		}
	}
	link := func() string {
		t.Helper()
		select {
		case at := <-links:
			return at
		case answer := <-answers:
			t.Fatalf("an answer before anybody signed in: %s", answer)
			return ""
		}
	}
	at := link()
	if other := link(); other != at {
		t.Errorf("two links: %s and %s", at, other)
	}
	newBrowser(t).press(at)
	for range 2 * each {
		has(t, "an answer", <-answers, "somebody")
	}
	if len(links) > 0 {
		t.Errorf("a session was asked again: %s", <-links)
	}
	if n := len(p.issuer.Seen("token/authorization_code")); n != 2 {
		t.Errorf("%d sign-ins, want the first and one more", n)
	}
}

// Who does not want to sign in gets an error at once; who cannot be asked gets one that
// names the command.
func TestSignInIsNotWanted(t *testing.T) {
	for _, action := range []string{"decline", "cancel"} {
		p := protect(t, noRefresh, nil).signedIn()
		c := p.connect(`{"elicitation":{"url":{}}}`)
		p.issuer.Revoke()
		events := c.events(t.Context(), c.request(t.Context(), http.MethodPost, whoami))
		c.next(events)
		c.post(`{"jsonrpc":"2.0","id":1,"result":{"action":"` + action + `"}}`)
		has(t, action, c.next(events), `"isError":true`, `"reason":"declined"`, `"executed":"no"`)
	}
	p := protect(t, noRefresh, nil).signedIn()
	p.issuer.Revoke()
	for _, c := range []*client{
		p.connect(`{}`), p.connect(`{"elicitation":{}}`), p.connect(`{"elicitation":{"form":{}}}`),
		p.connectAt("/mcp", "2025-06-18", `{"elicitation":{"url":{}}}`),
	} {
		got := c.post(whoami)
		has(t, "no link", got.body, `"isError":true`, `"reason":"needs_auth"`, `"executed":"no"`, "interlock login up")
		if got.status != http.StatusOK {
			t.Errorf("status %d", got.status)
		}
	}
	got, err := p.Call(t.Context(), "up__whoami", nil)
	has(t, "an operator", string(got), "interlock login up")
	if err != nil {
		t.Error(err)
	}
}

// TestCallsShareAnInvitation: what a session answers to one of its calls holds for all
// that wait with it, and only for them.
func TestCallsShareAnInvitation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &Gateway{signIns: new(signIns)}
		offers := &g.signIns.offers
		o, _, err := offers.open(oauth.Key{Upstream: "up"}, "")
		if err != nil {
			t.Fatal(err)
		}
		s, others := new(session), make(chan error, 2)
		invited := func() {
			t.Helper()
			if _, mine := offers.invite(o, s); !mine {
				t.Fatal("somebody else asks")
			}
		}
		waits := func() {
			go func() { others <- g.awaitSignIn(t.Context(), &call{x: &exchange{session: s}}, link{offer: o}) }()
			synctest.Wait()
		}
		invited()
		waits()
		waits()
		offers.withdraw(o, s, errNoSignIn)
		for range 2 {
			if err := <-others; err != errNoSignIn {
				t.Errorf("a call that waited: %v", err)
			}
		}
		invited() // a later call asks again
		waits()
		offers.conclude(o, nil)
		if err := <-others; err != nil {
			t.Errorf("somebody signed in: %v", err)
		}
	})
}

// waitForCalls blocks until a session has that many requests in flight.
func waitForCalls(t *testing.T, c *client, n int) {
	t.Helper()
	s := c.r.sessions.find(c.session)
	for len(s.underWay()) < n {
		select {
		case <-time.After(time.Millisecond):
		case <-t.Context().Done():
			t.Fatal("the calls did not come")
		}
	}
}

// A client of 2026-07-28 is answered with what is required, and its retry waits until
// somebody has signed in.
func TestModernCallNeedsASignIn(t *testing.T) {
	p := protect(t, noRefresh, nil).signedIn()
	c := p.caller(`{"elicitation":{"url":{}}}`)
	p.issuer.Revoke()
	asked, state := c.tool("up__whoami", "").required(t)
	has(t, "the question", asked["sign_in"], `"method":"elicitation/create"`, `"mode":"url"`, p.url+"/signin/")
	if strings.Contains(asked["sign_in"], "elicitationId") {
		t.Error("2026-07-28 has no elicitationId")
	}
	done := make(chan reply, 1)
	go func() { done <- c.tool("up__whoami", retry(state, `{"sign_in":{"action":"accept"}}`)) }()
	newBrowser(t).press(pageIn(t, asked["sign_in"]))
	has(t, "the retry", (<-done).body, "somebody", `"resultType":"complete"`)

	p.issuer.Revoke()
	_, state = c.tool("up__whoami", "").required(t)
	has(t, "declined", c.tool("up__whoami", retry(state, `{"sign_in":{"action":"decline"}}`)).body, `"reason":"declined"`)
	got := p.caller(`{}`).tool("up__whoami", "")
	has(t, "without the capability", got.body, `"isError":true`, "interlock login up")
	if got.status != http.StatusOK {
		t.Errorf("status %d", got.status)
	}
}

// Over stdio it is the same.
func TestSignInOverStdio(t *testing.T) {
	p := protect(t, noRefresh, nil).signedIn()
	p.issuer.Revoke()
	c := p.pipe(t)
	c.say(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"elicitation":{"url":{}}},"clientInfo":{"name":"t","version":"1"}}}`)
	c.hear()
	c.say(whoami)
	question := c.hear()
	newBrowser(t).press(pageIn(t, question))
	has(t, "complete", c.hear(), "notifications/elicitation/complete")
	// The question was not answered: it is taken back, before the answer or after.
	if got := c.hear() + c.hear(); !strings.Contains(got, "somebody") || !strings.Contains(got, "notifications/cancelled") {
		t.Errorf("then came %s", got)
	}
}

// A client that goes away waits for nothing, and another of its calls asks again.
func TestSignInOfAClientThatGoesAway(t *testing.T) {
	p := protect(t, noRefresh, nil).signedIn()
	c := p.connect(`{"elicitation":{"url":{}}}`)
	p.issuer.Revoke()
	first := c.events(t.Context(), c.request(t.Context(), http.MethodPost, whoami))
	c.next(first)
	second := c.told(calls("8", "up__whoami", "{}"))
	waitForCalls(t, c, 2)
	c.post(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}`)
	question := <-second
	has(t, "asked again", question, "elicitation/create")
	newBrowser(t).press(pageIn(t, question))
	<-second
	for m := range second { // the question that nobody answered is taken back
		if !strings.Contains(m, "notifications/cancelled") {
			has(t, "the other call", m, "somebody")
		}
	}
}

// With server.auth an account that is the gateway's is not offered to its clients.
func TestSharedAccountIsNotOffered(t *testing.T) {
	var keys map[string]string
	p := protect(t, noRefresh, func(c *config.Config) { keys = keyed(c, "alice") }).signedIn()
	p.issuer.Revoke()
	c := (&client{r: p.rig, path: "/mcp", version: "2025-11-25", key: keys["alice"]}).begin(`{"elicitation":{"url":{}}}`)
	has(t, "alice", c.post(whoami).body, `"reason":"needs_auth"`, "interlock login up")
}

// Another process has signed in: what waits goes on, and what was stopped by its
// operator is not started.
func TestSignedInElsewhere(t *testing.T) {
	p := protect(t, noRefresh, nil)
	p.until(p.errored("up"))
	info, err := p.Info("up")
	if err != nil || info.SignIn == nil || info.SignIn.State != admin.NeedsAuth || info.SignIn.Why != "not_signed_in" || info.SignIn.How != "sign in with: interlock login up" {
		t.Errorf("%+v %v", info.SignIn, err)
	}
	account := p.signIn("")
	if err := p.kept.Put(t.Context(), account); err != nil {
		t.Fatal(err)
	}
	out := p.SignedIn(t.Context(), admin.Order{Names: []string{"up", "nobody"}, Wait: true})
	if len(out) != 2 || !out[0].OK || !out[0].Done || out[0].State != "running" || out[1].Error == nil {
		t.Errorf("%+v", out)
	}
	info, _ = p.Info("up")
	if s := info.SignIn; s == nil || s.State != admin.SignedIn || s.Issuer != p.issuer.URL || s.Why != "" || s.Flow != "authorization_code" || s.Per != "gateway" {
		t.Errorf("%+v", info.SignIn)
	}
	// And signed out.
	if err := p.kept.Delete(t.Context(), oauth.Key{Upstream: "up"}); err != nil {
		t.Fatal(err)
	}
	if out := p.SignedIn(t.Context(), admin.Order{Names: []string{"up"}, Wait: true}); !out[0].OK {
		t.Errorf("%+v", out)
	}
	p.until(p.errored("up"))
	p.Stop(t.Context(), admin.Order{Names: []string{"up"}, Wait: true})
	if err := p.kept.Put(t.Context(), account); err != nil {
		t.Fatal(err)
	}
	if out := p.SignedIn(t.Context(), admin.Order{Names: []string{"up"}, Wait: true}); !out[0].OK || out[0].State != "stopped" {
		t.Errorf("%+v", out)
	}
}
