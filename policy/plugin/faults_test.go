//go:build unix

package plugin

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/interlock-mcp/interlock/policy"
)

// rounds is how often each fault is injected: once, and in a soak 20 times.
func rounds() int {
	if os.Getenv("INTERLOCK_SOAK") != "" {
		return 20
	}
	return 1
}

// F29: whatever a plugin does, no call passes that it did not let pass, unless on_error
// says so; calls end within the timeout, and there is another process afterwards.
func TestFaults(t *testing.T) {
	for _, f := range []struct {
		name, tool string
		decided    bool // the call itself, although it does harm
		restarts   bool
		load       bool // others call meanwhile: where one that is answered would show that it does not hang
	}{
		{name: "exits", tool: "exit", restarts: true, load: true},
		{name: "panics", tool: "crash", restarts: true, load: true},
		{name: "panics in a hook", tool: "panic", load: true},
		{name: "hangs in a hook", tool: "hang", restarts: true},
		{name: "hangs as a whole", tool: "stop", restarts: true, load: true},
		{name: "is slow", tool: "slow", restarts: true},
		{name: "replies 100 MB", tool: "huge", load: true},
		{name: "closes its socket", tool: "cut", restarts: true, load: true},
		{name: "floods stderr", tool: "flood", decided: true, load: true},
		{name: "poisons stderr", tool: "poison", decided: true, load: true},
	} {
		for _, onError := range []policy.Effect{policy.Deny, policy.Allow} {
			t.Run(f.name+"/"+string(onError), func(t *testing.T) {
				c := config(t)
				if f.tool != "huge" && !f.decided { // these take their time on a busy machine
					c.Timeout = 200 * time.Millisecond
				}
				p, w := started(t, c)
				l := newLoad(p, onError)
				for range rounds() {
					stop := func() {}
					if f.load {
						stop = l.run(t, 4)
					}
					l.fault(t, w, c.Timeout, f.tool, f.restarts, f.decided)
					stop()
					eventually(t, p)
				}
				if n := l.passed.Load(); onError == policy.Deny && n > 0 {
					t.Errorf("%d calls passed that were refused or undecided", n)
				}
				if onError == policy.Deny && f.restarts && l.undecided.Load() == 0 {
					t.Error("no call was undecided: nothing was tested")
				}
				t.Logf("%d calls refused, %d undecided, %d of these passed; the longest took %s", l.refused.Load(), l.undecided.Load(), l.passed.Load(), time.Duration(l.longest.Load()))
				if os.Getenv("INTERLOCK_SOAK") != "" && time.Duration(l.longest.Load()) > c.Timeout+time.Second {
					t.Errorf("a call took %s, with a timeout of %s", time.Duration(l.longest.Load()), c.Timeout)
				}
			})
		}
	}
}

// load are calls that must be refused, by way of a chain.
type load struct {
	chain   *policy.Chain
	onError policy.Effect

	refused, undecided, passed, longest atomic.Int64
}

func newLoad(p policy.Policy, onError policy.Effect) *load {
	l := &load{onError: onError}
	l.chain = policy.NewChain(func(_ context.Context, _ *policy.Call, d policy.Decision) {
		if d.Effect == policy.Failed {
			l.undecided.Add(1)
		}
	}, policy.Step{Name: "p", Policy: p, OnError: onError})
	return l
}

// call makes one call.
func (l *load) call(t *testing.T, tool string) error {
	t.Helper()
	call := request(t, tool, "{}")
	began := time.Now()
	l.chain.Enter()
	err := l.chain.Before(t.Context(), call)
	l.chain.Done(call)
	for took := int64(time.Since(began)); ; {
		old := l.longest.Load()
		if took <= old || l.longest.CompareAndSwap(old, took) {
			break
		}
	}
	return err
}

// run makes calls that the plugin refuses until stop, and counts those that pass.
func (l *load) run(t *testing.T, n int) (stop func()) {
	t.Helper()
	var wg sync.WaitGroup
	quit := make(chan struct{})
	for range n {
		wg.Go(func() {
			for {
				select {
				case <-quit:
					return
				default:
				}
				if err := l.call(t, "deny"); err == nil {
					l.passed.Add(1)
				} else {
					l.refused.Add(1)
				}
			}
		})
	}
	return func() {
		close(quit)
		wg.Wait()
	}
}

