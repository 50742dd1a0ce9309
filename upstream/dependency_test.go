package upstream_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// chain is F32's: five upstreams, each of which depends on the one before.
func chain(change ...func(c *upstream.Config)) []upstream.Config {
	var configs []upstream.Config
	for _, edge := range []string{"five four", "four three", "three two", "two one", "one"} {
		name, on, _ := strings.Cut(edge, " ")
		c := command(name)
		if on != "" {
			c = command(name, on)
		}
		for _, f := range change {
			f(&c)
		}
		configs = append(configs, c)
	}
	return configs
}

func (b *bench) states(want string) {
	b.t.Helper()
	synctest.Wait()
	var got []string
	for _, name := range []string{"one", "two", "three", "four", "five"} {
		got = append(got, string(b.up(name).Status().State))
	}
	if g := strings.Join(got, " "); g != want {
		b.t.Errorf("states %q, want %q", g, want)
	}
}

// F32: the middle of five fails.
func TestChainFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		d.Server("three").OnDial = noCommand
		b := begin(t, d, chain()...)
		time.Sleep(time.Second)
		b.states("running running error error error")
		five := b.up("five").Status()
		const why = "it depends on four, which is in error: it depends on three, which is in error: no such command"
		if f := five.Failure; f.Stage != "dependency" || f.Message != why {
			t.Errorf("five: %+v", f)
		}
		time.Sleep(2 * time.Hour) // three is exhausted
		for _, name := range []string{"four", "five"} {
			s := b.up(name).Status()
			if s.Attempts != 0 || s.Exhausted || s.Generation != 1 || !s.NextRetry.IsZero() || s.Health != "unhealthy" {
				t.Errorf("%s: %+v", name, s)
			}
			b.dials(name, 0)
		}
		d.Server("three").Script(func(s *linktest.Server) { s.OnDial = nil })
		time.Sleep(10 * time.Minute)
		b.states("running running running running running")
		b.seen.check(t, "five", "not_started starting error starting running")
		n := len(d.Events())
		b.stop()
		if got, want := b.since(n), []string{"close five", "close four", "close three", "close two", "close one"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// F32: the middle is slow: those above wait, and their own time begins after.
func TestChainIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		configs := chain(func(c *upstream.Config) { c.StartTimeout = 10 * time.Second })
		configs[2].StartTimeout = time.Hour
		d.Server("one").DialTime, d.Server("two").DialTime = time.Second, time.Second
		d.Server("three").DialTime = 30 * time.Minute
		d.Server("five").DialTime = 9 * time.Second
		b := begin(t, d, configs...)
		time.Sleep(20 * time.Minute)
		b.states("running running starting starting starting")
		if s := b.up("five").Status(); s.WaitingFor != "four" {
			t.Errorf("five waits for %q", s.WaitingFor)
		}
		time.Sleep(11 * time.Minute)
		b.states("running running running running running")
		if got := b.set.Graph(); !slices.Equal(got.Critical, []string{"one", "two", "three", "four", "five"}) || got.CriticalTime != 30*time.Minute+11*time.Second {
			t.Errorf("critical path %v in %v", got.Critical, got.CriticalTime)
		}
	})
}

// F32: the middle is stopped: those above go on, until they start anew.
func TestChainIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := begin(t, new(linktest.Dialer), chain()...)
		orders := b.set.Order(upstream.VerbStop, "three")
		waitAll(t, orders)
		if !slices.Equal(orders[0].Left, []string{"four"}) {
			t.Errorf("left %v", orders[0].Left)
		}
		b.states("running running stopped running running")
		b.d.Server("four").Last().Lose()
		time.Sleep(time.Hour)
		b.states("running running stopped error running")
		if f := b.up("four").Status().Failure; f.Stage != "dependency" || f.Message != "it depends on three, which is stopped" {
			t.Errorf("four: %+v", f)
		}
		waitAll(t, b.set.Order(upstream.VerbStart, "three"))
		time.Sleep(time.Second)
		b.states("running running running running running")
	})
}

// A loss goes through edges that say so, once, and what depends stops first.
func TestLossThroughRestartEdges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		b := begin(t, d, chain(func(c *upstream.Config) {
			for i := range c.DependsOn {
				c.DependsOn[i].Restart = c.Name != "five"
			}
		})...)
		for _, name := range []string{"three", "four", "five"} {
			d.Server(name).Script(func(s *linktest.Server) { s.CloseTime = time.Second })
		}
		n := len(d.Events())
		d.Server("two").Last().Lose()
		time.Sleep(time.Minute)
		b.states("running running running running running")
		want := []string{"close two", "dial two", "close four", "close three", "dial three", "dial four"}
		if got := b.since(n); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		for _, name := range []string{"three", "four"} {
			b.seen.check(t, name, "not_started starting running stopping stopped starting running")
			if s := b.up(name).Status(); s.Attempts != 0 {
				t.Errorf("%s: %+v", name, s)
			}
		}
		b.seen.check(t, "five", "not_started starting running")
	})
}

