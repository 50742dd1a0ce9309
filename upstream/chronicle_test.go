package upstream_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// TestChronicleOfADeath has a process die under a call, which is made again and
// waits for the restart that it was in the way of.
func TestChronicleOfADeath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		s := d.Server("a")
		s.DialTime, s.CloseTime = time.Second, 200*time.Millisecond
		s.OnRequest = calls(func(_ context.Context, n int64, _ *upstream.Request) (json.RawMessage, error) {
			if n == 1 {
				time.Sleep(3 * time.Second)
				s.Last().Lose()
			}
			return nil, nil
		})
		b := begin(t, d, command("a"))
		time.Sleep(2 * time.Second)
		c, seen := watched("call")
		c.Idempotent = true
		if _, err := b.up("a").Call(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if len(seen.delays) != 1 || tied(seen.delays[0].Start) != "a.start2" || seen.tied() != "hurt_by a.breaker1" || seen.delays[0].Over.Round(time.Second) != b.annals.zero.Add(6*time.Second) {
			t.Errorf("waited %v", seen.said(b.annals.zero))
		}
		time.Sleep(time.Second)
		go b.up("a").Restart(t.Context())
		time.Sleep(3 * time.Second)
		b.stop()
		b.annals.check(t, "a",
			"a.start1 gen 1 0s to 1s; because configured; pid 1001; [spawn 0s to 0s]; [handshake 0s to 1s]; [list 1s to 1s]",
			"a.breaker1 gen 1 5s; from closed to open",
			"a.start2 gen 2 5s to 6s; because recovery; restart true; pid 1002; caused a.breaker1; previous a.start1; caused call; [spawn 5s to 5s]; [handshake 5s to 6s]; [probe 6s to 6s]; [list 6s to 6s]",
			"a.breaker2 gen 2 5s; from open to half_open; caused a.start2; previous a.breaker1",
			"a.breaker3 gen 2 6s; from half_open to closed; caused a.start2; previous a.breaker2",
			"a.stop1 gen 2 7s to 7.2s; because restarted by an operator; how graceful; previous a.start2",
			"a.start3 gen 3 7.2s to 8.2s; because operator; restart true; pid 1003; previous a.stop1; [spawn 7.2s to 7.2s]; [handshake 7.2s to 8.2s]; [list 8.2s to 8.2s]",
			"a.stop2 gen 3 10s to 10.2s; because the gateway stops; how graceful; previous a.start3",
		)
	})
}

// TestWhatCallsAreRefusedFor names, for each way to be refused, the episode.
func TestWhatCallsAreRefusedFor(t *testing.T) {
	broken := &upstream.TransportError{Executed: upstream.ExecutedNo, Reason: "http_status", Status: 502}
	for _, c := range []struct {
		name   string
		script func(s *linktest.Server)
		change func(c *upstream.Config)
		first  func(b *bench)
		reason string
		by     string
	}{
		{
			name: "a start that failed",
			script: func(s *linktest.Server) {
				s.OnDial = func(context.Context, int, *upstream.Dial) error {
					return &upstream.StartError{Stage: "spawn", Err: errors.New("no such file")}
				}
			},
			reason: "error", by: "a.start1",
		},
		{
			name:   "a breaker that failures opened",
			script: func(s *linktest.Server) { s.OnRequest = fails(*broken) },
			change: func(c *upstream.Config) { c.Breaker.Failures = 1 },
			first:  func(b *bench) { b.refusal(tool("x")) },
			reason: "breaker_open", by: "a.breaker1",
		},
		{
			name:   "a process that ended, and is not started again",
			change: func(c *upstream.Config) { c.Restart.Policy = upstream.Never },
			first:  func(b *bench) { b.d.Server("a").Last().Lose() },
			reason: "error", by: "a.breaker1",
		},
		{
			name:   "a stop",
			first:  func(b *bench) { _ = b.up("a").Stop(b.t.Context()) },
			reason: "stopped", by: "a.stop1",
		},
		{
			name:   "a restart that failed",
			change: func(c *upstream.Config) { c.Restart.MaxAttempts = 1 },
			first: func(b *bench) {
				b.d.Server("a").Script(func(s *linktest.Server) {
					s.OnDial = func(context.Context, int, *upstream.Dial) error { return errors.New("it is gone") }
				})
				b.d.Server("a").Last().Lose()
				synctest.Wait()
			},
			reason: "exhausted", by: "a.start2",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := new(linktest.Dialer)
				if c.script != nil {
					c.script(d.Server("a"))
				}
				cfg := command("a")
				if c.change != nil {
					c.change(&cfg)
				}
				b := begin(t, d, cfg)
				if c.first != nil {
					c.first(b)
				}
				synctest.Wait()
				x, seen := watched("call")
				e := b.refusal(x)
				if e.Reason != c.reason || seen.tied() != "refused_by "+c.by {
					t.Errorf("refused for %s (%s), %q; want %s, by %q", e.Reason, e.Text, seen.tied(), c.reason, c.by)
				}
			})
		})
	}
}

