package gateway

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
	"github.com/interlock-mcp/interlock/upstream/linktest"
	"github.com/interlock-mcp/interlock/upstream/upstreamtest"
)

// What starts on demand is listed and ready whether it runs or not, and nobody
// is told that it comes and goes.
func TestOnDemandStaysListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := settings(t, "a")
		u := &cfg.Upstreams[0]
		u.Start, u.IdleStop, u.Required, u.ListGrace = upstream.OnDemand, time.Minute, true, time.Second
		d := new(linktest.Dialer)
		d.Server("a").Tools = []string{"echo"}
		d.Server("a").OnRequest = echo
		state := func(r *rig, want upstream.State) {
			t.Helper()
			synctest.Wait()
			if s := r.set.Upstream("a").Status(); s.State != want || s.Idle == (want == upstream.Running) {
				t.Errorf("a is %s, idle %v, want %s", s.State, s.Idle, want)
			}
			if ok, waiting := r.Ready(); !ok {
				t.Errorf("not ready while a is %s: %v", want, waiting)
			}
		}
		listed := func(c *client) {
			t.Helper()
			if got := c.post(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`); !strings.Contains(got.body, `"a__echo"`) {
				t.Errorf("listed: %s", got.body)
			}
		}
		r := start(t, cfg, d).running()
		c := r.connect(`{}`)
		listed(c)
		catalog := r.view.Load().catalog
		for range 3 {
			time.Sleep(2 * time.Minute)
			state(r, upstream.Stopped)
			listed(c)
			if got := c.post(calls("1", "a__echo", `{"here":true}`)); !strings.Contains(got.body, "here") {
				t.Errorf("answer: %s", got.body)
			}
			state(r, upstream.Running)
		}
		if r.view.Load().catalog != catalog {
			t.Error("the catalog was published anew")
		}
		r.stop()

		// The next gateway knows it without a start, and does not wait to list it.
		n := len(d.Server("a").Dials())
		r = start(t, cfg, d)
		begun := time.Now()
		c = r.connect(`{}`)
		listed(c)
		if took := time.Since(begun); took > 0 {
			t.Errorf("the list took %v", took)
		}
		time.Sleep(time.Hour)
		state(r, upstream.NotStarted)
		if more := len(d.Server("a").Dials()) - n; more > 0 {
			t.Errorf("%d starts for nobody", more)
		}
		// A start that fails is told as what it is.
		d.Server("a").Script(func(s *linktest.Server) {
			s.OnDial = func(_ context.Context, _ int, _ *upstream.Dial) error {
				return &upstream.StartError{Stage: "spawn", Err: os.ErrNotExist}
			}
		})
		got := c.post(calls("2", "a__echo", `{}`)).body
		for _, want := range []string{`"isError":true`, `"executed":"no"`, `"reason":"error"`, `"retryAfterMs":`, os.ErrNotExist.Error()} {
			if !strings.Contains(got, want) {
				t.Errorf("%s is not in %s", want, got)
			}
		}
	})
}

// Real processes: one for all who call at once, and none when nobody does.
func TestOnDemandProcesses(t *testing.T) {
	cfg := settings(t)
	pids := filepath.Join(t.TempDir(), "pids")
	u := child(t, cfg, "kid", map[string]string{upstreamtest.PIDFile: pids})
	u.Start, u.IdleStop = upstream.OnDemand, time.Second
	r := startWith(t, cfg, Options{})
	idle := func(processes int) {
		t.Helper()
		r.until(func() bool {
			s := r.set.Upstream("kid").Status()
			return s.Idle && s.State == upstream.Stopped
		})
		b, err := os.ReadFile(pids)
		if err != nil {
			t.Fatal(err)
		}
		all := strings.Fields(string(b))
		if len(all) != processes {
			t.Errorf("processes %v, want %d", all, processes)
		}
		for _, one := range all {
			var pid int
			if _, err := fmt.Sscan(one, &pid); err != nil {
				t.Fatal(err)
			}
			if p, err := os.FindProcess(pid); err == nil && p.Signal(syscall.Signal(0)) == nil {
				t.Errorf("process %s is still there", one)
			}
		}
	}
	idle(1) // it was learnt
	var clients []*client
	for range 10 {
		clients = append(clients, r.connect(`{}`))
	}
	for round := 2; round <= 3; round++ {
		var callers sync.WaitGroup
		held := make([]<-chan jsonrpc.Event, len(clients))
		for i, c := range clients {
			callers.Go(func() { held[i] = c.hold(t.Context(), "1") })
		}
		callers.Wait() // none is answered before it has all of them
		clients[0].post(calls("2", "kid__release", `{}`))
		for i, c := range clients {
			if got := c.next(held[i]); !strings.Contains(got, `"id":1,`) || !strings.Contains(got, "held") {
				t.Errorf("client %d: %s", i, got)
			}
		}
		idle(round)
	}
}
