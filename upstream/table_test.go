package upstream_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// after waits for a state.
func (b *bench) after(state upstream.State) {
	b.t.Helper()
	b.await("a", state, 10*time.Minute)
}

func (b *bench) order(v upstream.Verb) *upstream.Order {
	b.t.Helper()
	defer synctest.Wait()
	return b.set.Order(v, "a")[0]
}

// lose makes the link end, and gives the recovery time to begin.
func lose(s *linktest.Server) {
	s.Last().Lose()
	time.Sleep(time.Millisecond)
}

// TestTable has what makes each transition of the table of states, from a
// running upstream "a". The journal refuses any that is not in the table.
func TestTable(t *testing.T) {
	const begun = "not_started starting running"
	for _, c := range []struct {
		name string
		do   func(b *bench, s *linktest.Server)
		want string // after begun
	}{
		{"stop", func(b *bench, _ *linktest.Server) {
			b.order(upstream.VerbStop)
		}, "stopping stopped"},
		{"stop, start", func(b *bench, _ *linktest.Server) {
			b.order(upstream.VerbStop)
			b.order(upstream.VerbStart)
		}, "stopping stopped starting running"},
		{"restart", func(b *bench, _ *linktest.Server) {
			b.order(upstream.VerbRestart)
		}, "stopping stopped starting running"},
		{"stopped, restart", func(b *bench, _ *linktest.Server) {
			b.order(upstream.VerbStop)
			b.order(upstream.VerbRestart)
		}, "stopping stopped starting running"},
		{"start of one that runs", func(b *bench, _ *linktest.Server) {
			b.order(upstream.VerbStart)
		}, ""},
		{"stop of one that stopped", func(b *bench, _ *linktest.Server) {
			b.order(upstream.VerbStop)
			b.order(upstream.VerbStop)
			b.order(upstream.VerbKill)
		}, "stopping stopped"},
		{"lost", func(_ *bench, s *linktest.Server) {
			lose(s)
		}, "error starting running"},
		{"lost, start fails, recovers", func(b *bench, s *linktest.Server) {
			s.Script(func(s *linktest.Server) { s.OnDial = noCommand })
			lose(s)
			s.Script(func(s *linktest.Server) { s.OnDial = nil })
			time.Sleep(10 * time.Second)
		}, "error starting error starting running"},
		{"breaker opened, probed", func(b *bench, s *linktest.Server) {
			var sick atomic.Bool
			sick.Store(true)
			s.Script(func(s *linktest.Server) {
				s.OnRequest = func(_ context.Context, _ *linktest.Link, method string, _ *upstream.Request) (json.RawMessage, error) {
					if sick.Load() && method == "ping" {
						return nil, &upstream.TransportError{Executed: upstream.ExecutedUnknown, Reason: "reset"}
					}
					return nil, nil
				}
			})
			b.after(upstream.Errored)
			sick.Store(false)
			b.after(upstream.Running)
		}, "error starting running"},
		{"error, stop", func(b *bench, s *linktest.Server) {
			s.Script(func(s *linktest.Server) { s.OnDial = noCommand })
			lose(s)
			b.order(upstream.VerbStop)
			time.Sleep(time.Hour) // its recovery has ended
		}, "error starting error stopped"},
		{"error, restart", func(b *bench, s *linktest.Server) {
			s.Script(func(s *linktest.Server) { s.OnDial = noCommand })
			lose(s)
			s.Script(func(s *linktest.Server) { s.OnDial = nil })
			b.order(upstream.VerbRestart)
		}, "error starting error starting running"},
		{"stop during a start", func(b *bench, s *linktest.Server) {
			s.Script(func(s *linktest.Server) { s.DialTime = time.Hour })
			b.order(upstream.VerbRestart)
			b.order(upstream.VerbStop)
		}, "stopping stopped starting stopping stopped"},
		{"restart during a start", func(b *bench, s *linktest.Server) {
			s.Script(func(s *linktest.Server) { s.DialTime = time.Hour })
			b.order(upstream.VerbRestart)
			s.Script(func(s *linktest.Server) { s.DialTime = 0 })
			b.order(upstream.VerbRestart)
		}, "stopping stopped starting stopping stopped starting running"},
		{"start during a stop", func(b *bench, s *linktest.Server) {
			s.Script(func(s *linktest.Server) { s.CloseTime = time.Minute })
			b.order(upstream.VerbStop)
			b.order(upstream.VerbStart)
			time.Sleep(2 * time.Minute)
		}, "stopping stopped starting running"},
		{"it survives", func(b *bench, s *linktest.Server) {
			s.Script(func(s *linktest.Server) {
				s.OnClose = func(context.Context, *linktest.Link) upstream.StopKind { return upstream.Survived }
			})
			var e *upstream.StartError
			if err := b.order(upstream.VerbStop).Wait(b.t.Context()); !errors.As(err, &e) || e.Error() != "stopping: the process survived SIGKILL" {
				b.t.Errorf("the stop says %v", err)
			}
			time.Sleep(time.Hour) // nothing tries to make it two
		}, "stopping error"},
		{"it survives, start", func(b *bench, s *linktest.Server) {
			s.Script(func(s *linktest.Server) {
				s.OnClose = func(context.Context, *linktest.Link) upstream.StopKind { return upstream.Survived }
			})
			b.order(upstream.VerbStop)
			b.order(upstream.VerbStart)
		}, "stopping error starting running"},
		{"another configuration", func(b *bench, _ *linktest.Server) {
			other := command("a")
			other.Args = []string{"other"}
			if _, err := b.set.Apply([]upstream.Config{other}); err != nil {
				b.t.Error(err)
			}
			synctest.Wait()
		}, "stopping stopped starting running"},
		{"removed", func(b *bench, _ *linktest.Server) {
			if _, err := b.set.Apply(nil); err != nil {
				b.t.Error(err)
			}
			synctest.Wait()
		}, "stopping stopped"},
		{"error, removed", func(b *bench, s *linktest.Server) {
			s.Script(func(s *linktest.Server) { s.OnDial = noCommand })
			lose(s)
			if _, err := b.set.Apply(nil); err != nil {
				b.t.Error(err)
			}
			synctest.Wait()
		}, "error starting error stopped"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := begin(t, new(linktest.Dialer), command("a"))
				u, s := b.up("a"), b.d.Server("a")
				c.do(b, s)
				synctest.Wait()
				want := begun
				if c.want != "" {
					want += " " + c.want
				}
				b.seen.check(t, "a", want)
				if got := string(u.Status().State); got != want[len(want)-len(got):] {
					t.Errorf("its status says %s", got)
				}
				starts := uint64(0)
				for _, state := range b.seen.states["a"] {
					if state == upstream.Starting {
						starts++
					}
				}
				if got := u.Status().Generation; got != starts {
					t.Errorf("generation %d after %d starts", got, starts)
				}
			})
		})
	}
}

