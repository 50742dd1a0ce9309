package upstream_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

func never(context.Context, int, *upstream.Dial) error {
	return &upstream.StartError{Stage: "spawn", Exit: "exit status 3", Stderr: []string{"oh no"}, Err: errors.New("it ended")}
}

// How a process ended is said once, also where the error says it.
func TestStartErrorSaysItsExitOnce(t *testing.T) {
	for _, tt := range []struct{ err, want string }{
		{"it ended", "spawn: it ended (exit status 3)"},
		{"the process ended: exit status 3", "spawn: the process ended: exit status 3"},
	} {
		if got := (&upstream.StartError{Stage: "spawn", Exit: "exit status 3", Err: errors.New(tt.err)}).Error(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

// gaps returns the times between dials.
func gaps(s *linktest.Server) []time.Duration {
	at := s.Dials()
	var out []time.Duration
	for i := 1; i < len(at); i++ {
		out = append(out, at[i].Sub(at[i-1]))
	}
	return out
}

func wantGaps(t *testing.T, got []time.Duration, want ...time.Duration) {
	t.Helper()
	if len(got) < len(want) {
		t.Fatalf("got gaps %v, want %v", got, want)
	}
	for i, w := range want {
		if g := got[i]; g < w*8/10 || g > w*12/10+time.Millisecond {
			t.Errorf("gap %d is %v, want %v ± 20 %%; all: %v", i, g, w, got)
		}
	}
}

func TestCrashLoopThatNeverStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		d.Server("a").OnDial = never
		b := begin(t, d, command("a"))
		s := b.want("a", upstream.Errored)
		if s.Failure.Stage != "spawn" || s.Failure.Exit != "exit status 3" || len(s.Failure.Stderr) != 1 || s.Attempts != 0 {
			t.Errorf("%+v, failure %+v", s, s.Failure)
		}
		time.Sleep(time.Minute)
		s = b.want("a", upstream.Errored)
		if !s.Exhausted || s.Attempts != 3 || s.Health != "unhealthy" {
			t.Errorf("%+v", s)
		}
		if n := len(d.Server("a").Dials()); n != 4 {
			t.Errorf("%d starts, want 1 + max_attempts", n)
		}
		time.Sleep(20 * time.Minute)
		g := gaps(d.Server("a"))
		wantGaps(t, g[:3], 5*time.Second, 10*time.Second, 20*time.Second)
		if len(g) != 5 || g[3] != 10*time.Minute || g[4] != 10*time.Minute {
			t.Errorf("gaps %v, want 10m between the last three", g)
		}
		// An operator's restart is at once and clears the count.
		d.Server("a").Script(func(s *linktest.Server) { s.OnDial = nil })
		if err := b.up("a").Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s := b.want("a", upstream.Running); s.Attempts != 0 || s.Exhausted || s.Generation != 7 {
			t.Errorf("%+v", s)
		}
		b.seen.check(t, "a", "not_started starting error starting error starting error starting error starting error starting error starting running")
	})
}

func TestCrashLoopThatStartsWell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		b := begin(t, d, command("a"))
		for range 4 {
			b.want("a", upstream.Running)
			time.Sleep(time.Second)
			d.Server("a").Last().Lose()
			synctest.Wait()
			time.Sleep(30 * time.Second)
		}
		s := b.want("a", upstream.Errored)
		if !s.Exhausted || len(d.Server("a").Dials()) != 4 {
			t.Errorf("%d starts, %+v", len(d.Server("a").Dials()), s)
		}
		if g := gaps(d.Server("a")); g[0] > 2*time.Second {
			t.Errorf("the first restart came after %v, want at once", g[0])
		}
	})
}

func TestStableForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		b := begin(t, d, command("a"))
		for i := range 10 {
			time.Sleep(61 * time.Second)
			if s := b.want("a", upstream.Running); s.Attempts != 0 || len(d.Server("a").Dials()) != i+1 {
				t.Fatalf("round %d: %+v", i, s)
			}
			d.Server("a").Last().Lose()
		}
	})
}

func TestRestartPolicies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		d.Server("always").OnDial, d.Server("never").OnDial = never, never
		always, nope := command("always"), command("never")
		always.Restart.Policy, nope.Restart.Policy = upstream.Always, upstream.Never
		b := begin(t, d, always, nope)
		time.Sleep(time.Hour)
		if n := len(d.Server("always").Dials()); n < 50 {
			t.Errorf("always was started %d times in an hour, want about one a minute", n)
		}
		if s := b.want("always", upstream.Errored); s.Exhausted {
			t.Error("always is exhausted")
		}
		if n := len(d.Server("never").Dials()); n != 1 {
			t.Errorf("never was started %d times", n)
		}
		if s := b.want("never", upstream.Errored); !s.NextRetry.IsZero() {
			t.Errorf("%+v", s)
		}
		d.Server("never").Script(func(s *linktest.Server) { s.OnDial = nil })
		if err := b.up("never").Restart(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestStartHintsAndRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		d.Server("locked").OnDial = func(context.Context, int, *upstream.Dial) error {
			return &upstream.StartError{Stage: "handshake", Err: &upstream.TransportError{
				Executed: upstream.ExecutedNo, Reason: "unauthorized", Status: 401, Err: errors.New("HTTP status 401 Unauthorized"),
			}}
		}
		d.Server("busy").OnDial = func(context.Context, int, *upstream.Dial) error {
			return &upstream.StartError{Stage: "handshake", RetryAfter: time.Hour, Err: errors.New("later")}
		}
		b := begin(t, d, command("locked"), command("busy"))
		s := b.want("locked", upstream.Errored)
		want := "unauthorized: HTTP status 401 Unauthorized; the server wants other credentials: check headers.Authorization and the variables it is made of"
		if s.Failure.Message != want {
			t.Errorf("got %q", s.Failure.Message)
		}
		time.Sleep(70 * time.Second)
		if g := gaps(d.Server("busy")); len(g) != 1 || g[0] != time.Minute {
			t.Errorf("gaps %v, want the cap of 1m", g)
		}
	})
}

// TestFailuresTellTheirOwnStderr: what an earlier process wrote is no cause of the
// end of this one.
func TestFailuresTellTheirOwnStderr(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		d.Server("a").OnDial = func(_ context.Context, n int, x *upstream.Dial) error {
			_, err := fmt.Fprintf(x.Stderr, "of process %d\n", n)
			return err
		}
		b := begin(t, d, command("a"))
		for n := 1; n <= 2; n++ {
			b.await("a", upstream.Running, time.Minute)
			time.Sleep(2 * time.Minute) // stable: the restart is at once
			d.Server("a").Last().Lose()
			synctest.Wait()
			want := []string{fmt.Sprintf("of process %d", n)}
			if f := b.up("a").Status().Failure; f == nil || !slices.Equal(f.Stderr, want) {
				t.Errorf("%+v, want %q", f, want)
			}
		}
	})
}
