package oauth

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/interlock-mcp/interlock/upstream/oauth/oauthtest"
)

// hot is a source with a token that is valid for an hour.
func hot(tb testing.TB) *live {
	tb.Helper()
	net := &oauthtest.Net{}
	store := newMemory()
	k := Key{Upstream: "linear"}
	store.accounts[k] = Account{
		Key: k, Resource: "https://mcp.test/mcp", AccessToken: "at-hot", RefreshToken: "rt-hot",
		Obtained: time.Now(), Expires: time.Now().Add(time.Hour),
	}
	a := New(Options{Store: store})
	tb.Cleanup(func() {
		if err := a.Close(context.WithoutCancel(tb.Context())); err != nil {
			tb.Error(err)
		}
	})
	s := a.Source(&Target{Upstream: "linear", URL: "https://mcp.test/mcp", Client: net.Client()}, "").(*live)
	if h, err := s.Authorization(tb.Context()); err != nil || h != "Bearer at-hot" {
		tb.Fatal("no token", err)
	}
	return s
}

// A request with a valid token takes no lock and allocates nothing.
func TestHotPath(t *testing.T) {
	s := hot(t)
	s.mu.Lock() // who took it would wait for ever
	defer s.mu.Unlock()
	ctx := t.Context()
	if n := testing.AllocsPerRun(1000, func() {
		if _, err := s.Authorization(ctx); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	// The clock of the process stands still while a laptop sleeps.
	if look := s.now.Load().look; strings.Contains(look.String(), "m=") {
		t.Errorf("the end of the token is by the clock of the process: %s", look)
	}
}

func BenchmarkAuthorization(b *testing.B) {
	var s Source = hot(b)
	ctx := b.Context()
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if _, err := s.Authorization(ctx); err != nil {
				b.Error(err)
			}
		}
	})
}
