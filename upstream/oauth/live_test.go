package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/interlock-mcp/interlock/upstream/oauth/oauthtest"
)

// A call that wants more scope needs a sign-in with all of them; the others go on.
func TestStepUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hour, oauthtest.Protection{Needs: map[string][]string{"tools/call:echo": {"write"}}}, Config{})
		a := r.signIn("", "read")
		s := r.Source(r.target, "")
		for range 3 {
			n := r.needs(s, "echo")
			if n.Why != MoreScope || !slices.Equal(n.Scopes, []string{"read", "write"}) || n.Issuer != r.as.URL {
				t.Errorf("needs %+v", n)
			}
			if got := r.must(s); got != "somebody read" {
				t.Errorf("whoami: %q", got)
			}
		}
		challenge, more := r.Wanted(a.Key)
		if !strings.Contains(challenge.Get("WWW-Authenticate"), "insufficient_scope") || !slices.Equal(more, []string{"read", "write"}) {
			t.Errorf("wanted: %v %v", challenge, more)
		}
		if st := r.State(a.Key); st.Needs == nil || st.Needs.Why != MoreScope || !st.Signed {
			t.Errorf("state: %+v", st)
		}
		if r.count(Needed) != 1 || r.refreshes() != 0 {
			t.Errorf("%d events, %d token requests", r.count(Needed), r.refreshes())
		}
		r.signIn("", more...)
		if _, err := r.call(s, "echo"); err != nil {
			t.Error(err)
		}
		if challenge, more := r.Wanted(a.Key); challenge != nil || more != nil {
			t.Errorf("wanted after the sign-in: %v %v", challenge, more)
		}
	})
}

// Where nobody has signed in, one request finds out whether that is needed, and the
// server is not asked again with each; who signs in elsewhere is noticed.
func TestNotSignedIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hour, oauthtest.Protection{Scopes: []string{"read"}}, Config{})
		s := r.Source(r.target, "")
		for range 9 {
			if n := r.needs(s, "whoami"); n.Why != NotSignedIn || !slices.Equal(n.Scopes, []string{"read"}) {
				t.Errorf("needs %+v", n)
			}
			time.Sleep(time.Second)
		}
		if n := len(r.mcp.Calls()); n != 1 {
			t.Errorf("%d requests in 9 s, want 1", n)
		}
		other := r.newProcess(Config{})
		other.Accounts, r.Accounts = r.Accounts, other.Accounts // this one is the other that signs in
		r.signIn("")
		other.Accounts, r.Accounts = r.Accounts, other.Accounts
		r.Look(t.Context(), Key{Upstream: "linear"})
		r.must(s)
		if !cmp.Equal(r.changed, []Key{{Upstream: "linear"}}) || r.count(SignedInEvent) != 1 {
			t.Errorf("told: %v %+v", r.changed, r.events)
		}
		if err := other.Forget(t.Context(), other.target, ""); err != nil {
			t.Fatal(err)
		}
		if n := r.needs(s, "whoami"); n.Why != NotSignedIn {
			t.Errorf("signed out by another process: needs %s", n.Why)
		}
		// Who found it out tells of it: one who is told to look then finds no change.
		synctest.Wait()
		r.Look(t.Context(), Key{Upstream: "linear"})
		if len(r.changed) != 2 || r.count(SignedOutEvent) != 1 {
			t.Errorf("told of the end: %v %+v", r.changed, r.events)
		}
		other.Accounts, r.Accounts = r.Accounts, other.Accounts
		r.signIn("")
		other.Accounts, r.Accounts = r.Accounts, other.Accounts
		time.Sleep(hold)
		r.must(s)
	})
}

// A server that asks for nothing gets nothing.
func TestOpenServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hour, oauthtest.Protection{Open: []string{"tools/call"}}, Config{})
		s := r.Source(r.target, "")
		for range 3 {
			if text, err := r.call(s, "echo"); err != nil || text != "<nil>" {
				t.Errorf("%q, %v", text, err)
			}
		}
		if r.Source(&Target{Config: Config{Flow: NoFlow}}, "") != nil {
			t.Error("a source for flow none")
		}
	})
}

