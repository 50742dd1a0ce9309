package upstream_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/linktest"
	"github.com/interlock-mcp/interlock/upstream/oauth"
)

// unsigned is what a link says whose requests nobody has signed in for.
func unsigned(upstreamName, principal string, why oauth.Why) *upstream.TransportError {
	return &upstream.TransportError{
		Executed: upstream.ExecutedNo, Reason: "needs_auth", Status: 401,
		Err: &oauth.NeedsAuth{Key: oauth.Key{Upstream: upstreamName, Principal: principal}, Issuer: "https://as.example", Why: why},
	}
}

// gate is a server that nobody, or somebody, has signed in to.
type gate struct {
	why atomic.Pointer[oauth.Why] // nil while all is well
}

func (g *gate) shut(why oauth.Why) { g.why.Store(&why) }
func (g *gate) open()              { g.why.Store(nil) }

// at is the server of an upstream: it is asked at the dial and at each request.
func (g *gate) at(d *linktest.Dialer, name string) *linktest.Server {
	s := d.Server(name)
	s.OnDial = func(context.Context, int, *upstream.Dial) error {
		if why := g.why.Load(); why != nil {
			return &upstream.StartError{Stage: "handshake", Err: unsigned(name, "", *why)}
		}
		return nil
	}
	s.OnRequest = func(_ context.Context, l *linktest.Link, _ string, _ *upstream.Request) (json.RawMessage, error) {
		if why := g.why.Load(); why != nil {
			return nil, unsigned(name, l.Dial.Principal, *why)
		}
		return nil, nil
	}
	return s
}

// needsSignIn fails the test unless an upstream waits for a sign-in as it should.
func (b *bench) needsSignIn(name string, why oauth.Why) upstream.Status {
	b.t.Helper()
	s := b.want(name, upstream.Errored)
	var needs *oauth.NeedsAuth
	switch {
	case s.Failure.Reason != "needs_auth", !errors.As(s.Failure, &needs), needs.Why != why:
		b.t.Errorf("failure %+v, want one of %s", s.Failure, why)
	case !strings.HasSuffix(s.Failure.Message, "; sign in with: interlock login "+name):
		b.t.Errorf("message %q", s.Failure.Message)
	case !s.NextRetry.IsZero(), s.Exhausted, s.Attempts != 0, s.Health != "unhealthy", !s.Desired, s.PID != 0:
		b.t.Errorf("status %+v", s)
	}
	return s
}

func TestNeedsAuthWaitsForASignIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, g := new(linktest.Dialer), new(gate)
		g.shut(oauth.NotSignedIn)
		s := g.at(d, "a")
		never := command("a")
		never.Restart.Policy = upstream.Never
		b := begin(t, d, never, command("b", "a"))
		f := b.needsSignIn("a", oauth.NotSignedIn).Failure
		if want := "needs_auth: nobody has signed in; sign in with: interlock login a"; f.Stage != "handshake" || f.Message != want {
			t.Errorf("%s: %q, want %q", f.Stage, f.Message, want)
		}
		if x := b.want("b", upstream.Errored).Failure; x.Stage != "dependency" || x.Reason != "" {
			t.Errorf("what depends on it: %+v", x)
		}
		// Nothing is tried: no hammering of a server that said no.
		time.Sleep(24 * time.Hour)
		if n := len(s.Dials()); n != 1 {
			t.Errorf("%d dials in a day, want 1", n)
		}
		e := b.refusal(tool("x"))
		var needs *oauth.NeedsAuth
		if e.Reason != "needs_auth" || e.Executed != upstream.ExecutedNo || !errors.As(e, &needs) || needs.Issuer != "https://as.example" {
			t.Errorf("a call: %+v", e)
		}
		if e.Text != f.Message {
			t.Errorf("a call is told %q", e.Text)
		}
		// A principal's sign-in is not the gateway's.
		b.set.SignedIn("a", "alice")
		b.set.SignedIn("nobody", "")
		b.needsSignIn("a", oauth.NotSignedIn)
		g.open()
		b.set.SignedIn("a", "")
		b.want("a", upstream.Running)
		b.want("b", upstream.Running)
		if n := len(s.Dials()); n != 2 {
			t.Errorf("%d dials, want 2", n)
		}
		b.annals.mu.Lock()
		defer b.annals.mu.Unlock()
		for _, x := range b.annals.all {
			if x.label == "a.start2" && x.e.Because != upstream.SignedIn {
				t.Errorf("it started because of %s", x.e.Because)
			}
		}
	})
}

