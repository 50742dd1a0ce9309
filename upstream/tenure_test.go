package upstream_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// endings are the sessions that are over, one line each.
type endings struct {
	mu  sync.Mutex // guards all
	all []string
}

func (x *endings) add(e upstream.SessionEnd) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.all = append(x.all, fmt.Sprintf("%s %s %v %q", e.Upstream, e.Version, e.Took, e.Reason))
}

// take returns what came since it was called last.
func (x *endings) take() string {
	synctest.Wait()
	x.mu.Lock()
	defer x.mu.Unlock()
	all := x.all
	x.all = nil
	slices.Sort(all)
	return strings.Join(all, "; ")
}

// Each session with a server is told of once, when it ends, in whatever way.
func TestSessionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		a, modern := d.Server("a"), d.Server("modern")
		modern.Version = "2026-07-28"
		b := begin(t, d, command("a"), command("modern"))
		want := func(what, want string) {
			t.Helper()
			if got := b.ended.take(); got != want {
				t.Errorf("%s: %s, want %s", what, got, want)
			}
		}
		own := upstream.Scope{Key: "s1", Exclusive: true}
		call := func() {
			t.Helper()
			if err := b.up("a").Subscribe(t.Context(), own, "file:///x"); err != nil {
				t.Fatal(err)
			}
			_ = b.up("a").Unsubscribe(t.Context(), own, "file:///x")
		}
		want("at first", "")
		time.Sleep(time.Minute)
		a.Last().Lose()
		want("the process ended", `a 2025-11-25 1m0s "exit"`)
		b.await("a", upstream.Running, time.Minute)

		call()
		time.Sleep(time.Second)
		b.up("a").Release("s1")
		want("its client went", `a 2025-11-25 1s ""`)

		call()
		time.Sleep(2 * time.Second)
		a.Last().Lose()
		want("the client's own process ended", `a 2025-11-25 2s "exit"`)
		time.Sleep(time.Hour)
		b.up("a").Release("s1")
		want("its client went later", "")

		call()
		time.Sleep(3 * time.Second)
		l := a.Last()
		l.Dial.Renewed(l.Hello())
		want("the server forgot the session", `a 2025-11-25 3s "session"`)
		time.Sleep(4 * time.Second)
		b.up("a").Release("s1")
		want("the session made in its place", `a 2025-11-25 4s ""`)

		began := b.up("a").Status().Started
		took := time.Since(began)
		if err := b.up("a").Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		want("stopped", fmt.Sprintf(`a 2025-11-25 %v ""`, took))
		if err := b.up("a").Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.await("a", upstream.Running, time.Minute)
		call()
		time.Sleep(5 * time.Second)
		b.stop()
		want("the end, with a modern server, which has none", `a 2025-11-25 5s ""; a 2025-11-25 5s ""`)
	})
}
