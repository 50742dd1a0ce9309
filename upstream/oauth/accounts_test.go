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