// TestNeedsAuthOfAMachine: nobody signs in for a service account, so that it is tried
// again, but seldom.
func TestNeedsAuthOfAMachine(t *testing.T) {
	for flow, hint := range map[oauth.Flow]string{oauth.ClientCredentials: "auth.client_id", oauth.Bearer: "auth.token"} {
		synctest.Test(t, func(t *testing.T) {
			d, g := new(linktest.Dialer), new(gate)
			g.shut(oauth.BadClient)
			s := g.at(d, "a")
			c := upstream.Defaults()
			c.Name, c.URL, c.Auth.Flow = "a", "https://mcp.example/mcp", flow
			b := begin(t, d, c)
			if f := b.want("a", upstream.Errored).Failure; f.Reason != "needs_auth" || !strings.Contains(f.Message, hint) || strings.Contains(f.Message, "interlock login") {
				t.Errorf("%s: %+v", flow, f)
			}
			if e := b.refusal(tool("x")); e.Reason != "needs_auth" || e.RetryAfter != 10*time.Minute {
				t.Errorf("%s: %+v", flow, e)
			}
			time.Sleep(time.Hour + time.Minute)
			if n := len(s.Dials()); n != 7 {
				t.Errorf("%s: %d dials in an hour, want one and six more", flow, n)
			}
			g.open()
			time.Sleep(10 * time.Minute)
			b.want("a", upstream.Running)
		})
	}
}

func TestNeedsAuthAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, g := new(linktest.Dialer), new(gate)
		g.shut(oauth.NotSignedIn)
		s := g.at(d, "a")
		b := begin(t, d, command("a"))
		b.needsSignIn("a", oauth.NotSignedIn)
		// A sign-in that the server does not take is one attempt.
		g.shut(oauth.Rejected)
		b.set.SignedIn("a", "")
		time.Sleep(time.Millisecond)
		b.needsSignIn("a", oauth.Rejected)
		// An operator may have it tried.
		var needs *oauth.NeedsAuth
		if err := b.up("a").Start(t.Context()); !errors.As(err, &needs) || needs.Why != oauth.Rejected {
			t.Errorf("Start: %v", err)
		}
		time.Sleep(time.Hour)
		if n := len(s.Dials()); n != 3 {
			t.Errorf("%d dials, want 3", n)
		}
		if err := b.up("a").Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.set.SignedIn("a", "") // it is not meant to be up
		b.want("a", upstream.Stopped)
		if err := b.up("a").Start(t.Context()); !errors.As(err, &needs) {
			t.Errorf("Start: %v", err)
		}
		time.Sleep(time.Minute)
		if n := len(s.Dials()); n != 4 { // whoever signed in before it began is no reason to begin again
			t.Errorf("%d dials, want 4", n)
		}
		g.open()
		if err := b.up("a").Start(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestSignedInDuringTheStart: whoever signs in while a start is failing for want of
// that is not forgotten.
func TestSignedInDuringTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, g := new(linktest.Dialer), new(gate)
		s := g.at(d, "a")
		s.DialTime = time.Second
		s.OnDial = func(_ context.Context, n int, _ *upstream.Dial) error {
			if n == 1 {
				return &upstream.StartError{Stage: "handshake", Err: unsigned("a", "", oauth.Expired)}
			}
			return nil
		}
		b := begin(t, d, command("a"))
		b.want("a", upstream.Starting)
		b.set.SignedIn("a", "")
		time.Sleep(1500 * time.Millisecond)
		b.want("a", upstream.Starting)
		time.Sleep(time.Second)
		b.want("a", upstream.Running)
	})
}

