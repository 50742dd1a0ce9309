package upstream_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// pings makes a script of what ping does.
func pings(f func(ctx context.Context) error) script {
	return func(ctx context.Context, _ *linktest.Link, method string, _ *upstream.Request) (json.RawMessage, error) {
		if method == "ping" {
			return nil, f(ctx)
		}
		return nil, nil
	}
}

func slowly(d time.Duration) func(context.Context) error {
	return func(ctx context.Context) error { return linktest.Sleep(ctx, d) }
}

// TestCheckTells has a row for each of the states that a check can find.
func TestCheckTells(t *testing.T) {
	eternal := func(ctx context.Context, _ *linktest.Link, method string, _ *upstream.Request) (json.RawMessage, error) {
		if method == "tools/call" {
			return nil, linktest.Sleep(ctx, 9*time.Minute)
		}
		return nil, nil
	}
	for _, c := range []struct {
		name    string
		server  func(*linktest.Server)
		config  func(*upstream.Config)
		before  func(*bench)
		took    time.Duration // of the check
		want    upstream.Sample
		errPart string
	}{
		{
			name: "well", server: func(s *linktest.Server) { s.OnRequest = pings(slowly(30 * time.Millisecond)) },
			took: 30 * time.Millisecond,
			want: upstream.Sample{Status: upstream.Running, Healthy: true, Took: 30 * time.Millisecond},
		},
		{
			name: "well, with every slot taken", server: func(s *linktest.Server) { s.OnRequest = eternal },
			config: func(c *upstream.Config) { c.Limits.InFlight = 1 },
			before: func(b *bench) { b.background(2) },
			want:   upstream.Sample{Status: upstream.Running, Healthy: true, Took: 1},
		},
		{
			name: "hangs", server: func(s *linktest.Server) { s.OnRequest = pings(slowly(time.Hour)) },
			took:    5 * time.Second,
			want:    upstream.Sample{Status: upstream.Running},
			errPart: "health.timeout",
		},
		{
			name: "busy", server: func(s *linktest.Server) {
				s.OnRequest = func(ctx context.Context, _ *linktest.Link, method string, _ *upstream.Request) (json.RawMessage, error) {
					if method == "tools/call" || method == "ping" {
						return nil, linktest.Sleep(ctx, 9*time.Minute)
					}
					return nil, nil
				}
			},
			before:  func(b *bench) { b.background(1) },
			took:    5 * time.Second,
			want:    upstream.Sample{Status: upstream.Running, Healthy: true, Neutral: true},
			errPart: "says nothing",
		},
		{
			name: "the way broke", server: func(s *linktest.Server) {
				s.OnRequest = pings(func(context.Context) error {
					return &upstream.TransportError{Executed: upstream.ExecutedUnknown, Reason: "reset"}
				})
			},
			want:    upstream.Sample{Status: upstream.Running},
			errPart: "reset",
		},
		{
			name: "in error", server: func(s *linktest.Server) {
				s.OnDial = func(context.Context, int, *upstream.Dial) error {
					return &upstream.StartError{Stage: "spawn", Err: context.Canceled}
				}
			},
			want:    upstream.Sample{Status: upstream.Errored},
			errPart: "spawn: ",
		},
		{
			name: "starting", server: func(s *linktest.Server) { s.DialTime = time.Minute },
			want:    upstream.Sample{Status: upstream.Starting, Neutral: true},
			errPart: "it is starting",
		},
		{
			name: "stopped on purpose", before: func(b *bench) {
				if err := b.up("a").Stop(b.t.Context()); err != nil {
					b.t.Error(err)
				}
			},
			want:    upstream.Sample{Status: upstream.Stopped, Neutral: true},
			errPart: "stopped by an operator",
		},
		{
			name: "on demand, and nobody needs it", config: func(c *upstream.Config) { c.Start, c.IdleStop = upstream.OnDemand, time.Minute },
			before: func(b *bench) {
				_, _ = b.up("a").Call(b.t.Context(), tool("x"))
				b.await("a", upstream.Stopped, 2*time.Minute)
			},
			want: upstream.Sample{Status: upstream.Stopped, Healthy: true, Neutral: true},
		},
		{
			name: "on demand, and stopped on purpose", config: func(c *upstream.Config) { c.Start = upstream.OnDemand },
			before: func(b *bench) {
				if err := b.up("a").Stop(b.t.Context()); err != nil {
					b.t.Error(err)
				}
			},
			want:    upstream.Sample{Status: upstream.Stopped, Neutral: true},
			errPart: "stopped by an operator",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := new(linktest.Dialer)
				if c.server != nil {
					d.Server("a").Script(c.server)
				}
				config := command("a")
				if c.config != nil {
					c.config(&config)
				}
				b := begin(t, d, config)
				if c.before != nil {
					c.before(b)
				}
				begun := time.Now()
				got := b.up("a").Check(t.Context())
				if took := time.Since(begun); took != c.took {
					t.Errorf("took %v, want %v", took, c.took)
				}
				if all := b.up("a").Samples(); len(all) == 0 || all[len(all)-1] != got {
					t.Errorf("%+v is not the last of the samples %+v", got, all)
				}
				if (got.Err == "") != (c.errPart == "") || !strings.Contains(got.Err, c.errPart) {
					t.Errorf("says %q, want %q in it", got.Err, c.errPart)
				}
				got.Err, got.At = "", time.Time{}
				if got != c.want {
					t.Errorf("got %+v\nwant %+v", got, c.want)
				}
			})
		})
	}
}