// TestWhatOpensTheBreaker ties the opening to the calls whose failures were
// counted, and hands its mark to a call that is refused before it is shown.
func TestWhatOpensTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		bad := &upstream.TransportError{Executed: upstream.ExecutedUnknown, Reason: "http_status", Status: 502}
		d.Server("a").OnRequest = calls(func(_ context.Context, n int64, _ *upstream.Request) (json.RawMessage, error) {
			if n == 1 {
				return nil, nil
			}
			return nil, bad
		})
		cfg := command("a")
		cfg.Breaker.Failures = 3
		b := begin(t, d, cfg)
		time.Sleep(time.Second)
		for _, label := range []string{"fine", "one", "two", "three"} {
			c, _ := watched(label)
			_, _ = b.up("a").Call(t.Context(), c)
		}
		b.annals.check(t, "a",
			"a.start1 gen 1 0s; because configured; pid 1001; [spawn 0s to 0s]; [handshake 0s to 0s]; [list 0s to 0s]",
			"a.breaker1 gen 1 1s; from closed to open; caused one; caused two; caused three",
		)
	})
}

// TestWhatAProbeDecides ties the opening to the calls that had timed out, and to the
// probe that they were the reason for.
func TestWhatAProbeDecides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		d.Server("a").OnRequest = func(ctx context.Context, _ *linktest.Link, method string, _ *upstream.Request) (json.RawMessage, error) {
			if method == "tools/call" || method == "ping" {
				<-ctx.Done()
				return nil, context.Cause(ctx)
			}
			return nil, nil
		}
		cfg := command("a")
		cfg.CallTimeout, cfg.Health.Timeout, cfg.Health.Interval = time.Second, 2*time.Second, time.Hour
		cfg.Breaker.Failures = 2
		b := begin(t, d, cfg)
		var all sync.WaitGroup
		for _, label := range []string{"one", "two"} {
			c, _ := watched(label)
			all.Go(func() { _, _ = b.up("a").Call(t.Context(), c) })
			time.Sleep(100 * time.Millisecond)
		}
		all.Wait()
		time.Sleep(2 * time.Second)
		want := "a.breaker1 gen 1 3s; from closed to open; caused one; caused two; caused a.probe1"
		if told := b.annals.told("a"); len(told) < 3 || told[2] != want {
			t.Errorf("got %q, want %q", told, want)
		}
	})
}

// TestHurt tells a call that was on its way when the process died which opening of
// the breaker that was, whoever of the two learns of it first.
func TestHurt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		s := d.Server("a")
		s.DialTime = time.Second
		s.OnRequest = calls(func(context.Context, int64, *upstream.Request) (json.RawMessage, error) {
			time.Sleep(2 * time.Second)
			return nil, nil
		})
		b := begin(t, d, command("a"))
		time.Sleep(2 * time.Second)
		var all sync.WaitGroup
		for range 10 {
			c, seen := watched("call")
			all.Go(func() {
				if _, err := b.up("a").Call(t.Context(), c); err == nil || seen.tied() != "hurt_by a.breaker1" {
					t.Errorf("%v, %q", err, seen.tied())
				}
			})
		}
		time.Sleep(time.Second)
		s.Last().Lose()
		all.Wait()
		time.Sleep(2 * time.Second)
		b.annals.check(t, "a",
			"a.start1 gen 1 0s to 1s; because configured; pid 1001; [spawn 0s to 0s]; [handshake 0s to 1s]; [list 1s to 1s]",
			"a.breaker1 gen 1 3s; from closed to open",
			"a.start2 gen 2 3s to 4s; because recovery; restart true; pid 1002; caused a.breaker1; previous a.start1; "+
				"caused call; caused call; caused call; caused call; caused call; caused call; caused call; caused call; "+
				"[spawn 3s to 3s]; [handshake 3s to 4s]; [probe 4s to 4s]; [list 4s to 4s]",
			"a.breaker2 gen 2 3s; from open to half_open; caused a.start2; previous a.breaker1",
			"a.breaker3 gen 2 4s; from half_open to closed; caused a.start2; previous a.breaker2",
		)
	})
}