func TestNeedsAuthOfARunningUpstream(t *testing.T) {
	for _, c := range []struct {
		name  string
		why   oauth.Why
		meets func(*bench)
	}{
		{"by a probe", oauth.Revoked, func(*bench) { time.Sleep(15 * time.Second) }},
		{"by a check", oauth.Rejected, func(b *bench) {
			if x := b.up("a").Check(b.t.Context()); x.Healthy || x.Neutral || !strings.HasPrefix(x.Err, "needs_auth: ") {
				b.t.Errorf("sample %+v", x)
			}
		}},
		{"by a call", oauth.Expired, func(b *bench) {
			if e := b.refusal(tool("x")); e.Reason != "needs_auth" || e.Executed != upstream.ExecutedNo {
				b.t.Errorf("%+v", e)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, g := new(linktest.Dialer), new(gate)
				s := g.at(d, "a")
				b := begin(t, d, command("a"))
				b.want("a", upstream.Running)
				g.shut(c.why)
				c.meets(b)
				f := b.needsSignIn("a", c.why).Failure
				if f.Stage != "running" {
					t.Errorf("stage %s", f.Stage)
				}
				if s.Last().Err() == nil {
					t.Error("its link is kept: the next sign-in may be another's")
				}
				time.Sleep(time.Hour)
				if n := len(s.Dials()); n != 1 {
					t.Errorf("%d dials, want 1", n)
				}
				g.open()
				b.set.SignedIn("a", "")
				b.want("a", upstream.Running)
				if _, err := b.up("a").Call(t.Context(), tool("x")); err != nil {
					t.Error(err)
				}
				time.Sleep(relistPause)
				lists := s.Asked("tools/list")
				b.set.SignedIn("a", "") // with more scopes, perhaps
				time.Sleep(relistPause)
				if n := s.Asked("tools/list"); n != lists+1 {
					t.Errorf("listed %d times after another sign-in, want once", n-lists)
				}
			})
		})
	}
}

// TestWantOfScopeIsOfOneCall: what one tool needs besides, or a server that answers
// all but calls to anybody, is no end of the upstream.
func TestWantOfScopeIsOfOneCall(t *testing.T) {
	for _, why := range []oauth.Why{oauth.MoreScope, oauth.NotSignedIn} {
		synctest.Test(t, func(t *testing.T) {
			d := new(linktest.Dialer)
			s := d.Server("a")
			s.OnRequest = func(_ context.Context, _ *linktest.Link, method string, r *upstream.Request) (json.RawMessage, error) {
				if method == "tools/call" && r.Message.Text(r.Message.Name) == "more" {
					return nil, unsigned("a", "", why)
				}
				return nil, nil
			}
			b := begin(t, d, command("a"))
			for range 20 { // which the breaker does not count
				if e := b.refusal(tool("more")); e.Reason != "needs_auth" {
					t.Fatalf("%+v", e)
				}
			}
			synctest.Wait()
			if n := s.Asked("ping"); n > 0 {
				t.Errorf("%d probes for that", n)
			}
			time.Sleep(time.Minute)
			st := b.want("a", upstream.Running)
			if st.Health != "healthy" || st.Breaker != upstream.BreakerClosed {
				t.Errorf("%+v", st)
			}
			if n := s.Asked("tools/call"); n != 20 {
				t.Errorf("sent %d times, want each call once", n)
			}
			if _, err := b.up("a").Call(t.Context(), tool("less")); err != nil {
				t.Error(err)
			}
		})
	}
}

// relistPause is a little more than lists are apart.
const relistPause = 1100 * time.Millisecond

