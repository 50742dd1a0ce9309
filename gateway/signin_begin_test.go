package gateway

import (
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/interlock-mcp/interlock/upstream/oauth"
	"github.com/interlock-mcp/interlock/upstream/oauth/oauthtest"
)

// Who holds a link could once have the gateway ask an authorization server as often as he
// liked, by pressing the button while it failed. The link stays good meanwhile.
func TestBeginsAreCounted(t *testing.T) {
	p := protect(t, noRefresh, nil).signedIn()
	p.issuer.Revoke()
	at := p.offered()
	var asked atomic.Int64
	p.issuer.Set(func(b *oauthtest.Behaviour) {
		b.Before = func(w http.ResponseWriter, _ *http.Request) bool {
			asked.Add(1)
			http.Error(w, "out of order", http.StatusServiceUnavailable)
			return true
		}
	})
	b := newBrowser(t)
	for range maxBegins {
		if got := b.press(at); got.status != http.StatusBadGateway {
			t.Fatalf("a try: %d %s", got.status, got.body)
		}
	}
	before := asked.Load()
	got := b.press(at)
	if wait, err := strconv.Atoi(got.header.Get("Retry-After")); got.status != http.StatusTooManyRequests || err != nil || wait < 1 || wait > 60 || !strings.Contains(got.body, "Too many tries") {
		t.Errorf("one more: %d %v %s", got.status, got.header, got.body)
	}
	if n := asked.Load(); n != before || n < maxBegins {
		t.Errorf("the authorization server was asked %d times before, and then %d", before, n-before)
	}
	if got := b.visit(at); got.status != http.StatusOK {
		t.Errorf("the link: %d", got.status)
	}
}

// The oldest try makes room after a minute, each account has tries of its own, and those
// of long ago are forgotten.
func TestBeginsInTime(t *testing.T) {
	var offers offerTable
	now := time.Now()
	up, other := oauth.Key{Upstream: "up"}, oauth.Key{Upstream: "up", Principal: "alice"}
	for i := range maxBegins {
		if wait := offers.admit(up, now.Add(time.Duration(i)*time.Second)); wait != 0 {
			t.Fatalf("try %d waits for %s", i, wait)
		}
	}
	now = now.Add(maxBegins * time.Second)
	if wait := offers.admit(up, now); wait != beginSpan-maxBegins*time.Second {
		t.Errorf("one more waits for %s", wait)
	}
	if wait := offers.admit(other, now); wait != 0 {
		t.Errorf("another account waits for %s", wait)
	}
	now = now.Add(beginSpan - maxBegins*time.Second)
	if offers.admit(up, now) != 0 || offers.admit(up, now) == 0 {
		t.Error("not one try after the first has gone by")
	}
	for i := range 3 * maxOffers {
		now = now.Add(beginSpan)
		offers.admit(oauth.Key{Upstream: "up", Principal: strconv.Itoa(i)}, now)
	}
	if n := len(offers.begins); n > maxOffers {
		t.Errorf("%d accounts are remembered", n)
	}
}
