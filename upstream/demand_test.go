package upstream_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// demanded is an upstream that starts on demand and stops after a minute.
func demanded(name string, edges ...string) upstream.Config {
	c := command(name, edges...)
	c.Start, c.IdleStop = upstream.OnDemand, time.Minute
	return c
}

// resting runs demanded upstreams until each was learnt and rests.
func resting(t *testing.T, d *linktest.Dialer, configs ...upstream.Config) *bench {
	t.Helper()
	b := begin(t, d, configs...)
	time.Sleep(5 * time.Minute)
	return b
}

// idle wants name not to run because nobody needs it.
func (b *bench) idle(name string, state upstream.State) upstream.Status {
	b.t.Helper()
	s := b.want(name, state)
	if !s.Idle || !s.OnDemand || !s.Desired || s.Health != "" || s.Breaker != upstream.BreakerClosed {
		b.t.Errorf("%s: %+v", name, s)
	}
	return s
}

func (b *bench) dials(name string, want int) {
	b.t.Helper()
	synctest.Wait()
	if got := len(b.d.Server(name).Dials()); got != want {
		b.t.Errorf("%s was dialled %d times, want %d", name, got, want)
	}
}

func (b *bench) call(name string) {
	b.t.Helper()
	if _, err := b.up(name).Call(b.t.Context(), tool("x")); err != nil {
		b.t.Error(err)
	}
}

func TestOnDemandIsLearntOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, dir := new(linktest.Dialer), t.TempDir()
		d.Server("a").Tools = []string{"x"}
		b := beginIn(t, dir, d, demanded("a"))
		b.want("a", upstream.Running)
		b.await("a", upstream.Stopped, 70*time.Second)
		s := b.idle("a", upstream.Stopped)
		if s.LastStop != upstream.Graceful || s.Because != "nobody needed it for idle_stop" {
			t.Errorf("%s: %s", s.LastStop, s.Because)
		}
		b.seen.check(t, "a", "not_started starting running stopping stopped")
		b.stop()

		b = beginIn(t, dir, d, demanded("a"))
		time.Sleep(time.Hour)
		b.idle("a", upstream.NotStarted)
		b.dials("a", 1)
		if inv := b.up("a").Inventory(); inv == nil || len(inv.Tools) != 1 {
			t.Errorf("inventory %+v", inv)
		}
		b.call("a")
		b.want("a", upstream.Running)
		b.dials("a", 2)
		time.Sleep(70 * time.Second)
		b.idle("a", upstream.Stopped)
		probes := d.Server("a").Asked("ping")
		time.Sleep(time.Hour)
		if n := d.Server("a").Asked("ping"); n != probes {
			t.Errorf("%d probes of one that does not run", n-probes)
		}
		b.seen.check(t, "a", "not_started starting running stopping stopped")
	})
}

func TestOnDemandWithoutIdleStopStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := demanded("a")
		c.IdleStop = 0
		b := begin(t, new(linktest.Dialer), c)
		time.Sleep(24 * time.Hour)
		b.want("a", upstream.Running)
		b.dials("a", 1)
	})
}

// A call waits for the start within its own deadline, and many make one start.
func TestOnDemandCallsWaitForTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		c := demanded("a")
		c.CallTimeout = 70 * time.Second
		b := resting(t, d, c)
		d.Server("a").Script(func(s *linktest.Server) { s.DialTime = 30 * time.Second })
		begun := time.Now()
		var calls sync.WaitGroup
		for i := range 50 {
			calls.Go(func() {
				x := tool("x")
				if i%2 == 1 {
					x.Scope.Key = "one"
				}
				if _, err := b.up("a").Call(t.Context(), x); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if s := b.want("a", upstream.Starting); s.Queued != 50 {
			t.Errorf("%d calls wait", s.Queued)
		}
		calls.Wait()
		if took := time.Since(begun); took != 60*time.Second { // the scope's own link takes as long
			t.Errorf("took %v", took)
		}
		b.dials("a", 3)

		time.Sleep(5 * time.Minute)
		b.idle("a", upstream.Stopped)
		d.Server("a").Script(func(s *linktest.Server) { s.DialTime = time.Hour })
		begun = time.Now()
		e := b.refusal(tool("x"))
		if e.Reason != "starting" || e.Executed != upstream.ExecutedNo || time.Since(begun) != 70*time.Second {
			t.Errorf("%+v after %v", e, time.Since(begun))
		}
	})
}

