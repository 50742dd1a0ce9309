package upstream_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// TestBusyProcess is F35: a single-threaded server in one long call has no time
// for pings, and is left alone.
func TestBusyProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		s := d.Server("a")
		var thread sync.Mutex
		s.OnRequest = func(ctx context.Context, _ *linktest.Link, method string, _ *upstream.Request) (json.RawMessage, error) {
			for !thread.TryLock() {
				if err := linktest.Sleep(ctx, time.Millisecond); err != nil {
					return nil, err
				}
			}
			defer thread.Unlock()
			if method == "tools/call" {
				return nil, linktest.Sleep(ctx, time.Minute)
			}
			return nil, nil
		}
		b := begin(t, d, command("a"))
		over := make(chan error)
		go func() {
			_, err := b.up("a").Call(t.Context(), tool("x"))
			over <- err
		}()
		time.Sleep(55 * time.Second)
		if s := b.up("a").Status(); s.State != upstream.Unknown || s.Health != "degraded" || s.Breaker != upstream.BreakerClosed {
			t.Errorf("%+v", s)
		}
		if err := <-over; err != nil {
			t.Error(err)
		}
		time.Sleep(20 * time.Second)
		if s := b.want("a", upstream.Running); s.Health != "healthy" || s.Generation != 1 {
			t.Errorf("%+v", s)
		}
		if n := len(s.Dials()); n != 1 {
			t.Errorf("%d starts", n)
		}
	})
}

// TestHungServer opens by probes alone, although five failures take longer than
// the breaker's window: gobreaker's own count had forgotten the first by then.
func TestHungServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		b := begin(t, d, command("a"))
		d.Server("a").Script(func(s *linktest.Server) {
			s.OnRequest = func(ctx context.Context, l *linktest.Link, _ string, _ *upstream.Request) (json.RawMessage, error) {
				if l == s.Links()[0] {
					<-ctx.Done()
				}
				return nil, nil
			}
		})
		time.Sleep(40 * time.Second)
		if s := b.up("a").Status(); s.State == upstream.Errored || s.Health != "degraded" {
			t.Errorf("%+v", s)
		}
		if s := b.await("a", upstream.Errored, 21*time.Second); s.Failure.Stage != "running" || s.PID == 0 {
			t.Errorf("%+v, failure %+v", s, s.Failure)
		}
		if n := d.Server("a").Asked("ping"); n != 5 {
			t.Errorf("%d pings", n)
		}
		// After the delay the live link is probed, hangs for health.timeout (F27),
		// and the process is made anew.
		time.Sleep(12 * time.Second)
		b.want("a", upstream.Running)
		if n := len(d.Server("a").Dials()); n != 2 {
			t.Errorf("%d starts", n)
		}
		b.seen.mu.Lock()
		defer b.seen.mu.Unlock()
		if got := b.seen.breaker["a"]; len(got) != 3 || got[0] != upstream.BreakerOpen || got[1] != upstream.BreakerHalfOpen || got[2] != upstream.BreakerClosed {
			t.Errorf("the breaker went through %v", got)
		}
	})
}

func TestHalfOpenFindsTheLiveLinkWell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		d.Server("a").OnRequest = fails(upstream.TransportError{Executed: upstream.ExecutedUnknown, Reason: "reset"})
		b := begin(t, d, command("a"))
		for range 5 {
			b.refusal(tool("x"))
		}
		if s := b.want("a", upstream.Errored); time.Until(s.NextRetry) < 4*time.Second {
			t.Errorf("tried again in %v: a breaker that opened on a living link waits", time.Until(s.NextRetry))
		}
		time.Sleep(7 * time.Second)
		b.want("a", upstream.Running)
		if n := len(d.Server("a").Dials()); n != 1 {
			t.Errorf("%d starts, want the link that lives", n)
		}
	})
}

func TestCallsStandForProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		b := begin(t, d, command("a"))
		for range 120 {
			time.Sleep(time.Second)
			if _, err := b.up("a").Call(t.Context(), tool("x")); err != nil {
				t.Fatal(err)
			}
		}
		if n := d.Server("a").Asked("ping"); n != 0 {
			t.Errorf("%d pings beside calls", n)
		}
		time.Sleep(2 * time.Minute)
		if n := d.Server("a").Asked("ping"); n < 10 || n > 13 {
			t.Errorf("%d pings in two minutes", n)
		}
	})
}

func TestIdleRemoteIsProbedLessAndLess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		c := upstream.Defaults()
		c.Name, c.URL = "a", "http://example.com/mcp"
		b := begin(t, d, c)
		time.Sleep(time.Hour)
		if n := d.Server("a").Asked("ping"); n < 6 || n > 10 {
			t.Errorf("%d pings in an hour", n)
		}
		b.want("a", upstream.Running)
	})
}

func TestAnyAnswerIsAPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		d.Server("a").OnRequest = func(_ context.Context, _ *linktest.Link, method string, _ *upstream.Request) (json.RawMessage, error) {
			if method == "ping" {
				return nil, &upstream.ServerError{Code: -32601, Message: "what?"}
			}
			return nil, nil
		}
		d.Server("gone").OnRequest = func(_ context.Context, _ *linktest.Link, method string, _ *upstream.Request) (json.RawMessage, error) {
			if method == "ping" {
				return nil, &upstream.TransportError{Executed: upstream.ExecutedNo, Reason: "dial", Err: errors.New("refused")}
			}
			return nil, nil
		}
		b := begin(t, d, command("a"), command("gone"))
		time.Sleep(10 * time.Minute)
		if s := b.want("a", upstream.Running); s.Health != "healthy" {
			t.Errorf("%+v", s)
		}
		b.want("gone", upstream.Errored)
	})
}