// mine is a call of a principal.
func mine(name, principal string) *upstream.Call {
	c := tool(name)
	c.Scope = upstream.Scope{Key: "principal-" + principal, Principal: principal}
	return c
}

// TestAPrincipalsSignInIsItsOwn is F17 for one principal: what a server wants of one
// of them changes nothing for the others, or for the upstream.
func TestAPrincipalsSignInIsItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		s := d.Server("a")
		s.Version = "2026-07-28" // a remote that has no sessions has a link for each of them all the same
		var out sync.Map
		out.Store("bob", oauth.NotSignedIn)
		refused := func(l *upstream.Dial) error {
			if why, ok := out.Load(l.Principal); ok {
				return unsigned("a", l.Principal, why.(oauth.Why))
			}
			return nil
		}
		s.OnDial = func(_ context.Context, _ int, x *upstream.Dial) error { return refused(x) }
		s.OnRequest = func(ctx context.Context, l *linktest.Link, _ string, r *upstream.Request) (json.RawMessage, error) {
			if r.Message.Text(r.Message.Name) == "slow" {
				return json.RawMessage(`{}`), linktest.Sleep(ctx, time.Minute)
			}
			return nil, refused(l.Dial)
		}
		c := upstream.Defaults()
		c.Name, c.URL, c.Auth.Per = "a", "https://mcp.example/mcp", oauth.PerPrincipal
		b := begin(t, d, c)
		for range 10 {
			e := b.refusal(mine("x", "bob"))
			var needs *oauth.NeedsAuth
			if e.Reason != "needs_auth" || e.Executed != upstream.ExecutedNo || !errors.As(e, &needs) || needs.Principal != "bob" || !strings.HasSuffix(e.Text, "interlock login a --principal bob") {
				t.Fatalf("bob: %+v", e)
			}
			for _, call := range []*upstream.Call{mine("x", "alice"), tool("x")} {
				if _, err := b.up("a").Call(t.Context(), call); err != nil {
					t.Fatal(err)
				}
			}
		}
		if st := b.want("a", upstream.Running); st.Breaker != upstream.BreakerClosed || st.Health != "healthy" || st.Generation != 1 {
			t.Errorf("the upstream: %+v", st)
		}
		out.Delete("bob")
		b.set.SignedIn("a", "bob")
		if _, err := b.up("a").Call(t.Context(), mine("x", "bob")); err != nil {
			t.Fatal(err)
		}
		links := func(principal string) (all, alive int) {
			for _, l := range s.Links() {
				if l.Dial.Principal == principal {
					all++
					if l.Err() == nil {
						alive++
					}
				}
			}
			return all, alive
		}
		// A token that is refused for good is refused to the one who has it.
		out.Store("alice", oauth.Revoked)
		if e := b.refusal(mine("x", "alice")); e.Reason != "needs_auth" {
			t.Errorf("alice: %+v", e)
		}
		time.Sleep(10 * time.Minute)
		b.want("a", upstream.Running)
		out.Delete("alice")

		// Another sign-in: the call on its way stays where it is, the next has another link.
		slow := make(chan error, 1)
		go func() {
			_, err := b.up("a").Call(t.Context(), mine("slow", "alice"))
			slow <- err
		}()
		synctest.Wait()
		b.set.SignedIn("a", "alice")
		if _, err := b.up("a").Call(t.Context(), mine("x", "alice")); err != nil {
			t.Error(err)
		}
		if all, alive := links("alice"); all != 2 || alive != 2 {
			t.Errorf("alice has %d of %d links", alive, all)
		}
		if err := <-slow; err != nil {
			t.Errorf("the call on its way: %v", err)
		}
		synctest.Wait()
		if all, alive := links("alice"); all != 2 || alive != 1 {
			t.Errorf("then alice has %d of %d links", alive, all)
		}

		// Signed out: the link is closed, and with it what is on its way there.
		go func() {
			_, err := b.up("a").Call(t.Context(), mine("slow", "alice"))
			slow <- err
		}()
		synctest.Wait()
		b.set.SignedOut("a", "alice")
		if err := <-slow; err == nil {
			t.Error("the call of one who signed out went on")
		}
		synctest.Wait()
		if _, alive := links("alice"); alive != 0 {
			t.Errorf("alice still has %d links", alive)
		}
		for _, who := range []string{"bob", ""} {
			if all, alive := links(who); all != 1 || alive != 1 {
				t.Errorf("%q has %d of %d links, want the one from before", who, alive, all)
			}
		}
	})
}