// background makes calls that nobody waits for before the test's end.
func (b *bench) background(n int) {
	for range n {
		over := make(chan struct{})
		ctx, cancel := context.WithCancel(context.Background())
		go func() {
			defer close(over)
			_, _ = b.up("a").Call(ctx, tool("x"))
		}()
		b.t.Cleanup(func() { cancel(); <-over })
	}
	synctest.Wait()
}

// TestCheckIsEvidence: what a check found is shown, counts at the breaker, and
// ends the state unknown, as what a probe of the gateway's own found.
func TestCheckIsEvidence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		s := d.Server("a")
		s.OnRequest = pings(func(context.Context) error {
			return &upstream.TransportError{Executed: upstream.ExecutedUnknown, Reason: "reset"}
		})
		c := command("a")
		c.Health.Interval = time.Hour
		b := begin(t, d, c)
		u := b.up("a")
		for i := range 4 {
			u.Check(t.Context())
			if s := b.want("a", upstream.Running); s.Health != "degraded" {
				t.Errorf("after %d: %s", i, s.Health)
			}
		}
		s.Script(func(s *linktest.Server) { s.OnRequest = nil })
		u.Check(t.Context())
		if s := b.want("a", upstream.Running); s.Health != "healthy" {
			t.Errorf("after a pass: %s", s.Health)
		}
		s.Script(func(s *linktest.Server) {
			s.OnRequest = pings(func(context.Context) error {
				return &upstream.TransportError{Executed: upstream.ExecutedUnknown, Reason: "reset"}
			})
		})
		for range 5 {
			u.Check(t.Context())
		}
		b.want("a", upstream.Errored)
		if x := u.Check(t.Context()); x.Healthy || x.Status != upstream.Errored {
			t.Errorf("%+v", x)
		}
	})
}

func TestCheckEndsUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		var busy atomic.Bool
		d.Server("a").OnRequest = func(ctx context.Context, _ *linktest.Link, method string, _ *upstream.Request) (json.RawMessage, error) {
			if method == "tools/call" || busy.Load() && method == "ping" {
				return nil, linktest.Sleep(ctx, 9*time.Minute)
			}
			return nil, nil
		}
		b := begin(t, d, command("a"))
		u := b.up("a")
		if x := u.Check(t.Context()); !x.Healthy || x.Neutral {
			t.Errorf("%+v", x)
		}
		busy.Store(true)
		b.background(1)
		if x := u.Check(t.Context()); !x.Healthy || !x.Neutral {
			t.Errorf("%+v, want it to be as well as it was", x)
		}
		time.Sleep(time.Minute)
		b.want("a", upstream.Unknown)
		if x := u.Check(t.Context()); x.Status != upstream.Unknown || x.Healthy || !x.Neutral {
			t.Errorf("%+v", x)
		}
		busy.Store(false)
		if x := u.Check(t.Context()); x.Status != upstream.Running || !x.Healthy {
			t.Errorf("%+v", x)
		}
		b.want("a", upstream.Running)
		if got := u.Stats(time.Hour); got.Checks != 2 || got.Healthy != 2 {
			t.Errorf("%+v, want the two checks that say something", got)
		}
	})
}

// TestCheckOfOldLink: a check that began before a restart says nothing of what
// runs now.
func TestCheckOfOldLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		s := d.Server("a")
		s.OnRequest = func(ctx context.Context, l *linktest.Link, method string, _ *upstream.Request) (json.RawMessage, error) {
			if method == "ping" && l == s.Links()[0] {
				return nil, linktest.Sleep(ctx, time.Hour)
			}
			return nil, nil
		}
		c := command("a")
		c.Health.Timeout, c.Health.Interval = time.Minute, time.Hour
		b := begin(t, d, c)
		over := make(chan upstream.Sample)
		go func() { over <- b.up("a").Check(context.Background()) }()
		synctest.Wait()
		s.Last().Lose()
		if x := <-over; x.Healthy {
			t.Errorf("%+v", x)
		}
		time.Sleep(time.Second)
		if s := b.want("a", upstream.Running); s.Health != "healthy" || s.Generation != 2 {
			t.Errorf("%+v", s)
		}
	})
}