// started is met by what is spawned, running only by what runs.
func TestConditions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		d.Server("db").DialTime = time.Minute
		early := command("early", "db")
		early.DependsOn[0].Condition = upstream.ConditionStarted
		b := begin(t, d, command("db"), early, command("late", "db"))
		time.Sleep(time.Second)
		b.want("early", upstream.Running)
		b.want("late", upstream.Starting)
		b.dials("late", 0)
		time.Sleep(time.Minute)
		b.want("late", upstream.Running)
	})
}

// Several orders at once to a chain whose middle fails: each has its own outcome.
func TestChainStartedByHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		b := begin(t, d, chain()...)
		waitAll(t, b.set.Order(upstream.VerbStop, "one", "two", "three", "four", "five"))
		b.states("stopped stopped stopped stopped stopped")
		d.Server("three").Script(func(s *linktest.Server) { s.OnDial = noCommand })
		orders := b.set.Order(upstream.VerbStart, "five", "two")
		if want := []string{"one", "three", "four"}; !slices.Equal(orders[0].With, want) {
			t.Errorf("five starts with %v, want %v", orders[0].With, want)
		}
		err := orders[0].Wait(t.Context())
		if err == nil || !strings.Contains(err.Error(), "it depends on three, which is in error: no such command") {
			t.Errorf("five: %v", err)
		}
		if err := orders[1].Wait(t.Context()); err != nil {
			t.Errorf("two: %v", err)
		}
		// Mended, a start of the top starts the bottom at once, whatever its delay.
		d.Server("three").Script(func(s *linktest.Server) { s.OnDial = nil })
		begun := time.Now()
		waitAll(t, b.set.Order(upstream.VerbStart, "five"))
		if took := time.Since(begun); took > time.Second {
			t.Errorf("took %v", took)
		}
		b.states("running running running running running")
	})
}

// What a reload restarts stops in reverse, too, and what it removes.
func TestReloadGoesInReverse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		b := begin(t, d, chain()...)
		for _, name := range []string{"one", "two", "three", "four", "five"} {
			d.Server(name).Script(func(s *linktest.Server) { s.CloseTime = time.Second })
		}
		n := len(d.Events())
		next := chain()
		next[4].Args, next[1].Args = []string{"new"}, []string{"new"} // one and four
		next = slices.DeleteFunc(next, func(c upstream.Config) bool { return c.Name == "five" })
		if _, err := b.set.Apply(next); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		got := fmt.Sprint(b.since(n))
		if got != "[close five close four dial four close one dial one]" {
			t.Errorf("got %s", got)
		}
	})
}

// The owner of a dependency may be slower than that of its dependent to take up
// an order: that is no failure.
func TestStartOfWhatFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		for _, n := range []string{"one", "two", "three", "four", "five"} {
			d.Server(n).OnDial = noCommand
		}
		b := begin(t, d, chain()...)
		for round := range 50 {
			b.states("error error error error error")
			for _, n := range []string{"one", "two", "three", "four", "five"} {
				d.Server(n).Script(func(s *linktest.Server) { s.OnDial = nil })
			}
			if round%2 == 0 {
				waitAll(t, b.set.Order(upstream.VerbStart, "five"))
			} else {
				waitAll(t, b.set.Order(upstream.VerbStart, "five", "four", "three", "two", "one"))
			}
			for _, n := range []string{"one", "two", "three", "four", "five"} {
				d.Server(n).Script(func(s *linktest.Server) { s.OnDial = noCommand })
			}
			for _, n := range []string{"five", "four", "three", "two", "one"} {
				_ = b.set.Order(upstream.VerbRestart, n)[0].Wait(t.Context())
			}
		}
	})
}

// What a server lists that is about to be another is not kept for the other.
func TestListOfTheServerBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		d.Server("db").Tools = []string{"old"}
		d.Server("web").CloseTime = time.Minute
		b := begin(t, d, command("db"), command("web", "db"))
		db, web := command("db"), command("web", "db")
		db.Args, web.Args = []string{"new"}, []string{"new"}
		if _, err := b.set.Apply([]upstream.Config{db, web}); err != nil {
			t.Fatal(err)
		}
		d.Server("db").Script(func(s *linktest.Server) { s.Tools = []string{"old", "older"} })
		d.Server("db").Last().Say("notifications/tools/list_changed")
		time.Sleep(30 * time.Second) // web stops, db waits for it
		if n := len(b.up("db").Inventory().Tools); n != 1 {
			t.Errorf("%d tools of another server were taken over", n)
		}
		d.Server("db").Script(func(s *linktest.Server) { s.Tools = []string{"new", "newer", "newest"} })
		time.Sleep(time.Minute)
		if n := len(b.up("db").Inventory().Tools); n != 3 {
			t.Errorf("%d tools are known of the new one", n)
		}
	})
}