// TestHurtByAStop tells a call which stop ended it, also where that is over when the
// call learns of it.
func TestHurtByAStop(t *testing.T) {
	for name, order := range map[string]func(b *bench) error{
		"stop":    func(b *bench) error { return b.up("a").Stop(b.t.Context()) },
		"restart": func(b *bench) error { return b.up("a").Restart(b.t.Context()) },
		"kill":    func(b *bench) error { return b.set.Order(upstream.VerbKill, "a")[0].Wait(b.t.Context()) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := new(linktest.Dialer)
				d.Server("a").OnRequest = calls(func(ctx context.Context, _ int64, _ *upstream.Request) (json.RawMessage, error) {
					<-ctx.Done()
					return nil, context.Cause(ctx)
				})
				b := begin(t, d, command("a"))
				c, seen := watched("call")
				over := make(chan error)
				go func() {
					_, err := b.up("a").Call(t.Context(), c)
					over <- err
				}()
				synctest.Wait()
				if err := order(b); err != nil {
					t.Fatal(err)
				}
				if err := <-over; err == nil || seen.tied() != "hurt_by a.stop1" {
					t.Errorf("%v, %q", err, seen.tied())
				}
				b.stop()
				if told := strings.Join(b.annals.told("a"), "\n"); strings.Contains(told, "caused call") || strings.Contains(told, "a.breaker") {
					t.Errorf("the stop looks like a failure:\n%s", told)
				}
			})
		})
	}
}

// TestChronicleOfDemand has a call start an upstream, and silence stop it.
func TestChronicleOfDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		d.Server("a").DialTime = time.Second
		d.Server("db").DialTime = 2 * time.Second
		b := begin(t, d, demanded("a", "db"), demanded("db"))
		time.Sleep(10 * time.Minute)
		zero := b.annals.zero
		c, seen := watched("call")
		if _, err := b.up("a").Call(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"start 10m0s to 10m3s a.start2"}, seen.said(zero)); diff != "" {
			t.Error(diff)
		}
		// That call may have come before the silence is listened to, or after; the next has not.
		time.Sleep(time.Second)
		if _, err := b.up("a").Call(t.Context(), tool("x")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		b.annals.check(t, "a",
			"a.start1 gen 1 0s to 3s; because learn; pid 1001; [dependencies 0s to 2s waited_for db.start1]; [spawn 2s to 2s]; [handshake 2s to 3s]; [list 3s to 3s]",
			"a.stop1 gen 1 1m3s; because nobody needed it for idle_stop; how graceful; previous a.start1",
			"a.start2 gen 2 10m0s to 10m3s; because demand; pid 1002; caused call; previous a.stop1; [dependencies 10m0s to 10m2s waited_for db.start2]; [spawn 10m2s to 10m2s]; [handshake 10m2s to 10m3s]; [list 10m3s to 10m3s]",
			"a.stop2 gen 2 11m10.5s; because nobody needed it for idle_stop; how graceful; previous a.start2",
		)
		if got := b.annals.told("db"); len(got) != 4 || got[2] != "db.start2 gen 2 10m0s to 10m2s; because demand; pid 1002; caused a.start2; previous db.stop1; [spawn 10m0s to 10m0s]; [handshake 10m0s to 10m2s]; [list 10m2s to 10m2s]" {
			t.Errorf("of db was told %q", got)
		}
	})
}

