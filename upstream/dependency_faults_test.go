package upstream_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// F32: a chain of five levels whose middle fails, is slow, or is lost: starts are
// in order, the reason names the dependency, and stops are in reverse.
func TestFiveLevels(t *testing.T) {
	chain := func() []upstream.Config {
		return []upstream.Config{command("e", "d"), command("d", "c"), command("c", "b"), command("b", "a"), command("a")}
	}
	events := func(what string, names string) (out []string) {
		for n := range strings.FieldsSeq(names) {
			out = append(out, what+" "+n)
		}
		return out
	}
	t.Run("the middle fails", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := new(linktest.Dialer)
			d.Server("c").OnDial = func(_ context.Context, n int, _ *upstream.Dial) error {
				if n > 2 {
					return nil
				}
				return &upstream.StartError{Stage: "spawn", Err: errors.New("no such command")}
			}
			b := begin(t, d, chain()...)
			b.want("b", upstream.Running)
			for name, on := range map[string]string{"d": "c", "e": "d"} {
				s := b.want(name, upstream.Errored)
				if s.Failure.Stage != "dependency" || !strings.HasPrefix(s.Failure.Message, "it depends on "+on+",") || s.Attempts != 0 {
					t.Errorf("%s: %d attempts, %+v", name, s.Attempts, s.Failure)
				}
			}
			time.Sleep(time.Minute) // c is well at its third start
			for _, n := range []string{"a", "b", "c", "d", "e"} {
				b.want(n, upstream.Running)
			}
			b.stop()
			want := append(events("dial", "a b c c c d e"), events("close", "e d c b a")...)
			if got := d.Events(); !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	})
	t.Run("the middle is slow", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := new(linktest.Dialer)
			d.Server("c").DialTime = time.Minute
			configs := chain()
			for i := range configs {
				if configs[i].Name != "c" {
					configs[i].StartTimeout = time.Second // which begins after the wait
				}
			}
			b := begin(t, d, configs...)
			b.want("b", upstream.Running)
			time.Sleep(59 * time.Second)
			for name, on := range map[string]string{"d": "c", "e": "d"} {
				if s := b.want(name, upstream.Starting); s.WaitingFor != on {
					t.Errorf("%s waits for %q", name, s.WaitingFor)
				}
			}
			time.Sleep(2 * time.Second)
			b.want("e", upstream.Running)
		})
	})
	t.Run("the middle is lost", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := new(linktest.Dialer)
			b := begin(t, d, chain()...)
			d.Server("c").Last().Lose()
			time.Sleep(time.Second)
			for _, n := range []string{"a", "b", "c", "d", "e"} {
				b.want(n, upstream.Running)
			}
			b.stop()
			want := append(events("dial", "a b c d e"), "close c", "dial c")
			want = append(want, events("close", "e d c b a")...)
			if got := d.Events(); !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	})
}
