package gateway

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/router"
	"github.com/interlock-mcp/interlock/telemetry"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/oauth"
	"github.com/interlock-mcp/interlock/upstream/oauth/oauthtest"
)

// A 401 of an upstream is never one of ours: clients would sign in to us, or throw
// their own credentials away.
func TestNo401OfAnUpstreamIsOurs(t *testing.T) {
	p := protect(t, noRefresh, nil).signedIn()
	old, fresh, pipe := p.connect(`{}`), p.caller(`{}`), p.pipe(t)
	sse := p.older("")
	pipe.say(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`)
	pipe.hear()
	p.issuer.Revoke()
	check := func(face string, got reply) {
		t.Helper()
		if got.status != http.StatusOK || got.header.Get("WWW-Authenticate") != "" {
			t.Errorf("%s: %d, WWW-Authenticate %q", face, got.status, got.header.Get("WWW-Authenticate"))
		}
	}
	for _, method := range []string{"tools/call", "prompts/get", "resources/read", "completion/complete", "tools/list", "vendor/method"} {
		params := `{"name":"up__whoami","uri":"x://y","arguments":{},"ref":{"type":"ref/prompt","name":"up__p"},"argument":{"name":"a","value":"b"}}`
		check("legacy "+method, old.post(`{"jsonrpc":"2.0","id":1,"method":"`+method+`","params":`+params+`}`))
		got := fresh.call(method, params)
		if got.status == http.StatusUnauthorized || got.header.Get("WWW-Authenticate") != "" {
			t.Errorf("modern %s: %d", method, got.status)
		}
	}
	has(t, "HTTP", old.post(whoami).body, `"reason":"needs_auth"`)
	has(t, "HTTP, 2026-07-28", fresh.tool("up__whoami", "").body, `"reason":"needs_auth"`)
	pipe.say(whoami)
	has(t, "stdio", pipe.hear(), `"reason":"needs_auth"`)
	got := sse.post(whoami)
	if got.status != http.StatusAccepted {
		t.Errorf("HTTP+SSE: %d %s", got.status, got.body)
	}
	own, err := p.Call(t.Context(), "up__whoami", nil)
	if err != nil {
		t.Error(err)
	}
	has(t, "the admin API", string(own), `"reason":"needs_auth"`)
}

// A server that wants more for one of its tools has the person sign in again, for what
// was granted and for more.
func TestSignInForMoreScope(t *testing.T) {
	p := protect(t, oauthtest.Behaviour{NoRefresh: true}, nil)
	p.mcp.Set(func(m *oauthtest.Protection) {
		m.Scopes, m.Needs = []string{"read"}, map[string][]string{"tools/call:whoami": {"write"}}
	})
	p.signedIn()
	c := p.connect(`{"elicitation":{"url":{}}}`)
	has(t, "what was granted", c.post(calls("1", "up__echo", `{"text":"hello"}`)).body, "hello")
	messages := c.told(whoami)
	question := <-messages
	has(t, "the question", question, "wants more permissions")
	info, err := p.Info("up")
	if err != nil || info.SignIn.State != "signed_in" || info.SignIn.Why != "more_scope" || info.State != "running" || !slices.Contains(info.SignIn.Scopes, "write") {
		t.Errorf("%+v, %s %v", info.SignIn, info.State, err)
	}
	newBrowser(t).press(pageIn(t, question))
	answer := ""
	for m := range messages {
		answer += m
	}
	has(t, "the call", answer, "somebody", "read", "write")
}

// An upstream that could not even start for want of a sign-in is started by it, and the
// call waits for that, too.
func TestSignInStartsAnUpstream(t *testing.T) {
	p := protect(t, noRefresh, nil).signedIn()
	c, fresh := p.connect(`{"elicitation":{"url":{}}}`), p.caller(`{"elicitation":{"url":{}}}`)
	asleep := func() {
		p.issuer.Revoke()
		p.Restart(t.Context(), admin.Order{Names: []string{"up"}, Wait: true})
		if st := p.set.Upstream("up").Status(); st.State != upstream.Errored || st.Failure.Reason != "needs_auth" {
			t.Fatalf("it is %s: %v", st.State, st.Failure)
		}
	}
	asleep()
	messages := c.told(whoami)
	newBrowser(t).press(pageIn(t, <-messages))
	answer := ""
	for m := range messages {
		answer += m
	}
	has(t, "the call", answer, "somebody")

	asleep()
	asked, state := fresh.tool("up__whoami", "").required(t)
	done := make(chan reply, 1)
	go func() { done <- fresh.tool("up__whoami", retry(state, `{"sign_in":{"action":"accept"}}`)) }()
	newBrowser(t).press(pageIn(t, asked["sign_in"]))
	has(t, "the retry", (<-done).body, "somebody")

	// A retry whose sign-in comes to nothing says so.
	for reason, err := range map[string]error{
		"needs_auth": &oauth.Refusal{Code: "access_denied"}, "shutdown": errDraining, "": nil,
	} {
		o, _, openErr := p.signIns.offers.open(oauth.Key{Upstream: "up"}, "")
		if openErr != nil {
			t.Fatal(openErr)
		}
		p.signIns.offers.conclude(o, err)
		got := p.awaitOffer(t.Context(), &router.Route{Upstream: "up"}, o)
		if e, _ := errors.AsType[*upstream.CallError](got); (got == nil) != (reason == "") || e != nil && e.Reason != reason {
			t.Errorf("%v: %v", err, got)
		}
	}
}

// What is done about sign-ins is counted and written down, and says no secret.
func TestSignInsAreToldOf(t *testing.T) {
	audit := filepath.Join(t.TempDir(), "audit.log")
	conf := telemetry.Defaults()
	conf.Audit.Path = audit
	tel, err := telemetry.Start(t.Context(), conf, telemetry.Resource{Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	metrics := tel.MetricsHandler() // what nobody can read is not counted
	p := protectWith(t, noRefresh, nil, tel).signedIn()
	c := p.connect(`{"elicitation":{"url":{}}}`)
	p.issuer.Revoke()
	messages := c.told(whoami)
	newBrowser(t).press(pageIn(t, <-messages))
	for range messages { // until the call is answered
	}
	w := httptest.NewRecorder()
	metrics.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	has(t, "metrics", w.Body.String(), `interlock_sign_ins_total{interlock_upstream="up",outcome="done"} 2`)
	written, err := os.ReadFile(audit)
	if err != nil {
		t.Fatal(err)
	}
	lines := string(written)
	has(t, "audit", lines, `"kind":"upstream_sign_in"`, `"action":"signed_in"`, `"upstream":"up"`, `"reason":"at `+p.issuer.URL+`"`)
	has(t, "log", p.log.String(), "signed in to an upstream", "an upstream needs a sign-in", "mend=")
	for _, secret := range p.secrets() {
		if strings.Contains(lines, secret) || strings.Contains(w.Body.String(), secret) {
			t.Error("a secret was told")
		}
	}
}

// Offers end by themselves, and there is no end of accounts but of them.
func TestOffersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var table offerTable
		k := oauth.Key{Upstream: "up"}
		o, first, err := table.open(k, "")
		if err != nil {
			t.Fatal(err)
		}
		if same, again, _ := table.open(k, ""); same != o || again != first || len(first) != 64 {
			t.Error("who asks before the link is used gets another one")
		}
		if table.use(first) != o || table.use(first) != nil || table.page(first) != nil {
			t.Error("the link is good twice")
		}
		time.Sleep(offerTTL - time.Second)
		if same, second, _ := table.open(k, ""); same != o || second == first {
			t.Error("who asks after it was used gets the same link, or waits for something else")
		}
		var states []string
		for i := range maxAttempts + 2 {
			a := &attempt{Attempt: &oauth.Attempt{State: string(rune('a' + i))}, of: o, cookie: "c"}
			if !table.begun(a) {
				t.Fatal("it is over")
			}
			states = append(states, a.State)
		}
		if table.back(states[0], "c") != nil || table.back(states[2], "x") != nil || table.back(states[2], "c") == nil || table.back(states[2], "c") != nil {
			t.Error("the wrong attempts are known")
		}
		time.Sleep(offerTTL - time.Second)
		select {
		case <-o.over:
			t.Fatal("it ended early")
		default:
		}
		time.Sleep(2 * time.Second)
		<-o.over
		if o.err != errOfferLate || table.named(o.name) != nil || len(table.byKey)+len(table.byName)+len(table.byTicket)+len(table.byState) != 0 {
			t.Errorf("%v, and something is left", o.err)
		}
		for i := range maxOffers {
			if _, _, err := table.open(oauth.Key{Upstream: "up", Principal: string(rune(i + 1))}, ""); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := table.open(k, ""); err != errOfferFull {
			t.Errorf("one more: %v", err)
		}
		table.endWhere(func(oauth.Key) bool { return true }, errDraining)
		if _, _, err := table.open(k, ""); err != nil {
			t.Error(err)
		}
		table.end(k, nil)
	})
}