// A server that wants a token for some of what it does is asked for the rest, whatever it
// has just refused.
func TestPartlyOpenServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hour, oauthtest.Protection{Open: []string{"tools/call:echo"}}, Config{})
		s := r.Source(r.target, "")
		for range 3 {
			if _, err := r.call(s, "echo"); err != nil {
				t.Error(err)
			}
			if n := r.needs(s, "whoami"); n.Why != NotSignedIn {
				t.Errorf("needs %+v", n)
			}
		}
		if r.count(Needed) != 1 || len(r.as.Seen("metadata")) > 1 {
			t.Errorf("%d events, the issuer was asked %d times", r.count(Needed), len(r.as.Seen("metadata")))
		}
		r.signIn("")
		r.must(s)
	})
}

// A server that takes no token is not asked with one new token after another.
func TestRejected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hour, oauthtest.Protection{}, Config{})
		a := r.signIn("")
		s := r.Source(r.target, "")
		r.must(s)
		strict := oauthtest.NewIssuer(t, r.net, "https://as.test:8443", oauthtest.Behaviour{})
		r.mcp.Trust(strict)
		r.mcp.Set(func(p *oauthtest.Protection) {
			p.Edit = func(doc map[string]any) { doc["authorization_servers"] = []string{r.as.URL} }
		})
		for range 50 {
			if n := r.needs(s, "whoami"); n.Why != Rejected {
				t.Errorf("needs %+v", n)
			}
			time.Sleep(time.Second)
		}
		if n, calls := r.refreshes(), len(r.mcp.Calls()); n != 1 || calls > 8 {
			t.Errorf("%d token requests and %d calls in 50 s", n, calls)
		}
		if st := r.State(a.Key); st.Needs == nil || !st.Signed {
			t.Errorf("state: %+v", st)
		}
		r.mcp.Trust(r.as)
		time.Sleep(hold)
		r.must(s)
		if st := r.State(a.Key); st.Needs != nil {
			t.Errorf("state: %+v", st)
		}
	})
}

// Tokens go to the server that they were issued for alone, whoever has its name.
func TestAnotherServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hour, oauthtest.Protection{}, Config{})
		a := r.signIn("")
		for _, address := range []string{
			"https://evil.test/mcp", "https://mcp.test.evil.test/mcp", "https://mcp.test/mcpx", "https://mcp.test/", "http://mcp.test/mcp",
			"https://mcp.test:444/mcp", "https://mcp.test@evil.test/mcp",
		} {
			to := *r.target
			to.URL = address
			if h := r.header(r.Source(&to, "")); h != "" {
				t.Errorf("%s gets the token of %s", address, a.Resource)
			}
		}
		for _, address := range []string{"https://mcp.test/mcp", "https://MCP.test:443/mcp", "https://mcp.test/mcp/sub", "https://mcp.test/mcp?x=1"} {
			to := *r.target
			to.URL = address
			if h := r.header(r.Source(&to, "")); h != a.header() {
				t.Errorf("%s does not get its token", address)
			}
		}
		// Nor in memory, when somebody signs in to what had the name before.
		to := *r.target
		to.URL = "https://evil.test/mcp"
		s := r.Source(&to, "")
		r.signIn("")
		if h := r.header(s); h != "" {
			t.Error("the new server gets the token of the one before")
		}
	})
}

// Another issuer than the one that is configured renews nothing.
func TestPinnedIssuer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hour, oauthtest.Protection{}, Config{Issuer: "https://other.test"})
		r.signIn("")
		if n := r.needs(r.Source(r.target, ""), "whoami"); n.Why != IssuerChanged || n.Issuer != "https://other.test" {
			t.Errorf("needs %+v", n)
		}
		if r.refreshes() != 0 {
			t.Error("renewed by an issuer that is not the configured one")
		}
	})
}

// An issuer that has forgotten the client needs a sign-in with a new registration.
func TestBadClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hour, oauthtest.Protection{}, Config{})
		a := r.signIn("")
		reg := a.Client
		if err := r.store.PutRegistration(t.Context(), "linear", &reg); err != nil {
			t.Fatal(err)
		}
		s := r.Source(r.target, "")
		r.must(s)
		r.as.ForgetClients()
		r.as.ExpireAccess()
		if n := r.needs(s, "whoami"); n.Why != BadClient {
			t.Errorf("needs %+v", n)
		}
		if got, err := r.store.Registration(t.Context(), "linear", r.as.URL, reg.RedirectURI); got != nil || err != nil {
			t.Errorf("the registration is still there: %v", err)
		}
	})
}

