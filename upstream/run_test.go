package upstream_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// bench is a running set in front of scripted servers.
type bench struct {
	t      *testing.T
	d      *linktest.Dialer
	set    *upstream.Set
	stop   func()
	seen   *journal
	annals *annals
	// ended are the sessions that are over.
	ended endings
}

func command(name string, edges ...string) upstream.Config {
	c := upstream.Defaults()
	c.Name, c.Command = name, "fake"
	for _, on := range edges {
		c.DependsOn = append(c.DependsOn, upstream.Dependency{On: on, Condition: upstream.ConditionRunning})
	}
	return c
}

// begin runs a set until the test ends. It is called inside a bubble.
func begin(t *testing.T, d *linktest.Dialer, configs ...upstream.Config) *bench {
	t.Helper()
	return beginIn(t, "", d, configs...)
}

// beginIn is begin with a folder in which inventories are kept.
func beginIn(t *testing.T, dir string, d *linktest.Dialer, configs ...upstream.Config) *bench {
	t.Helper()
	seen, annals := new(journal), newAnnals()
	b := &bench{t: t, d: d, seen: seen, annals: annals}
	b.set = upstream.NewSet(upstream.Options{Dialer: d, Observer: seen, Chronicle: annals, StateDir: dir, SessionEnded: b.ended.add})
	if _, err := b.set.Apply(configs); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan struct{})
	go func() {
		defer close(over)
		if err := b.set.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	b.stop = func() { cancel(); <-over }
	t.Cleanup(func() {
		b.stop()
		annals.closed(t)
	})
	synctest.Wait()
	return b
}

func (b *bench) up(name string) *upstream.Upstream { return b.set.Upstream(name) }

func (b *bench) want(name string, state upstream.State) upstream.Status {
	b.t.Helper()
	synctest.Wait()
	s := b.up(name).Status()
	if s.State != state {
		b.t.Fatalf("%s is %s, want %s (failure %+v)", name, s.State, state, s.Failure)
	}
	return s
}

// await lets time pass until the state is reached.
func (b *bench) await(name string, state upstream.State, within time.Duration) upstream.Status {
	b.t.Helper()
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		synctest.Wait()
		if b.up(name).Status().State == state {
			break
		}
	}
	return b.want(name, state)
}

func TestStartOrderAndStopInReverse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		for _, n := range []string{"database", "auth", "api", "web"} {
			d.Server(n).DialTime = time.Second
		}
		b := begin(t, d, command("web", "api"), command("api", "database", "auth"), command("auth", "database"), command("database"))
		b.want("web", upstream.Starting)
		if s := b.up("api").Status(); s.WaitingFor != "database" {
			t.Errorf("api waits for %q", s.WaitingFor)
		}
		time.Sleep(5 * time.Second)
		b.want("web", upstream.Running)
		b.stop()
		want := []string{
			"dial database", "dial auth", "dial api", "dial web",
			"close web", "close api", "close auth", "close database",
		}
		if got := d.Events(); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		b.want("database", upstream.Stopped)
	})
}

func TestIndependentBranchesStartTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		var configs []upstream.Config
		for _, n := range []string{"a", "b", "c"} {
			d.Server(n).DialTime = time.Second
			configs = append(configs, command(n))
		}
		b := begin(t, d, configs...)
		begun := time.Now()
		time.Sleep(time.Second)
		for _, n := range []string{"a", "b", "c"} {
			b.want(n, upstream.Running)
			if at := d.Server(n).Dials()[0]; !at.Equal(begun) {
				t.Errorf("%s was dialled %v late", n, at.Sub(begun))
			}
		}
	})
}

func TestDependencyFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		d.Server("db").OnDial = func(context.Context, int, *upstream.Dial) error {
			return &upstream.StartError{Stage: "spawn", Err: errors.New("no such command")}
		}
		anyway := command("anyway", "db")
		anyway.OnDependencyFailure = upstream.StartAnyway
		b := begin(t, d, command("db"), command("api", "db"), anyway)
		b.want("db", upstream.Errored)
		b.want("anyway", upstream.Running)
		s := b.want("api", upstream.Errored)
		if s.Failure.Stage != "dependency" || s.Attempts != 0 || s.Breaker != upstream.BreakerOpen {
			t.Errorf("api: %+v, failure %+v", s, s.Failure)
		}
		if got, want := s.Failure.Message, "it depends on db, which is in error: no such command"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		d.Server("db").Script(func(s *linktest.Server) { s.OnDial = nil })
		time.Sleep(7 * time.Second) // db's delay of 5s, and its jitter
		b.want("db", upstream.Running)
		if s := b.want("api", upstream.Running); s.Attempts != 0 || s.Breaker != upstream.BreakerClosed {
			t.Errorf("api: %+v", s)
		}
	})
}

func TestRestartEdge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		follows := command("follows", "db")
		follows.DependsOn[0].Restart = true
		b := begin(t, d, command("db"), follows, command("stays", "db"))
		d.Server("db").Last().Lose()
		time.Sleep(time.Millisecond)
		b.want("db", upstream.Running)
		b.want("follows", upstream.Running)
		b.want("stays", upstream.Running)
		if n := len(d.Server("follows").Dials()); n != 2 {
			t.Errorf("follows was dialled %d times, want 2", n)
		}
		if n := len(d.Server("stays").Dials()); n != 1 {
			t.Errorf("stays was dialled %d times, want 1", n)
		}
	})
}

func TestStopCancelsAHungStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		d.Server("a").DialTime = time.Hour
		b := begin(t, d, command("a"))
		b.want("a", upstream.Starting)
		if err := b.up("a").Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		s := b.want("a", upstream.Stopped)
		if s.Desired || s.Health != "" {
			t.Errorf("got %+v", s)
		}
		d.Server("a").Script(func(s *linktest.Server) { s.DialTime = 0 })
		if err := b.up("a").Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.want("a", upstream.Running)
		b.seen.check(t, "a", "not_started starting stopping stopped starting running")
	})
}

func TestStartTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		d.Server("a").DialTime = time.Hour
		b := begin(t, d, command("a"))
		time.Sleep(120 * time.Second)
		s := b.want("a", upstream.Errored)
		if s.Failure.Stage != "handshake" || s.Failure.Message != "start_timeout was over" {
			t.Errorf("got %+v", s.Failure)
		}
	})
}

func TestOperatorStopSurvivesEverythingButStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		b := begin(t, d, command("db"), command("api", "db"))
		if err := b.up("db").Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		s := b.want("db", upstream.Stopped)
		if s.LastStop != upstream.Graceful {
			t.Errorf("last stop %q", s.LastStop)
		}
		b.want("api", upstream.Running) // loses nothing of its own
		other := command("db")
		other.Command = "other"
		if _, err := b.set.Apply([]upstream.Config{other, command("api", "db")}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		b.want("db", upstream.Stopped)
		// Starting a dependent by hand starts what it depends on.
		if err := b.up("api").Restart(t.Context()); err == nil {
			t.Error("api restarted without db")
		}
		if err := b.up("api").Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.want("db", upstream.Running)
		b.want("api", upstream.Running)
	})
}

func TestKillEndsAStopAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		d.Server("a").CloseTime = time.Hour
		b := begin(t, d, command("a"))
		begun := time.Now()
		time.AfterFunc(20*time.Second, b.set.Kill)
		b.stop()
		if took := time.Since(begun); took != 20*time.Second {
			t.Errorf("took %v", took)
		}
		if s := b.up("a").Status(); s.LastStop != upstream.Killed {
			t.Errorf("last stop %q", s.LastStop)
		}
		begun = time.Now()
		if e := b.refusal(tool("x")); e.Reason != "stopped" || time.Since(begun) != 0 {
			t.Errorf("%+v after %v: a call waits for what will not come", e, time.Since(begun))
		}
	})
}
