package upstream_test

import (
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

func TestCheckGraph(t *testing.T) {
	off := command("off")
	off.Enabled = false
	loop := []upstream.Config{command("a", "b"), command("b", "c"), command("c", "a")}
	loop[2].DependsOn[0].Restart = true
	for _, c := range []struct {
		name    string
		configs []upstream.Config
		want    string
	}{
		{"none", []upstream.Config{command("web", "api"), command("api")}, ""},
		{"cycle", loop, "depends_on makes a cycle: a -> b -> c -> a"},
		{"itself", []upstream.Config{command("a", "a")}, "depends_on makes a cycle: a -> a"},
		{"near", []upstream.Config{command("database"), command("api", "databse")}, `api depends on "databse", which is not an upstream (did you mean "database"?)`},
		{"far", []upstream.Config{command("database"), command("api", "q")}, `api depends on "q", which is not an upstream`},
		{"disabled", []upstream.Config{off, command("api", "off")}, `api depends on "off", which is disabled`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := ""
			if err := upstream.CheckGraph(c.configs); err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	var cycle *upstream.CycleError
	if err := upstream.CheckGraph(loop); !errors.As(err, &cycle) || len(cycle.Names) != 4 {
		t.Errorf("got %v", err)
	}
}

// TestApply is the upstream's part of F31.
func TestApply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		d.Server("same").OnRequest = takes(time.Second)
		b := begin(t, d, command("same"), command("live"), command("key"), command("gone"))
		same := b.up("same")
		var failed atomic.Int64
		stop := make(chan struct{})
		over := make(chan struct{})
		go func() {
			defer close(over)
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := same.Call(t.Context(), tool("x")); err != nil {
					failed.Add(1)
				}
			}
		}()
		gone := b.up("gone")
		live, key := command("live"), command("key")
		live.CallTimeout, key.Args = time.Second, []string{"x"}
		ch, err := b.set.Apply([]upstream.Config{command("new"), key, live, command("same")})
		if err != nil {
			t.Fatal(err)
		}
		want := upstream.Changes{Added: []string{"new"}, Removed: []string{"gone"}, Restarted: []string{"key"}, Updated: []string{"live"}}
		if diff := cmp.Diff(want, ch); diff != "" {
			t.Error(diff)
		}
		var order []string
		for _, u := range b.set.Upstreams() {
			order = append(order, u.Name())
		}
		if !slices.Equal(order, []string{"new", "key", "live", "same"}) {
			t.Errorf("order %v", order)
		}
		for _, n := range order {
			b.want(n, upstream.Running)
		}
		for n, dials := range map[string]int{"new": 1, "key": 2, "live": 1, "same": 1} {
			if got := len(d.Server(n).Dials()); got != dials {
				t.Errorf("%s was dialled %d times, want %d", n, got, dials)
			}
		}
		b.d.Server("gone").Last()
		var e *upstream.CallError
		if _, err := gone.Call(t.Context(), tool("x")); !errors.As(err, &e) || e.Reason != "removed" {
			t.Errorf("got %v", err)
		}
		if d.Server("gone").Last().Err() == nil {
			t.Error("what is gone was not closed")
		}
		// An invalid change changes nothing; a removed one comes back.
		for i := range 500 {
			configs := []upstream.Config{command("new"), key, live, command("same")}
			switch i % 4 {
			case 1:
				configs = append(configs, command("bad", "missing"))
			case 2:
				configs = append(configs, command("gone"))
			}
			_, err := b.set.Apply(configs)
			if (err != nil) != (i%4 == 1) {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		close(stop)
		<-over
		if failed.Load() > 0 || len(d.Server("same").Dials()) != 1 || len(d.Server("live").Dials()) != 1 {
			t.Errorf("%d calls failed", failed.Load())
		}
		if b.up("same") != same {
			t.Error("an unchanged upstream was replaced")
		}
	})
}
