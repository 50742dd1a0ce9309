package upstream

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/interlock-mcp/interlock/upstream/upstreamtest"
)

// realSet runs a set with one real child "fake" in these modes until the test
// ends.
func realSet(t *testing.T, change func(c *Config), modes string, vars ...string) *Upstream {
	t.Helper()
	c := fakeDial(t, modes, vars...).Config
	change(c)
	dialer, err := NewDialer(DialerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s := NewSet(Options{Dialer: dialer})
	if _, err := s.Apply([]Config{*c}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan struct{})
	go func() { defer close(over); _ = s.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-over })
	u := s.Upstream("fake")
	u.reach(t, Running)
	return u
}

// reach blocks until the upstream is in a state.
func (u *Upstream) reach(t *testing.T, want State) Status {
	t.Helper()
	late := time.After(patient)
	for {
		p := u.phase.Load()
		if p.status.State == want {
			return u.Status()
		}
		select {
		case <-p.changed:
		case <-late:
			t.Fatalf("it is %s, want %s: %+v", p.status.State, want, p.status.Failure)
		}
	}
}

// What is told of a process that ends while it runs.
func TestProcessEndsWhileItRuns(t *testing.T) {
	for _, c := range []struct{ arguments, exit string }{
		{`{"code":3}`, "exit status 3"},
		{`{"code":0}`, "exit status 0"},
		{`{"signal":"kill"}`, "signal: killed"},
	} {
		t.Run(c.exit, func(t *testing.T) {
			u := realSet(t, func(c *Config) { c.Restart.Policy = Never }, "ok")
			r := toolCall(t, "exit", c.arguments, "")
			_, err := u.Call(t.Context(), &Call{Request: *r, Method: "tools/call"})
			var e *CallError
			if !errors.As(err, &e) || e.Executed != ExecutedUnknown {
				t.Errorf("the call: %v", err)
			}
			s := u.reach(t, Errored)
			if f := s.Failure; f.Stage != "running" || f.Exit != c.exit || !strings.HasSuffix(f.Message, "the process ended: "+c.exit) {
				t.Errorf("%+v", f)
			}
			if s.PID != 0 || !s.NextRetry.IsZero() {
				t.Errorf("%+v", s)
			}
		})
	}
}

// A kill ends the whole tree at once; the children here outlive anything else.
func TestKillEndsTheTree(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	u := realSet(t, func(c *Config) { c.StopTimeout = time.Hour }, "ignoreterm,sh,doublefork,setsid", upstreamtest.PIDFile, pids)
	if err := u.set.Order(VerbKill, "fake")[0].Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := u.Status(); s.LastStop != Killed || s.Because != errKill.Error() || s.Desired {
		t.Errorf("%+v", s)
	}
	b, err := os.ReadFile(pids)
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Fields(string(b))
	if len(all) < 4 {
		t.Errorf("only %v began", all)
	}
	for _, one := range all {
		if pid, err := strconv.Atoi(one); err != nil || alive(pid) {
			t.Errorf("process %s is still there", one)
		}
	}
}

// Each kind of stop is told as what it was, and a stop that takes too long for
// somebody can be made a kill.
func TestStopKinds(t *testing.T) {
	u := realSet(t, func(*Config) {}, "ok")
	if err := u.Stop(t.Context()); err != nil || u.Status().LastStop != Graceful {
		t.Errorf("%v, %s", err, u.Status().LastStop)
	}
	u = realSet(t, func(c *Config) { c.StopTimeout = time.Hour }, "ignoreterm")
	stop := u.set.Order(VerbStop, "fake")[0]
	u.reach(t, Stopping)
	kill := u.set.Order(VerbKill, "fake")[0]
	for _, o := range []*Order{stop, kill} {
		if err := o.Wait(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if s := u.Status(); s.LastStop != Killed || s.Because != errKill.Error() {
		t.Errorf("%+v", s)
	}
}
