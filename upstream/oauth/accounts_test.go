package oauth

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/interlock-mcp/interlock/upstream/oauth/oauthtest"
)

// A configuration that changes just as its sources begin to renew holds up neither.
func TestSourceAnewWhileItRenews(t *testing.T) {
	a := New(Options{Store: newMemory()})
	targets := [2]*Target{}
	for i := range targets {
		targets[i] = &Target{Upstream: "linear", URL: "https://mcp.test/mcp", Client: new(http.Client), Config: Config{Scopes: make([]string, i)}}
	}
	var now atomic.Pointer[live]
	now.Store(a.Source(targets[0], "").(*live))
	over, done := make(chan struct{}), make(chan struct{})
	var renewing sync.WaitGroup
	for range 2 {
		renewing.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
				}
				s := now.Load()
				s.mu.Lock()
				a.run(func(context.Context) {}) // as fly does
				s.mu.Unlock()
			}
		})
	}
	go func() {
		defer close(done)
		for i := range 20_000 {
			now.Store(a.Source(targets[(i+1)%2], "").(*live))
		}
		close(over)
		renewing.Wait()
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("they wait for each other")
	}
	if err := a.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// What is forgotten is the account of that principal, and not the gateway's own, also
// where principals have none any more.
func TestForgetOfAPrincipal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hour, oauthtest.Protection{}, Config{})
		r.signIn("")
		hers := r.signIn("alice")
		s := r.Source(r.target, "")
		r.must(s)
		if err := r.Forget(t.Context(), r.target, "alice"); err != nil {
			t.Fatal(err)
		}
		if _, err := r.store.Account(t.Context(), hers.Key); !errors.Is(err, ErrNoAccount) {
			t.Errorf("hers is still there: %v", err)
		}
		if _, err := r.store.Account(t.Context(), Key{Upstream: "linear"}); err != nil {
			t.Errorf("the gateway's own: %v", err)
		}
		r.must(s)
	})
}

// Who looks at all accounts of an upstream tells of those that changed alone, and takes
// no account from anybody because it was called off.
func TestLookAtWhatDidNotChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hour, oauthtest.Protection{}, Config{Per: PerPrincipal})
		own, hers := Key{Upstream: "linear"}, Key{Upstream: "linear", Principal: "alice"}
		r.signIn("")
		r.signIn("alice")
		for _, who := range []string{"", "alice"} {
			r.must(r.Source(r.target, who))
		}
		bob := r.Source(r.target, "bob")
		r.needs(bob, "whoami")
		synctest.Wait() // what happened is told after
		before := len(r.events)
		r.changed = nil
		for _, k := range []Key{own, hers, {Upstream: "linear", Principal: "bob"}} {
			r.Look(t.Context(), k)
		}
		if len(r.events) != before || !cmp.Equal(r.changed, []Key{own}) {
			t.Errorf("told: %v %+v", r.changed, r.events[before:])
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		r.Look(gone, hers)
		if !r.State(hers).Signed || len(r.changed) != 1 {
			t.Errorf("called off: state %+v, told %v", r.State(hers), r.changed)
		}
		other := r.newProcess(Config{Per: PerPrincipal})
		if err := other.Forget(t.Context(), other.target, "alice"); err != nil {
			t.Fatal(err)
		}
		for _, k := range []Key{own, hers} {
			r.Look(t.Context(), k)
		}
		if r.State(hers).Signed || r.count(SignedOutEvent) != 1 || !cmp.Equal(r.changed, []Key{own, own, hers}) {
			t.Errorf("told: %v %+v", r.changed, r.events[before:])
		}
		r.must(r.Source(r.target, ""))
	})
}

// A gateway that ends while an account is stored that was renewed keeps it: its issuer
// takes the one before no longer.
func TestEndWhileItIsStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hour, oauthtest.Protection{}, Config{})
		before := r.signIn("")
		p := r.newProcess(Config{})
		time.Sleep(2 * time.Hour)
		r.store.pen = 3 * time.Second
		s := p.Source(p.target, "")
		go func() { _, _ = s.Authorization(t.Context()) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := p.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("closed with %v", err)
		}
		r.store.pen = 0
		if kept, err := r.store.Account(t.Context(), before.Key); err != nil || kept.RefreshToken == before.RefreshToken {
			t.Fatalf("it is lost (%v)", err)
		}
		r.must(r.Source(r.target, ""))
	})
}

// A token that is worth nothing by the time that it is stored is sent all the same: a
// request without one would be refused for sure.
func TestTokenThatHardlyLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, oauthtest.Behaviour{Lifetime: time.Second}, oauthtest.Protection{}, Config{})
		r.signIn("")
		s := r.Source(r.target, "")
		r.store.pen = 2 * time.Second
		time.Sleep(time.Minute)
		if h := r.header(s); h == "" {
			t.Error("nothing is sent")
		}
	})
}