func TestRegisteredIsNotStarted(t *testing.T) {
	set := upstream.NewSet(upstream.Options{Dialer: new(linktest.Dialer)})
	if _, err := set.Apply([]upstream.Config{command("a")}); err != nil {
		t.Fatal(err)
	}
	s := set.Upstream("a").Status()
	if s.State != upstream.NotStarted || !s.Desired || s.Health != "" || s.Breaker != upstream.BreakerClosed || s.Generation != 0 {
		t.Errorf("%+v", s)
	}
}

// An attempt that an operator ends tells nothing: the breaker once was shown to
// open again.
func TestStopDuringAnAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := begin(t, new(linktest.Dialer), command("a"))
		b.d.Server("a").Script(func(s *linktest.Server) { s.DialTime = time.Minute })
		b.d.Server("a").Last().Lose()
		synctest.Wait()
		b.want("a", upstream.Starting)
		waitAll(t, b.set.Order(upstream.VerbStop, "a"))
		want := []upstream.BreakerState{upstream.BreakerOpen, upstream.BreakerHalfOpen, upstream.BreakerClosed}
		if got := fmt.Sprint(b.seen.breaker["a"]); got != fmt.Sprint(want) {
			t.Errorf("the breaker was %s, want %v", got, want)
		}
	})
}

// A failed probe once made one that was unknown running.
func TestUnknownEndsWithSuccessOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		var mode atomic.Value
		mode.Store("busy")
		d.Server("a").OnRequest = func(ctx context.Context, _ *linktest.Link, method string, _ *upstream.Request) (json.RawMessage, error) {
			switch {
			case method == "tools/call", method == "ping" && mode.Load() == "busy":
				return nil, linktest.Sleep(ctx, 9*time.Minute)
			case method == "ping" && mode.Load() == "sick":
				return nil, &upstream.TransportError{Executed: upstream.ExecutedUnknown, Reason: "reset"}
			}
			return nil, nil
		}
		b := begin(t, d, command("a"))
		go func() { _, _ = b.up("a").Call(t.Context(), tool("x")) }()
		time.Sleep(time.Minute)
		if s := b.want("a", upstream.Unknown); s.Health != "degraded" {
			t.Errorf("health %q", s.Health)
		}
		mode.Store("sick")
		time.Sleep(25 * time.Second) // two probes of five
		b.want("a", upstream.Unknown)
		mode.Store("well")
		time.Sleep(12 * time.Second)
		b.want("a", upstream.Running)
		mode.Store("busy")
		time.Sleep(time.Minute)
		b.want("a", upstream.Unknown)
		mode.Store("sick")
		b.after(upstream.Errored)
		b.seen.check(t, "a", "not_started starting running error")
	})
}

// What each failed start says.
func TestFailureOfEachStage(t *testing.T) {
	for _, c := range []struct {
		name, stage, exit string
		script            func(s *linktest.Server)
	}{
		{"spawn", "spawn", "", func(s *linktest.Server) { s.OnDial = noCommand }},
		{"handshake", "handshake", "exit status 3", func(s *linktest.Server) {
			s.OnDial = func(context.Context, int, *upstream.Dial) error {
				return &upstream.StartError{Stage: "handshake", Exit: "exit status 3", Stderr: []string{"no database"}, Err: errors.New("the process ended")}
			}
		}},
		{"list", "list", "signal: killed", func(s *linktest.Server) {
			s.OnRequest = func(_ context.Context, l *linktest.Link, method string, _ *upstream.Request) (json.RawMessage, error) {
				if method == "tools/list" {
					l.Lose()
				}
				return nil, nil
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := new(linktest.Dialer)
				c.script(d.Server("a"))
				b := begin(t, d, command("a"), command("b", "a"))
				s := b.want("a", upstream.Errored)
				if f := s.Failure; f.Stage != c.stage || f.Exit != c.exit || f.Message == "" {
					t.Errorf("%+v", f)
				}
				if f := b.want("b", upstream.Errored).Failure; f.Stage != "dependency" {
					t.Errorf("%+v", f)
				}
				stages := b.up("a").Stages()
				if last := stages[len(stages)-1].Name; c.stage == "list" && last != "list" {
					t.Errorf("the last stage is %s", last)
				}
			})
		})
	}
}