// A sign-out revokes and deletes, and what cannot be revoked is deleted all the same.
func TestForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hour, oauthtest.Protection{}, Config{})
		a := r.signIn("")
		s := r.Source(r.target, "")
		r.must(s)
		if err := r.Forget(t.Context(), r.target, ""); err != nil {
			t.Fatal(err)
		}
		var hints []string
		for _, seen := range r.as.Seen("revoke") {
			hints = append(hints, seen.Form.Get("token_type_hint"))
		}
		if !slices.Equal(hints, []string{"refresh_token", "access_token"}) {
			t.Errorf("revoked: %v", hints)
		}
		if n := r.needs(s, "whoami"); n.Why != NotSignedIn {
			t.Errorf("needs %+v", n)
		}
		if err := r.Forget(t.Context(), r.target, ""); !errors.Is(err, ErrNoAccount) {
			t.Errorf("forgotten twice: %v", err)
		}
		r.signIn("")
		r.as.Set(func(b *oauthtest.Behaviour) {
			b.Before = func(w http.ResponseWriter, req *http.Request) bool {
				if req.URL.Path == "/revoke" {
					http.Error(w, "at-planted", http.StatusServiceUnavailable)
				}
				return req.URL.Path == "/revoke"
			}
		})
		err := r.Forget(t.Context(), r.target, "")
		if !errors.Is(err, ErrNotRevoked) {
			t.Errorf("not revoked: %v", err)
		}
		r.noSecret(err.Error())
		if _, err := r.store.Account(t.Context(), a.Key); !errors.Is(err, ErrNoAccount) {
			t.Errorf("it is still there: %v", err)
		}
		for _, endpoint := range []string{"", "http://as.test/revoke", "https://169.254.169.254.nip.test/"} {
			a := r.signIn("")
			b := *a
			b.RevocationEndpoint = endpoint
			if err := r.SignedIn(t.Context(), &b); err != nil {
				t.Fatal(err)
			}
			before := len(r.as.Seen("revoke"))
			if err := r.Forget(t.Context(), r.target, ""); !errors.Is(err, ErrNotRevoked) || len(r.as.Seen("revoke")) != before {
				t.Errorf("revoked at %q: %v", endpoint, err)
			}
		}
		r.signIn("")
		r.as.Set(func(b *oauthtest.Behaviour) {
			b.Before = func(w http.ResponseWriter, req *http.Request) bool {
				if req.URL.Path == "/revoke" {
					http.Error(w, `{"error":"unsupported_token_type"}`, http.StatusBadRequest)
				}
				return req.URL.Path == "/revoke"
			}
		})
		if err := r.Forget(t.Context(), r.target, ""); err != nil {
			t.Errorf("an issuer that has nothing to revoke: %v", err)
		}
		r.as.Set(func(b *oauthtest.Behaviour) { b.Before = nil })
		if got := len(r.changed); got != 15 || r.count(SignedOutEvent) != 6 {
			t.Errorf("told: %v %+v", r.changed, r.events)
		}
	})
}

// What a person does while a renewal is under way is what counts.
func TestPersonAndRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hour, oauthtest.Protection{}, Config{})
		r.signIn("")
		s := r.Source(r.target, "")
		r.header(s)
		time.Sleep(2 * time.Hour)
		r.slow("/token", 5*time.Second)
		go func() { _, _ = s.Authorization(t.Context()) }()
		time.Sleep(time.Second)
		if err := r.Forget(t.Context(), r.target, ""); err != nil { // it waits for the renewal, and revokes what came of it
			t.Fatal(err)
		}
		if n := r.needs(s, "whoami"); n.Why != NotSignedIn {
			t.Errorf("needs %+v", n)
		}
		r.as.Set(func(b *oauthtest.Behaviour) { b.Before = nil })
		r.signIn("")
		r.must(s)
		time.Sleep(2 * time.Hour)
		r.slow("/token", 5*time.Second)
		go func() { _, _ = s.Authorization(t.Context()) }()
		time.Sleep(time.Second)
		r.as.Set(func(b *oauthtest.Behaviour) { b.Before = nil })
		r.store.late = time.Second // the renewal ends after the sign-in
		second := r.signIn("")
		time.Sleep(2 * time.Second)
		if r.header(s) != second.header() {
			t.Error("the renewal of the sign-in before replaced the new one")
		}
		if a, err := r.store.Account(t.Context(), second.Key); err != nil || a.header() != second.header() {
			t.Errorf("the store does not have the new sign-in: %v", err)
		}
	})
}

