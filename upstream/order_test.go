package upstream_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// golden is a set whose order is known: each dial and each close takes a second.
func golden(t *testing.T, change ...func(c *upstream.Config)) *bench {
	t.Helper()
	d := new(linktest.Dialer)
	configs := []upstream.Config{
		command("web", "api"), command("api", "database", "auth"), command("auth", "database"), command("database"), command("alone"),
	}
	for i := range configs {
		s := d.Server(configs[i].Name)
		s.DialTime, s.CloseTime = time.Second, time.Second
		for _, f := range change {
			f(&configs[i])
		}
	}
	b := begin(t, d, configs...)
	time.Sleep(5 * time.Second)
	return b
}

// since returns what happened after the first n events.
func (b *bench) since(n int) []string { return b.d.Events()[n:] }

func waitAll(t *testing.T, orders []*upstream.Order) {
	t.Helper()
	for _, o := range orders {
		if err := o.Wait(t.Context()); err != nil {
			t.Errorf("%s: %v", o.Name, err)
		}
	}
	synctest.Wait() // the observer is told a moment later
}

func TestOrderStopsInReverse(t *testing.T) {
	for _, c := range []struct {
		name, want string
		names      []string
	}{
		{"all", "web api auth database", []string{"database", "auth", "api", "web"}},
		// What is between them stays as it is, and so does the order.
		{"ends", "web database", []string{"database", "web"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := golden(t)
				n := len(b.d.Events())
				orders := b.set.Order(upstream.VerbStop, append(c.names, "nobody")...)
				if s := b.up("database").Status(); s.Desired || s.State != upstream.Running {
					t.Errorf("database is %s, desired %v, while web stops", s.State, s.Desired)
				}
				waitAll(t, orders)
				var got string
				for _, e := range b.since(n) {
					got += e[len("close"):]
				}
				if got != " "+c.want {
					t.Errorf("closed%s, want %s", got, c.want)
				}
			})
		})
	}
}

func TestOrderRestartsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := golden(t)
		n := len(b.d.Events())
		waitAll(t, b.set.Order(upstream.VerbRestart, "api", "database", "web", "auth"))
		want := []string{
			"close web", "close api", "close auth", "close database",
			"dial database", "dial auth", "dial api", "dial web",
		}
		if diff := cmp.Diff(want, b.since(n)); diff != "" {
			t.Error(diff)
		}
		synctest.Wait()
		for _, name := range []string{"web", "api", "auth", "database"} {
			b.seen.check(t, name, "not_started starting running stopping stopped starting running")
		}
	})
}

// A restart takes along those whose edge says so, and they stop first.
func TestOrderTakesRestartEdgesAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := golden(t, func(c *upstream.Config) {
			for i := range c.DependsOn {
				c.DependsOn[i].Restart = true
			}
		})
		n := len(b.d.Events())
		waitAll(t, b.set.Order(upstream.VerbRestart, "auth"))
		b.await("web", upstream.Running, time.Minute)
		want := []string{"close web", "close api", "close auth", "dial auth", "dial api", "dial web"}
		if diff := cmp.Diff(want, b.since(n)); diff != "" {
			t.Error(diff)
		}
		for _, name := range []string{"web", "api", "auth"} {
			b.seen.check(t, name, "not_started starting running stopping stopped starting running")
		}
	})
}

func TestOrderSaysWhoIsConcerned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := golden(t)
		orders := b.set.Order(upstream.VerbStop, "database", "api")
		if !slices.Equal(orders[0].Left, []string{"auth"}) || !slices.Equal(orders[1].Left, []string{"web"}) {
			t.Errorf("database leaves %v, api leaves %v", orders[0].Left, orders[1].Left)
		}
		waitAll(t, orders)
		orders = b.set.Order(upstream.VerbStart, "web")
		if got := orders[0].With; !slices.Equal(got, []string{"database", "api"}) {
			t.Errorf("web starts with %v", got)
		}
		if got := b.set.Order(upstream.VerbStart, "web")[0].With; got != nil {
			t.Errorf("web runs already, and what it depends on was started, and it starts with %v", got)
		}
		b.await("api", upstream.Running, time.Minute)
	})
}