func TestOnDemandRunsWhileItIsNeeded(t *testing.T) {
	for _, c := range []struct {
		name string
		// need makes a need that lasts until over is done.
		need func(b *bench, over context.Context)
	}{
		{"a call", func(b *bench, over context.Context) {
			b.d.Server("a").Script(func(s *linktest.Server) {
				s.OnRequest = calls(func(context.Context, int64, *upstream.Request) (json.RawMessage, error) {
					<-over.Done()
					return nil, nil
				})
			})
			b.call("a")
		}},
		{"a call on a link of its own", func(b *bench, over context.Context) {
			b.d.Server("a").Script(func(s *linktest.Server) {
				s.OnRequest = calls(func(context.Context, int64, *upstream.Request) (json.RawMessage, error) {
					<-over.Done()
					return nil, nil
				})
			})
			x := tool("x")
			x.Scope.Key = "one"
			if _, err := b.up("a").Call(b.t.Context(), x); err != nil {
				b.t.Error(err)
			}
		}},
		{"calls now and then", func(b *bench, over context.Context) {
			for over.Err() == nil {
				b.call("a")
				time.Sleep(50 * time.Second)
			}
		}},
		{"a subscription", func(b *bench, over context.Context) {
			if err := b.up("a").Subscribe(b.t.Context(), upstream.Scope{}, "file:///x"); err != nil {
				b.t.Error(err)
			}
			<-over.Done()
			if err := b.up("a").Unsubscribe(b.t.Context(), upstream.Scope{}, "file:///x"); err != nil {
				b.t.Error(err)
			}
		}},
		{"a person is asked", func(b *bench, over context.Context) {
			b.d.Server("a").Script(func(s *linktest.Server) {
				s.OnRequest = calls(func(ctx context.Context, _ int64, r *upstream.Request) (json.RawMessage, error) {
					r.Peer.Asked(&upstream.Question{Answer: func(context.Context, []byte) error { return nil }})
					<-over.Done()
					return nil, nil
				})
			})
			x := tool("x")
			x.Request.Peer = nobodyAnswers{}
			_, _ = b.up("a").Call(context.Background(), x)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				config := demanded("a")
				config.CallTimeout = 10 * time.Hour
				config.MaxCallTimeout = 10 * time.Hour
				b := resting(t, new(linktest.Dialer), config)
				b.idle("a", upstream.Stopped)
				over, end := context.WithTimeout(t.Context(), 2*time.Hour)
				defer end()
				go c.need(b, over)
				time.Sleep(2*time.Hour - time.Second)
				b.want("a", upstream.Running)
				time.Sleep(3 * time.Minute)
				b.idle("a", upstream.Stopped)
				b.seen.check(t, "a", "not_started starting running stopping stopped starting running stopping stopped")
			})
		})
	}
}

type nobodyAnswers struct{ upstream.Peer }

func (nobodyAnswers) Asked(*upstream.Question) {}

