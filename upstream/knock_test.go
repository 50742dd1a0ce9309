package upstream_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/addrtest"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

func remote(name string) upstream.Config {
	c := upstream.Defaults()
	c.Name, c.URL = name, "http://server.example/mcp"
	return c
}

// outage is a remote whose server can be taken away: nothing listens then.
type outage struct{ down atomic.Bool }

func (o *outage) script(s *linktest.Server) {
	dial := &upstream.TransportError{Executed: upstream.ExecutedNo, Reason: "dial", Err: errors.New("no connection")}
	s.OnRequest = func(context.Context, *linktest.Link, string, *upstream.Request) (json.RawMessage, error) {
		if o.down.Load() {
			return nil, dial
		}
		return nil, nil
	}
	s.OnDial = func(context.Context, int, *upstream.Dial) error {
		if o.down.Load() {
			return &upstream.StartError{Stage: "handshake", Err: dial}
		}
		return nil
	}
	s.OnKnock = func(context.Context, int) error {
		if o.down.Load() {
			return fmt.Errorf("127.0.0.1:1: %w", upstream.ErrRefused)
		}
		return nil
	}
}

func TestRemoteIsServedWhenItIsBack(t *testing.T) {
	for _, c := range []struct {
		name string
		off  time.Duration
		// within is how long after it is back it runs, and knocks how often it was
		// knocked at most.
		within time.Duration
		knocks int
	}{
		{"at once", 0, 5 * time.Millisecond, 20},
		{"soon", 200 * time.Millisecond, 5 * time.Millisecond, 60},
		{"a little later", 4 * time.Second, 25 * time.Millisecond, 345},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var o outage
				d := new(linktest.Dialer)
				s := d.Server("a")
				o.script(s)
				b := begin(t, d, remote("a"))
				b.want("a", upstream.Running)
				o.down.Store(true)
				for b.refusal(tool("x")).Reason != "breaker_open" {
				}
				back := time.Now().Add(c.off)
				if c.off == 0 {
					o.down.Store(false)
				} else {
					st := b.want("a", upstream.Errored)
					if st.Breaker != upstream.BreakerOpen || st.Attempts != 0 || time.Until(st.NextRetry) < 3*time.Second {
						t.Errorf("while it is away: %+v", st)
					}
					time.Sleep(c.off)
					if st = b.want("a", upstream.Errored); st.Attempts != 0 {
						t.Errorf("%d attempts before it is back: being refused is none", st.Attempts)
					}
					o.down.Store(false)
				}
				for b.up("a").Status().State != upstream.Running {
					if time.Since(back) > time.Second {
						t.Fatalf("not served again, %+v", b.up("a").Status())
					}
					time.Sleep(time.Millisecond)
					synctest.Wait()
				}
				if took := time.Since(back); took > c.within+2*time.Millisecond {
					t.Errorf("served %v after it is back, want %v", took, c.within)
				}
				if st := b.up("a").Status(); st.Attempts != 1 || st.Breaker != upstream.BreakerClosed {
					t.Errorf("%+v", st)
				}
				if n := len(s.Knocks()); n > c.knocks {
					t.Errorf("knocked %d times, want %d", n, c.knocks)
				}
				if n := len(s.Dials()); n != 1 {
					t.Errorf("%d links, want the one that outlived it", n)
				}
				b.seen.check(t, "a", "not_started starting running error starting running")
			})
		})
	}
}

// What is not there for long is left to the pauses of restart, from the first
// attempt on.
func TestKnockingEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o outage
		o.down.Store(true)
		d := new(linktest.Dialer)
		s := d.Server("a")
		o.script(s)
		begun := time.Now()
		b := begin(t, d, remote("a"))
		time.Sleep(30 * time.Second)
		b.want("a", upstream.Errored)
		knocks := s.Knocks()
		if n := len(knocks); n < 200 || n > 370 || knocks[n-1].Sub(begun) > 5*time.Second {
			t.Errorf("knocked %d times, the last time after %v", n, knocks[n-1].Sub(begun))
		}
		wantGaps(t, gaps(s), 5500*time.Millisecond, 10*time.Second)
	})
}

// An attempt at what listens and does not work is followed by the pause.
func TestKnockingIsNoWayRoundThePauses(t *testing.T) {
	for _, c := range []struct {
		name   string
		fault  upstream.TransportError
		config upstream.Config
		dials  int // within a second
		knocks int
	}{
		{"ends each request", upstream.TransportError{Reason: "reset", Executed: upstream.ExecutedUnknown}, remote("a"), 2, 1},
		{"has a status for it", upstream.TransportError{Reason: "http_status", Status: 502, Executed: upstream.ExecutedUnknown}, remote("a"), 1, 0},
		{"asked for time", upstream.TransportError{Reason: "reset", RetryAfter: 10 * time.Second, Executed: upstream.ExecutedUnknown}, remote("a"), 1, 0},
		{"is a process", upstream.TransportError{Reason: "write", Executed: upstream.ExecutedUnknown}, command("a"), 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := new(linktest.Dialer)
				s := d.Server("a")
				s.OnKnock = func(context.Context, int) error { return nil }
				s.OnDial = func(context.Context, int, *upstream.Dial) error {
					return &upstream.StartError{Stage: "handshake", Err: &c.fault, RetryAfter: c.fault.RetryAfter}
				}
				b := begin(t, d, c.config)
				time.Sleep(time.Second)
				b.want("a", upstream.Errored)
				if n, k := len(s.Dials()), len(s.Knocks()); n != c.dials || k != c.knocks {
					t.Errorf("%d attempts and %d knocks, want %d and %d", n, k, c.dials, c.knocks)
				}
			})
		})
	}
}

func TestOrdersEndTheKnocking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o outage
		o.down.Store(true)
		d := new(linktest.Dialer)
		o.script(d.Server("a"))
		b := begin(t, d, remote("a"))
		b.want("a", upstream.Errored)
		if err := b.up("a").Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		n := len(d.Server("a").Knocks())
		time.Sleep(time.Minute)
		if more := len(d.Server("a").Knocks()); more != n {
			t.Errorf("knocked %d times after the stop", more-n)
		}
	})
}

func TestDoor(t *testing.T) {
	dialer, err := upstream.NewDialer(upstream.DialerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", addrtest.Free(t))
	if err != nil {
		t.Fatal(err)
	}
	c := remote("a")
	c.URL = "http://" + ln.Addr().String() + "/mcp"
	knock, err := dialer.(upstream.Knocker).Door(t.Context(), &c)
	if err != nil {
		t.Fatal(err)
	}
	if err := knock(t.Context()); err != nil {
		t.Errorf("at a server: %v", err)
	}
	ln.Close()
	if err := knock(t.Context()); !errors.Is(err, upstream.ErrRefused) {
		t.Errorf("where none is: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := knock(ctx); err == nil || errors.Is(err, upstream.ErrRefused) {
		t.Errorf("given up: %v", err)
	}
}