// A kill is at once, also of what is being stopped or waits for its turn.
// What goes down with a dependency is not left running without it.
func TestOrderLeavesNoRestartEdge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		on, with, without := command("on"), command("with"), command("without")
		with.DependsOn = []upstream.Dependency{{On: "on", Condition: upstream.ConditionRunning, Restart: true}}
		without.DependsOn = []upstream.Dependency{{On: "on", Condition: upstream.ConditionRunning}}
		b := begin(t, new(linktest.Dialer), on, with, without)
		b.await("with", upstream.Running, time.Minute)
		b.await("without", upstream.Running, time.Minute)
		if left := b.set.Order(upstream.VerbStop, "on")[0].Left; !slices.Equal(left, []string{"without"}) {
			t.Errorf("left: %v", left)
		}
	})
}

func TestOrderKills(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := golden(t)
		for _, name := range []string{"web", "api"} {
			b.d.Server(name).Script(func(s *linktest.Server) { s.CloseTime = time.Hour })
		}
		b.set.Order(upstream.VerbStop, "web", "api")
		time.Sleep(time.Minute)
		b.want("web", upstream.Stopping)
		b.want("api", upstream.Running)
		begun := time.Now()
		waitAll(t, b.set.Order(upstream.VerbKill, "web", "api", "alone"))
		if took := time.Since(begun); took != 0 {
			t.Errorf("took %v", took)
		}
		for _, name := range []string{"web", "api", "alone"} {
			s := b.want(name, upstream.Stopped)
			if s.LastStop != upstream.Killed || s.Because != "killed by an operator" {
				t.Errorf("%s: %s, %s", name, s.LastStop, s.Because)
			}
		}
		// It is of one stop, not of the next.
		waitAll(t, b.set.Order(upstream.VerbStart, "alone"))
		waitAll(t, b.set.Order(upstream.VerbStop, "alone"))
		if s := b.want("alone", upstream.Stopped); s.LastStop != upstream.Graceful || s.Because != "stopped by an operator" {
			t.Errorf("alone: %s, %s", s.LastStop, s.Because)
		}
	})
}

// One order's failure is its own, and a start that fails says what of.
func TestOrderFailsForItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := golden(t)
		waitAll(t, b.set.Order(upstream.VerbStop, "auth", "alone"))
		b.d.Server("auth").Script(func(s *linktest.Server) { s.OnDial = noCommand })
		orders := b.set.Order(upstream.VerbStart, "auth", "alone")
		var e *upstream.StartError
		if err := orders[0].Wait(t.Context()); !errors.As(err, &e) || e.Stage != "spawn" {
			t.Errorf("got %v", err)
		}
		if err := orders[1].Wait(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestGraph(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := golden(t)
		g := b.set.Graph()
		if want := []string{"database", "alone", "auth", "api", "web"}; !slices.Equal(g.Order, want) {
			t.Errorf("order %v, want %v", g.Order, want)
		}
		if want := []string{"database", "auth", "api", "web"}; !slices.Equal(g.Critical, want) || g.CriticalTime != 4*time.Second {
			t.Errorf("critical path %v in %v, want %v in 4s", g.Critical, g.CriticalTime, want)
		}
		api := g.Nodes[1]
		if api.Level != 2 || api.Took != time.Second || !slices.Equal(api.Dependents, []string{"web"}) || len(api.DependsOn) != 2 {
			t.Errorf("api: %+v", api)
		}
		begun := b.up("database").Stages()[0].Began
		want := []upstream.Stage{
			{Name: "dependencies", Began: begun, Took: 2 * time.Second},
			{Name: "spawn", Began: begun.Add(2 * time.Second)},
			{Name: "handshake", Began: begun.Add(2 * time.Second), Took: time.Second},
			{Name: "list", Began: begun.Add(3 * time.Second)},
		}
		if diff := cmp.Diff(want, b.up("api").Stages()); diff != "" {
			t.Error(diff)
		}
		// What is started alone later waited for nobody.
		b.d.Server("api").Script(func(s *linktest.Server) { s.DialTime = 10 * time.Second })
		waitAll(t, b.set.Order(upstream.VerbRestart, "api"))
		if g = b.set.Graph(); !slices.Equal(g.Critical, []string{"api"}) || g.CriticalTime != 10*time.Second {
			t.Errorf("critical path %v in %v", g.Critical, g.CriticalTime)
		}
	})
}

// noCommand is a start that fails.
func noCommand(context.Context, int, *upstream.Dial) error {
	return &upstream.StartError{Stage: "spawn", Err: errors.New("no such command")}
}