// A start that fails is told, tried as often as the policy says, and then only
// when somebody calls.
func TestOnDemandStartFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		c := demanded("a")
		c.Restart.Stable = time.Hour
		b := resting(t, d, c)
		d.Server("a").Script(func(s *linktest.Server) { s.OnDial = noCommand })
		begun := time.Now()
		e := b.refusal(tool("x"))
		if e.Executed != upstream.ExecutedNo || e.Reason != "error" || e.RetryAfter <= 0 || !strings.Contains(e.Text, "no such command") || time.Since(begun) > time.Second {
			t.Errorf("%+v after %v", e, time.Since(begun))
		}
		time.Sleep(2 * time.Minute)
		if s := b.want("a", upstream.Errored); !s.Exhausted || s.Health != "unhealthy" || s.Idle {
			t.Errorf("%+v", s)
		}
		b.dials("a", 1+1+3)
		if e := b.refusal(tool("x")); e.Reason != "exhausted" || e.RetryAfter <= 0 {
			t.Errorf("%+v", e)
		}
		time.Sleep(24 * time.Hour)
		b.dials("a", 1+1+3)
		if e := b.refusal(tool("x")); e.Reason != "exhausted" {
			t.Errorf("%+v", e)
		}
		b.dials("a", 1+1+3+1)
		d.Server("a").Script(func(s *linktest.Server) { s.OnDial = nil })
		time.Sleep(24 * time.Hour)
		b.dials("a", 1+1+3+1)
		b.call("a")
		time.Sleep(2 * time.Minute)
		if s := b.idle("a", upstream.Stopped); s.Attempts != 0 || s.Exhausted {
			t.Errorf("%+v", s)
		}
		// That is forgotten, though it did not run for restart.stable.
		d.Server("a").Script(func(s *linktest.Server) { s.OnDial = noCommand })
		b.refusal(tool("x"))
		if s := b.want("a", upstream.Errored); s.Exhausted || time.Until(s.NextRetry) > 10*time.Second {
			t.Errorf("%+v", s)
		}
	})
}

// What was never learnt is needed by the gateway itself: it is tried on.
func TestOnDemandNeverLearnt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		d.Server("a").OnDial = noCommand
		b := begin(t, d, demanded("a"))
		time.Sleep(time.Hour)
		b.want("a", upstream.Errored)
		d.Server("a").Script(func(s *linktest.Server) { s.OnDial = nil })
		time.Sleep(11*time.Minute + 30*time.Second)
		b.idle("a", upstream.Stopped)
		if b.up("a").Inventory() == nil {
			t.Error("not learnt")
		}
	})
}

// A dependent wakes what it depends on, which does not stop under it.
func TestOnDemandDependency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		b := resting(t, d, demanded("db"), command("web", "db"))
		b.want("web", upstream.Running)
		time.Sleep(24 * time.Hour)
		b.want("db", upstream.Running)
		waitAll(t, b.set.Order(upstream.VerbStop, "web"))
		time.Sleep(2 * time.Minute)
		b.idle("db", upstream.Stopped)
		orders := b.set.Order(upstream.VerbStart, "web")
		if got := orders[0].With; !slices.Equal(got, []string{"db"}) {
			t.Errorf("started with %v", got)
		}
		waitAll(t, orders)
		b.want("db", upstream.Running)
	})
}

// A chain of such upstreams wakes from the bottom and goes to rest from the top.
func TestOnDemandChain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		b := begin(t, d, demanded("web", "api"), demanded("api", "db"), demanded("db"))
		time.Sleep(10 * time.Minute)
		n := len(d.Events())
		begun := time.Now()
		b.call("web")
		if took := time.Since(begun); took > time.Second {
			t.Errorf("the call took %v", took)
		}
		time.Sleep(10 * time.Minute)
		want := []string{"dial db", "dial api", "dial web", "close web", "close api", "close db"}
		if got := b.since(n); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		for _, name := range []string{"web", "api", "db"} {
			b.idle(name, upstream.Stopped)
			b.seen.check(t, name, "not_started starting running stopping stopped starting running stopping stopped")
		}
		// The bottom fails for good, and a day later a call finds it mended.
		d.Server("db").Script(func(s *linktest.Server) { s.OnDial = noCommand })
		if _, err := b.up("web").Call(t.Context(), tool("x")); err == nil || !strings.Contains(err.Error(), "no such command") {
			t.Errorf("got %v", err)
		}
		time.Sleep(24 * time.Hour)
		d.Server("db").Script(func(s *linktest.Server) { s.OnDial = nil })
		time.Sleep(15 * time.Minute)
		b.call("web")
	})
}

// What failed long ago and would be tried again is waited for, and has not failed.
func TestOnDemandDependencyIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		b := resting(t, d, demanded("api", "db"), demanded("db"))
		d.Server("db").Script(func(s *linktest.Server) { s.OnDial = noCommand })
		if _, err := b.up("db").Call(t.Context(), tool("x")); err == nil {
			t.Error("db was called")
		}
		time.Sleep(24 * time.Hour)
		if s := b.want("db", upstream.Errored); !s.Exhausted {
			t.Errorf("%+v", s)
		}
		d.Server("db").Script(func(s *linktest.Server) { s.OnDial = nil })
		b.call("api")
		b.seen.check(t, "api", "not_started starting running stopping stopped starting running")
	})
}