// TestChronicleOfWhatIsLeft ends starts on their way: by an order, by the end of the
// gateway, and by a dependency that fails.
func TestChronicleOfWhatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		for _, n := range []string{"a", "b"} {
			d.Server(n).DialTime = time.Hour
		}
		d.Server("c").OnDial = func(context.Context, int, *upstream.Dial) error {
			time.Sleep(100 * time.Millisecond) // so that e waits for it
			return errors.New("it is gone")
		}
		a, c, e := command("a"), command("c"), command("e", "c")
		c.Restart.Policy = upstream.Never
		b := begin(t, d, a, command("b"), c, e)
		time.Sleep(time.Second)
		if err := b.up("a").Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		b.annals.check(t, "b", "b.start1 gen 1 0s goes on; because configured; [spawn 0s to 0s]; [handshake 0s to ?]")
		b.stop()
		b.annals.check(t, "a",
			"a.start1 gen 1 0s to 1s; because configured; abandoned stopped by an operator; [spawn 0s to 0s]; [handshake 0s to 1s]",
			"a.stop1 gen 1 1s; because stopped by an operator; previous a.start1",
		)
		b.annals.check(t, "b",
			"b.start1 gen 1 0s to 2s; because configured; abandoned the gateway stops; [spawn 0s to 0s]; [handshake 0s to 2s]",
			"b.stop1 gen 1 2s; because the gateway stops; previous b.start1",
		)
		b.annals.check(t, "c",
			"c.start1 gen 1 0s to 100ms; because configured; failed at handshake; error it is gone; [spawn 0s to 0s]; [handshake 0s to 100ms it is gone]",
			"c.breaker1 gen 1 100ms; from closed to open; caused c.start1",
			"c.stop1 gen 1 2s; because the gateway stops; previous c.start1",
			"c.breaker2 gen 1 2s; from open to closed; caused c.stop1; previous c.breaker1",
		)
		b.annals.check(t, "e",
			"e.start1 gen 1 0s to 100ms; because configured; failed at dependency; error it depends on c, which is in error: it is gone; caused c.start1; [dependencies 0s to 100ms it depends on c, which is in error: it is gone waited_for c.start1]",
			"e.breaker1 gen 1 100ms; from closed to open; caused e.start1",
			"e.stop1 gen 1 2s; because the gateway stops; previous e.start1",
			"e.breaker2 gen 1 2s; from open to closed; caused e.stop1; previous e.breaker1",
		)
	})
}

// TestDelays tells a call what it waited for, one after the other.
func TestDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		d.Server("a").DialTime = time.Second
		d.Server("a").OnRequest = calls(func(context.Context, int64, *upstream.Request) (json.RawMessage, error) {
			time.Sleep(2 * time.Second)
			return nil, nil
		})
		cfg := command("a")
		cfg.Limits.InFlight, cfg.Limits.QueueTimeout = 1, 3200*time.Millisecond
		b := begin(t, d, cfg)
		zero := b.annals.zero
		var got [4][]string
		var all sync.WaitGroup
		for i, after := range []time.Duration{0, 1500 * time.Millisecond, 2 * time.Second, 2100 * time.Millisecond} {
			all.Go(func() {
				time.Sleep(after)
				c, seen := watched("call")
				if i == 2 {
					c.Scope = upstream.Scope{Key: "s", Exclusive: true}
				}
				_, _ = b.up("a").Call(t.Context(), c)
				got[i] = seen.said(zero)
			})
		}
		all.Wait()
		want := [4][]string{
			{"start 0s to 1s a.start1"},
			{"slot 1.5s to 3s"},
			{"slot 2s to 5s", "dial 5s to 6s"},
			{"slot 2.1s to 5.3s in vain"},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

// TestOnWhoseBehalf looks at the trace context of what the supervisor asks.
func TestOnWhoseBehalf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		var mu sync.Mutex
		asked := make(map[string][]string)
		sick := false
		d.Server("a").OnRequest = func(_ context.Context, l *linktest.Link, method string, r *upstream.Request) (json.RawMessage, error) {
			mu.Lock()
			defer mu.Unlock()
			asked[method] = append(asked[method], r.TraceParent)
			want := `"_meta":{"traceparent":"` + r.TraceParent + `"}`
			if raw := string(r.Edits.Apply(nil, r.Message.Raw)); method != "tools/call" && !strings.Contains(raw, want) {
				t.Errorf("%s: %s", method, raw)
			}
			if sick && method == "ping" {
				return nil, &upstream.TransportError{Executed: upstream.ExecutedUnknown, Reason: "reset", Err: errors.New("no answer")}
			}
			return nil, nil
		}
		b := begin(t, d, command("a"))
		time.Sleep(15 * time.Second)
		b.d.Server("a").Last().Say("notifications/tools/list_changed")
		synctest.Wait()
		mu.Lock()
		sick = true
		mu.Unlock()
		b.up("a").Check(t.Context())
		d.Server("a").Last().Lose()
		time.Sleep(time.Second)
		mu.Lock()
		defer mu.Unlock()
		want := map[string][]string{
			"tools/list":               {"of a.list1", "of a.list2"},
			"resources/list":           {"of a.list1", "of a.list2"},
			"resources/templates/list": {"of a.list1", "of a.list2"},
			"ping":                     {"of a.probe1", "of a.probe2", "of a.probe3"},
		}
		if diff := cmp.Diff(want, asked); diff != "" {
			t.Error(diff)
		}
		mu.Unlock()
		defer mu.Lock()
		told := b.annals.told("a")
		if i := slices.Index(told, "a.probe2 gen 1 15s; failed at reset; error reset: no answer"); i < 0 {
			t.Errorf("no word of a probe that failed: %q", told)
		}
	})
}