// fault injects the fault, until it has done what it does.
func (l *load) fault(t *testing.T, w *world, timeout time.Duration, tool string, restarts, decided bool) {
	t.Helper()
	end := time.After(time.Minute)
	for {
		err := l.call(t, tool)
		switch {
		case decided && err != nil:
			t.Errorf("the call itself: %v", err)
		case decided:
		case l.onError == policy.Deny && err == nil:
			l.passed.Add(1)
		case l.onError == policy.Allow && err != nil:
			t.Errorf("on_error allow: %v", err)
		case l.onError == policy.Allow:
		default:
			if d, ok := errors.AsType[*policy.Denial](err); !ok || d.Err == nil {
				t.Errorf("error %v, want a denial for want of a decision", err)
			}
		}
		if !restarts {
			return
		}
		select {
		case <-w.restarted:
			return
		case <-end:
			t.Fatal("not started again within a minute")
		case <-time.After(timeout / 10): // it may not be known yet that it is lost
		}
	}
}

// While a plugin is down nobody waits for it.
func TestDownIsUndecidedAtOnce(t *testing.T) {
	c := config(t)
	c.Restart = Restart{Delay: time.Hour, MaxDelay: time.Hour}
	p, w := started(t, c)
	in := p.(*inbound)
	_ = p.Before(t.Context(), request(t, "exit", "{}"))
	w.log.await(t, "plugin lost")
	if err := p.Before(t.Context(), request(t, "allow", "{}")); !errors.Is(err, errDown) {
		t.Errorf("error %v, want %v", err, errDown)
	}
	if got := in.State(); got != "down: it ended: exit status 3" && got != "down: its connection ended" {
		t.Errorf("state %q", got)
	}
	// And the end does not wait for the restart, either: the cleanup closes it.
}

// The timeout of the step counts as well, if it is the shorter one.
func TestStepTimeoutFindsWhatHangs(t *testing.T) {
	c := config(t)
	c.Timeout = 20 * time.Millisecond
	p, w := started(t, c)
	chain := policy.NewChain(nil, policy.Step{Name: "p", Policy: p, Timeout: 10 * time.Millisecond})
	for late := time.After(time.Minute); len(w.restarted) == 0; {
		call := request(t, "hang", "{}")
		if err := chain.Before(t.Context(), call); err == nil {
			t.Fatal("it passed")
		}
		select {
		case <-late:
			t.Fatalf("not started again within a minute\n%s", w.log.String())
		default:
		}
	}
}

// A call that its client gave up says nothing of the plugin.
func TestCancelledCallsAreNotLate(t *testing.T) {
	p, w := started(t, config(t))
	for range 2 * lateLimit {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Millisecond, cancel)
		if err := p.Before(ctx, request(t, "hang", "{}")); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want that of the context", err)
		}
	}
	if n := p.(*inbound).late.Load(); n != 0 {
		t.Errorf("%d count as late", n)
	}
	eventually(t, p)
	if len(w.restarted) > 0 {
		t.Error("it was started again")
	}
}

// What a plugin started goes with it, however it ends and however it is related.
func TestNothingIsLeft(t *testing.T) {
	alive := func(t *testing.T, pids []string) {
		t.Helper()
		for _, pid := range pids {
			if stat, err := os.ReadFile(filepath.Join("/proc", pid, "stat")); err == nil && !strings.Contains(string(stat), ") Z ") {
				t.Errorf("process %s is left", pid)
			}
		}
	}
	family := func(t *testing.T, p policy.Policy) []string {
		t.Helper()
		var pids []string
		for _, tool := range []string{"pid", "fork"} {
			d, ok := errors.AsType[*policy.Denial](p.Before(t.Context(), request(t, tool, "{}")))
			if !ok {
				t.Fatal("no denial")
			}
			pids = append(pids, strings.Fields(d.Reason)...)
		}
		for _, pid := range pids {
			if _, err := strconv.Atoi(pid); err != nil {
				t.Fatal(err)
			}
		}
		return pids
	}
	t.Run("closed", func(t *testing.T) {
		t.Parallel()
		p, _ := started(t, config(t))
		pids := family(t, p)
		_ = p.(*inbound).Close()
		alive(t, pids)
	})
	t.Run("closed, and deaf", func(t *testing.T) {
		t.Parallel()
		c := config(t)
		c.Config = map[string]any{"deaf": true}
		p, _ := started(t, c)
		pids := family(t, p)
		_ = p.(*inbound).Close()
		alive(t, pids)
	})
	t.Run("died", func(t *testing.T) {
		t.Parallel()
		p, w := started(t, config(t))
		pids := family(t, p)
		_ = p.Before(t.Context(), request(t, "exit", "{}"))
		w.wait(t)
		alive(t, pids)
	})
}