// TestLinkOfAnotherPrincipal: whatever the name of a link, it is not for a principal
// that it was not made for.
func TestLinkOfAnotherPrincipal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		s := d.Server("a")
		s.OnRequest = func(_ context.Context, l *linktest.Link, method string, _ *upstream.Request) (json.RawMessage, error) {
			if method != "tools/call" {
				return nil, nil
			}
			return json.RawMessage(`{"who":"` + l.Dial.Principal + `"}`), nil
		}
		b := begin(t, d, command("a"))
		for _, who := range []string{"alice", "bob", "alice", "bob"} {
			c := tool("x")
			c.Scope = upstream.Scope{Principal: who}
			if _, err := b.up("a").Call(t.Context(), c); err != nil {
				t.Error(err)
			}
		}
		if n := len(s.Dials()); n != 3 {
			t.Errorf("%d dials, want one for each", n)
		}
		for range 3 {
			for _, who := range []string{"alice", "bob", ""} {
				for _, key := range []string{"", "k"} {
					c := tool("x")
					c.Scope = upstream.Scope{Key: key, Principal: who}
					m, err := b.up("a").Call(t.Context(), c)
					if got := string(m.Result.Of(m.Raw)); err != nil || got != `{"who":"`+who+`"}` {
						t.Errorf("%s %s: %s, %v", key, who, got, err)
					}
				}
			}
		}
	})
}

func TestSignedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, g := new(linktest.Dialer), new(gate)
		s := g.at(d, "a")
		b := begin(t, d, command("a"), command("b"))
		b.want("a", upstream.Running)
		g.shut(oauth.NotSignedIn)
		b.set.SignedOut("a", "")
		b.needsSignIn("a", oauth.NotSignedIn)
		if s.Last().Err() == nil {
			t.Error("the link of a sign-in that is gone lives")
		}
		b.set.SignedOut("a", "") // changes nothing
		b.needsSignIn("a", oauth.NotSignedIn)
		if n := len(s.Dials()); n != 2 {
			t.Errorf("%d dials, want 2", n)
		}
		if st := b.want("b", upstream.Running); st.Generation != 1 {
			t.Errorf("the other one: %+v", st)
		}
	})
}

// TestNoTokenForNow: that an authorization server cannot be asked tells nothing of
// the upstream.
func TestNoTokenForNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		s := d.Server("a")
		var down atomic.Bool
		s.OnRequest = func(context.Context, *linktest.Link, string, *upstream.Request) (json.RawMessage, error) {
			if down.Load() {
				return nil, &upstream.TransportError{Executed: upstream.ExecutedNo, Reason: "token", Err: errors.New("as.example: connection refused")}
			}
			return nil, nil
		}
		b := begin(t, d, command("a"))
		down.Store(true)
		for range 20 {
			if e := b.refusal(tool("x")); e.Reason != "token" || e.Executed != upstream.ExecutedNo {
				t.Fatalf("%+v", e)
			}
		}
		time.Sleep(15 * time.Second) // a probe
		if st := b.want("a", upstream.Running); st.Breaker != upstream.BreakerClosed {
			t.Errorf("%+v", st)
		}
		if n := s.Asked("tools/call"); n != 20 {
			t.Errorf("sent %d times, want once each", n)
		}
		down.Store(false)
		if _, err := b.up("a").Call(t.Context(), tool("x")); err != nil {
			t.Error(err)
		}
	})
}