// TestWhyItStarts has a row for each cause of a start.
func TestWhyItStarts(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(a, on *upstream.Config) // a may depend on on
		then   func(b *bench)
		want   []string // of a
	}{
		{name: "configured", want: []string{"configured"}},
		{
			name: "an operator",
			then: func(b *bench) {
				_ = b.up("a").Stop(b.t.Context())
				_ = b.up("a").Start(b.t.Context())
				_ = b.up("a").Restart(b.t.Context())
			},
			want: []string{"configured", "operator", "operator again"},
		},
		{
			name: "an operator, of one in error",
			then: func(b *bench) {
				b.d.Server("a").Script(func(s *linktest.Server) {
					s.OnDial = func(context.Context, int, *upstream.Dial) error { return errors.New("it is gone") }
				})
				b.d.Server("a").Last().Lose()
				time.Sleep(time.Second)
				_ = b.up("a").Start(b.t.Context())
			},
			want: []string{"configured", "recovery again", "operator again"},
		},
		{
			name: "a reload",
			then: func(b *bench) {
				a := command("a")
				a.Args = []string{"other"}
				if _, err := b.set.Apply([]upstream.Config{a, command("on")}); err != nil {
					b.t.Error(err)
				}
			},
			want: []string{"configured", "reload again"},
		},
		{
			name: "a dependency that was lost",
			change: func(a, _ *upstream.Config) {
				a.DependsOn = []upstream.Dependency{{On: "on", Condition: upstream.ConditionRunning, Restart: true}}
			},
			then: func(b *bench) { b.d.Server("on").Last().Lose() },
			want: []string{"configured", "dependency again"},
		},
		{
			name: "a dependency that is back",
			change: func(a, on *upstream.Config) {
				a.DependsOn = []upstream.Dependency{{On: "on", Condition: upstream.ConditionRunning}}
			},
			then: func(b *bench) {
				_ = b.up("on").Stop(b.t.Context())
				_ = b.up("a").Restart(b.t.Context()) // in vain
				_ = b.up("on").Start(b.t.Context())
			},
			want: []string{"configured", "operator again", "dependency again"},
		},
		{
			name: "demand, also after its attempts are used up",
			change: func(a, _ *upstream.Config) {
				a.Start, a.IdleStop, a.Restart.MaxAttempts = upstream.OnDemand, time.Minute, 1
			},
			then: func(b *bench) {
				time.Sleep(time.Hour)
				b.call("a")
				time.Sleep(time.Hour)
				b.d.Server("a").Script(func(s *linktest.Server) {
					s.OnDial = func(context.Context, int, *upstream.Dial) error { return errors.New("it is gone") }
				})
				b.refusal(tool("x"))
				time.Sleep(time.Hour) // one attempt
				b.refusal(tool("x"))
			},
			want: []string{"learn", "demand", "demand", "recovery again", "demand again"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, on := command("a"), command("on")
				if c.change != nil {
					c.change(&a, &on)
				}
				b := begin(t, new(linktest.Dialer), a, on)
				if c.then != nil {
					c.then(b)
				}
				synctest.Wait()
				time.Sleep(time.Millisecond)
				synctest.Wait()
				b.annals.mu.Lock()
				defer b.annals.mu.Unlock()
				var got []string
				for _, d := range b.annals.all {
					if d.e.Kind == upstream.EpisodeStart && d.e.Upstream == "a" {
						why := d.e.Because
						if d.e.Restart {
							why += " again"
						}
						got = append(got, why)
					}
				}
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}