// Each principal has its own sign-in where the upstream says so, and only there.
func TestPerPrincipal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hour, oauthtest.Protection{}, Config{Per: PerPrincipal})
		a := r.signIn("ada")
		if r.header(r.Source(r.target, "ada")) != a.header() || r.header(r.Source(r.target, "bob")) != "" || r.header(r.Source(r.target, "")) != "" {
			t.Error("a sign-in is used by others")
		}
		common := *r.target
		common.Upstream, common.Config.Per = "notion", PerGateway
		if r.Source(&common, "ada") != r.Source(&common, "") {
			t.Error("a sign-in of the gateway is not that of all")
		}
		if r.Source(r.target, "ada") != r.Source(r.target, "ada") {
			t.Error("two sources of one account")
		}
	})
}

// However many principals come, what is kept of them is bounded, and the gateway's own
// stays; one that was dropped is renewed once with the one that took its place.
func TestSourcesBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hour, oauthtest.Protection{}, Config{Per: PerPrincipal})
		r.signIn("ada")
		own, ada := r.Source(r.target, ""), r.Source(r.target, "ada")
		r.must(ada)
		for i := range 3 * maxSources {
			r.Source(r.target, fmt.Sprint(i))
			if n := len(r.sources); n > maxSources {
				t.Fatalf("%d sources", n)
			}
		}
		if r.Source(r.target, "") != own {
			t.Error("the gateway's own was dropped")
		}
		if r.Source(r.target, "ada") != ada || !r.Used(Key{"linear", "ada"}) {
			t.Error("one with a token was dropped, though most have none")
		}
		if n := len(r.UsedAt("linear")); n != len(r.sources) || len(r.UsedAt("other")) != 0 {
			t.Errorf("%d are used, want %d", n, len(r.sources))
		}
		r.Retain(func(name string) bool { return name == "linear" })
		if !r.Used(Key{"linear", "ada"}) {
			t.Error("those of an upstream that stays are dropped")
		}
		r.Retain(func(name string) bool { return name != "linear" })
		if len(r.sources) != 0 || r.Used(Key{"linear", "ada"}) {
			t.Errorf("%d sources of an upstream that is gone", len(r.sources))
		}
		r.must(r.Source(r.target, "ada"))
		time.Sleep(2 * time.Hour)
		r.must(ada)
		r.must(r.Source(r.target, "ada"))
		if n := r.refreshes(); n != 1 {
			t.Errorf("%d token requests, want 1", n)
		}
	})
}

// Close waits for a renewal, so that what the issuer gave is not lost.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hour, oauthtest.Protection{}, Config{})
		first := r.signIn("")
		s := r.Source(r.target, "")
		r.header(s)
		time.Sleep(59*time.Minute + time.Second)
		r.slow("/token", 5*time.Second)
		r.header(s)
		synctest.Wait()
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
		a, err := r.store.Account(t.Context(), first.Key)
		if err != nil || a.header() == first.header() {
			t.Errorf("the renewal was lost: %v", err)
		}
		time.Sleep(2 * time.Hour)
		if _, err := s.Authorization(t.Context()); !errors.Is(err, errClosed) {
			t.Errorf("after Close: %v", err)
		}
		impatient := r.newProcess(Config{})
		go func() { _, _ = impatient.Source(impatient.target, "").Authorization(t.Context()) }()
		synctest.Wait()
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if err := impatient.Close(short); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("Close without time: %v after %s", err, time.Since(began))
		}
	})
}

// A bearer token is sent as it is, and nothing makes another of it.
func TestBearer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hour, oauthtest.Protection{}, Config{Flow: Bearer, Token: "at-by-hand"})
		s := r.Source(r.target, "ada")
		if h := r.header(s); h != "Bearer at-by-hand" {
			t.Errorf("sent %q", h)
		}
		if n := r.needs(s, "whoami"); n.Why != Rejected || n.Key != (Key{Upstream: "linear"}) {
			t.Errorf("needs %+v", n)
		}
		r.needs(s, "whoami")
		if st := r.State(Key{Upstream: "linear"}); st.Needs == nil || r.count(Needed) != 1 {
			t.Errorf("state %+v, %d events", st, r.count(Needed))
		}
	})
}

// A server that stops taking tokens again and again, which were good until then, is no
// server that takes none: they are renewed.
func TestRefusedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hour, oauthtest.Protection{}, Config{})
		r.signIn("")
		s := r.Source(r.target, "")
		for range 5 {
			r.must(s)
			time.Sleep(time.Second)
			r.as.ExpireAccess()
		}
		if n := r.refreshes(); n != 4 {
			t.Errorf("%d token requests, want 4", n)
		}
	})
}