func TestOnDemandAndOperators(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		b := resting(t, d, demanded("a"))
		waitAll(t, b.set.Order(upstream.VerbStop, "a"))
		s := b.want("a", upstream.Stopped)
		if s.Idle || s.Desired || s.Because != "stopped by an operator" {
			t.Errorf("%+v", s)
		}
		if e := b.refusal(tool("x")); e.Reason != "stopped" {
			t.Errorf("%+v", e)
		}
		waitAll(t, b.set.Order(upstream.VerbStart, "a"))
		b.want("a", upstream.Running)
		time.Sleep(2 * time.Minute)
		b.idle("a", upstream.Stopped)
		waitAll(t, b.set.Order(upstream.VerbRestart, "a"))
		b.want("a", upstream.Running)
		waitAll(t, b.set.Order(upstream.VerbKill, "a"))
		if s := b.want("a", upstream.Stopped); s.Because != "killed by an operator" {
			t.Errorf("%+v", s)
		}
	})
}

// One that nothing ended is in error; it is not made two for nobody.
func TestOnDemandSurvives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		d.Server("a").OnClose = func(context.Context, *linktest.Link) upstream.StopKind { return upstream.Survived }
		b := begin(t, d, demanded("a"))
		time.Sleep(24 * time.Hour)
		if s := b.want("a", upstream.Errored); s.Idle || s.Failure.Stage != "stopping" {
			t.Errorf("%+v", s)
		}
		b.dials("a", 1)
		b.call("a")
		b.dials("a", 2)
		d.Server("a").Script(func(s *linktest.Server) { s.OnClose = nil })
		time.Sleep(2 * time.Minute)
		b.idle("a", upstream.Stopped)
	})
}

func TestOnDemandAppliesLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := resting(t, new(linktest.Dialer), demanded("a"))
		b.idle("a", upstream.Stopped)
		apply := func(c upstream.Config) {
			t.Helper()
			if _, err := b.set.Apply([]upstream.Config{c}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		apply(command("a"))
		b.want("a", upstream.Running)
		apply(demanded("a"))
		time.Sleep(2 * time.Minute)
		b.idle("a", upstream.Stopped)
		b.dials("a", 2)
		// Another server: what it lists was never learnt.
		other := demanded("a")
		other.Args = []string{"other"}
		apply(other)
		b.want("a", upstream.Running)
		time.Sleep(2 * time.Minute)
		b.idle("a", upstream.Stopped)
		b.dials("a", 3)
	})
}

// A call that comes at the very moment of the stop is answered.
func TestOnDemandStopMeetsCalls(t *testing.T) {
	for round := range 3 { // one bubble for all is too much for the race detector
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { meetStops(t, 400) })
		})
	}
}

func meetStops(t *testing.T, times int) {
	t.Helper()
	d := new(linktest.Dialer)
	c := demanded("a")
	c.IdleStop = 80 * time.Millisecond
	d.Server("a").OnRequest = takes(time.Millisecond)
	b := resting(t, d, c)
	var made atomic.Int64
	var callers sync.WaitGroup
	for i := range 8 {
		callers.Go(func() {
			x := upstream.Scope{}
			if i%2 == 1 {
				x.Key = "one"
			}
			for n := range times {
				one := tool("x")
				one.Scope = x
				if _, err := b.up("a").Call(t.Context(), one); err != nil {
					t.Error(err)
					return
				}
				made.Add(1)
				time.Sleep(time.Duration(79+n%2*10) * time.Millisecond) // with the call, the moment of the stop
			}
		})
	}
	callers.Wait()
	if n := len(d.Server("a").Dials()); n < 10 {
		t.Errorf("%d dials: the stop was hardly ever met", n)
	}
	if n := d.Server("a").Asked("tools/call"); int64(n) != made.Load() {
		t.Errorf("%d calls reached the server, %d were made", n, made.Load())
	}
}
