package upstream_test

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// step is one thing that happens.
type step struct {
	do  string
	on  string        // an upstream
	how string        // a way, a kind of call, what a reload changes
	n   int           // how often
	d   time.Duration // how long
}

func (s step) GoString() string {
	return strings.TrimSpace(fmt.Sprintf("%s %s %s %d %v", s.do, s.on, s.how, s.n, s.d))
}

var names = []string{"a", "b", "c", "d"}

func someStep(of []string) *rapid.Generator[step] {
	ways := map[string][]string{
		"dial": {"fine", "fine", "failing", "hanging", "late"}, "list": {"fine", "fine", "failing", "hanging"},
		"ping": {"fine", "failing", "hanging", "neutral"}, "close": {"fine", "slow", "surviving"},
		"knock": {"fine", "refused", "unknown"},
	}
	return rapid.Custom(func(t *rapid.T) step {
		s := step{on: rapid.SampledFrom(of).Draw(t, "on")}
		s.do = rapid.SampledFrom([]string{
			"wait", "wait", "wait", "lose", "lose", "dial", "dial", "list", "ping", "close", "knock",
			"start", "stop", "kill", "restart", "call", "call", "call", "late", "changed", "reload", "reload",
		}).Draw(t, "do")
		switch s.do {
		case "wait":
			s.d = rapid.SampledFrom([]time.Duration{
				time.Millisecond, time.Second, 3 * time.Second, 6 * time.Second, 13 * time.Second, 25 * time.Second, 65 * time.Second, 11 * time.Minute,
			}).Draw(t, "d")
		case "call":
			s.how = rapid.SampledFrom([]string{"fine", "refused", "reset", "reset", "odd", "exit", "hanging", "cancelled"}).Draw(t, "how")
			s.n = rapid.IntRange(1, 12).Draw(t, "n")
		case "start", "stop", "kill", "restart":
			s.n = rapid.SampledFrom([]int{0, 0, 0, 3, 5, 6, 15}).Draw(t, "n") // bits: who else
		case "late":
			s.how = rapid.SampledFrom([]string{"changed", "lost", "renewed", "spawned"}).Draw(t, "how")
			s.n = rapid.IntRange(0, 3).Draw(t, "n")
		case "reload":
			s.how = rapid.SampledFrom([]string{"live", "key", "edge", "remove", "add", "invalid", "same", "order"}).Draw(t, "how")
			s.n = rapid.IntRange(0, 7).Draw(t, "n")
		default:
			if w := ways[s.do]; w != nil {
				s.how = rapid.SampledFrom(w).Draw(t, "how")
			}
		}
		return s
	})
}

// someConfigs draws upstreams, each of which depends on some before it.
func someConfigs(t *rapid.T) []upstream.Config {
	configs := make([]upstream.Config, rapid.IntRange(1, len(names)).Draw(t, "upstreams"))
	for i := range configs {
		c := command(names[i])
		if rapid.IntRange(0, 3).Draw(t, "remote") == 3 {
			c.Command, c.URL = "", "http://127.0.0.1:1/mcp"
		}
		for j := range i {
			switch rapid.IntRange(0, 5).Draw(t, "edge") {
			case 3:
				c.DependsOn = append(c.DependsOn, upstream.Dependency{On: names[j], Condition: upstream.ConditionRunning})
			case 4:
				c.DependsOn = append(c.DependsOn, upstream.Dependency{On: names[j], Condition: upstream.ConditionStarted})
			case 5:
				c.DependsOn = append(c.DependsOn, upstream.Dependency{On: names[j], Condition: upstream.ConditionRunning, Restart: true})
			}
		}
		c.OnDependencyFailure = rapid.SampledFrom([]upstream.DependencyFailure{upstream.Wait, upstream.Wait, upstream.StartAnyway}).Draw(t, "anyway")
		c.Restart.Policy = rapid.SampledFrom([]upstream.RestartPolicy{upstream.OnFailure, upstream.OnFailure, upstream.Always, upstream.Never}).Draw(t, "policy")
		c.Restart.MaxAttempts = rapid.IntRange(0, 3).Draw(t, "attempts")
		c.Restart.Delay = rapid.SampledFrom([]time.Duration{5 * time.Second, time.Second}).Draw(t, "delay")
		c.Restart.MaxDelay = rapid.SampledFrom([]time.Duration{time.Minute, 3 * time.Second}).Draw(t, "max")
		if rapid.IntRange(0, 3).Draw(t, "demand") == 3 {
			c.Start = upstream.OnDemand
			c.IdleStop = rapid.SampledFrom([]time.Duration{20 * time.Second, 0}).Draw(t, "idle")
		}
		c.StartTimeout, c.CallTimeout = 20*time.Second, 3*time.Second
		configs[i] = c
	}
	return configs
}

// world is a set, its servers and the model.
type world struct {
	t       *rapid.T
	m       *model
	annals  *annals
	d       *linktest.Dialer
	set     *upstream.Set
	peers   map[string]*peer
	configs []upstream.Config // as they were drawn
	applied []upstream.Config
	first   func(story func() string) // is told of a fault
	ctx     context.Context           //nolint:containedctx // ends with the test
	waits   sync.WaitGroup            // clients, and operators who wait
	calls   int
	open    int // calls without an answer
}

func newWorld(t *rapid.T, configs []upstream.Config) *world {
	w := &world{t: t, m: newModel(), annals: newAnnals(), d: new(linktest.Dialer), peers: make(map[string]*peer), configs: configs}
	w.set = upstream.NewSet(upstream.Options{Dialer: w.d, Observer: w.m, Chronicle: w.annals, Log: slog.New(w.m)})
	for _, c := range configs {
		w.peers[c.Name] = newPeer(w.m, w.d, c.Name)
	}
	w.apply(configs)
	return w
}

// run runs the set through the steps, heals all that fails, waits until all runs
// again that can, and shuts down.
func (w *world) run(steps []step) {
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan struct{})
	go func() { defer close(over); _ = w.set.Run(ctx) }()
	var quit context.CancelFunc
	w.ctx, quit = context.WithCancel(context.Background())
	defer func() { // also where a check has failed
		cancel()
		w.set.Kill()
		<-over
		quit()
		w.waits.Wait()
	}()
	w.rest()
	for i, s := range steps {
		w.m.mu.Lock()
		w.m.note("%#v", s)
		w.m.mu.Unlock()
		w.do(i, s)
		w.rest()
	}
	w.mend()
	w.m.mu.Lock()
	w.m.over = true
	w.m.note("shutdown")
	w.m.mu.Unlock()
	cancel()
	<-over
	w.rest()
	for name, p := range w.peers {
		for _, l := range w.d.Server(name).Links() {
			if open, made := p.open[l]; !made || open {
				w.t.Fatalf("a link of %s is left open", name)
			}
		}
	}
	time.Sleep(100 * time.Millisecond) // one may be about to be sent again
	synctest.Wait()
	if w.open > 0 {
		w.t.Fatalf("%d calls are left without an answer", w.open)
	}
	w.annals.closed(w.t)
}

// rest lets all happen that happens at this moment, and checks.
func (w *world) rest() {
	synctest.Wait()
	time.Sleep(20 * time.Microsecond) // an open breaker is left a microsecond later
	synctest.Wait()
	w.m.rest(func(name string) int { return w.peers[name].working() })
	if f := w.m.faults; len(f) > 0 {
		w.t.Log(w.story())
		w.first(w.story)
		w.t.Fatal(f[0])
	}
}

// story tells what was configured and what happened.
func (w *world) story() string {
	var b strings.Builder
	for _, c := range w.applied {
		fmt.Fprintf(&b, "\n%s: %s, depends on %+v (%s), restart %+v", c.Name, c.Kind(), c.DependsOn, c.OnDependencyFailure, c.Restart)
	}
	return b.String() + "\n" + strings.Join(w.m.trace, "\n")
}

// mend heals the servers. Whatever is meant to be up, and may start by itself,
// has to run then, soon or after the pause of one that is exhausted.
func (w *world) mend() {
	for _, p := range w.peers {
		p.heal()
	}
	missing := func() (names []string) {
		w.m.mu.Lock()
		defer w.m.mu.Unlock()
		up := make(map[string]bool)
		for _, c := range w.applied { // in the order of dependencies
			l := w.m.of(c.Name)
			can := l.desired && (l.config.Restart.Policy != upstream.Never || l.state != upstream.Errored || l.blocked)
			for _, d := range l.config.DependsOn {
				can = can && (up[d.On] || l.config.OnDependencyFailure == upstream.StartAnyway || l.state == upstream.Running)
			}
			up[c.Name] = can
			if (l.exhausted || l.unneeded) && l.config.Start == upstream.OnDemand && !l.wantedBy() {
				can = false // it is tried again when somebody needs it
			}
			if s := l.u.Status(); can && !s.Idle && s.Health != "healthy" {
				names = append(names, c.Name)
			}
		}
		return names
	}
	for spent := time.Duration(0); len(missing()) > 0; {
		if spent > 45*time.Minute {
			w.m.wrong("never recovered: %v", missing())
		}
		d := time.Second + spent/4
		time.Sleep(d)
		spent += d
		w.rest()
	}
}

func (w *world) do(i int, s step) {
	l, p := w.m.of(s.on), w.peers[s.on]
	switch s.do {
	case "wait":
		// Odd, so that it does not end just as a timer rings.
		time.Sleep(s.d + time.Duration(i*7919+13)*time.Microsecond)
	case "dial", "list", "ping", "close", "knock":
		p.set(s.do, s.how)
	case "reload":
		w.reload(i, s)
	case "call":
		w.call(s)
	case "late":
		w.late(s)
	case "lose":
		if link := l.link; link != nil && l.state != upstream.Starting {
			w.m.loses(s.on, link)
		}
	case "changed":
		p.mu.Lock()
		p.version++
		p.mu.Unlock()
		if l.link != nil {
			l.link.Say("notifications/tools/list_changed")
		}
	case "start", "stop", "kill", "restart":
		w.order(s)
	}
}

// order gives an order to one upstream, or to more.
func (w *world) order(s step) {
	w.m.mu.Lock()
	defer w.m.mu.Unlock()
	var of []string
	for i, name := range names[:len(w.configs)] {
		if l := w.m.of(name); !l.leaving && (name == s.on || s.n>>i&1 == 1) {
			of = append(of, name)
		}
	}
	for _, name := range of {
		switch l := w.m.of(name); s.do {
		case "start":
			l.wanted()
		case "stop", "kill":
			l.desired, l.fresh = false, false
			l.leaners()
			l.remember()
		case "restart":
			l.desired, l.fresh = true, true
			l.order()
			l.remember()
		}
	}
	if s.do == "stop" || s.do == "restart" {
		w.follow(of)
	}
	w.m.mu.Unlock()
	for _, o := range w.set.Order(upstream.Verb(s.do), of...) {
		w.waits.Go(func() { _ = o.Wait(w.ctx) })
	}
	w.m.mu.Lock()
}

// follow notes that what has to restart with those of that name stops first.
func (w *world) follow(of []string) {
	for _, name := range of {
		if w.m.of(name).state != upstream.Running {
			continue
		}
		for _, c := range w.applied {
			l := w.m.of(c.Name)
			with := func(d upstream.Dependency) bool { return d.On == name && d.Restart }
			if slices.ContainsFunc(c.DependsOn, with) && l.follow() {
				w.follow([]string{c.Name})
			}
		}
	}
}

// wanted is an operator's start, of l and of what it depends on.
func (l *life) wanted() {
	for _, d := range l.config.DependsOn {
		if on := l.m.of(d.On); on != nil {
			on.wanted()
		}
	}
	if !l.desired || l.state == upstream.Errored || l.state == upstream.Stopped {
		if l.order(); l.desired { // one that runs, and whose stop had to wait, is started again
			l.ordered = false
		}
		l.desired, l.fresh = true, true
	}
	l.remember()
}

// late is an event of a link that is no more. Nothing may come of it.
func (w *world) late(s step) {
	w.m.mu.Lock()
	defer w.m.mu.Unlock()
	links := w.d.Server(s.on).Links()
	l := w.m.lives[s.on][0]
	links = slices.DeleteFunc(links, func(x *linktest.Link) bool { return x == l.link || x.Err() == nil })
	if len(links) == 0 || l != w.m.of(s.on) {
		return
	}
	old, before, traced := links[s.n%len(links)], l.u.Status(), len(w.m.trace)
	asked := w.d.Server(s.on).Asked("tools/list")
	switch s.how {
	case "changed":
		old.Say("notifications/tools/list_changed")
	case "lost":
		old.Lose()
	case "renewed":
		old.Dial.Renewed(old.Hello())
	case "spawned":
		old.Dial.Spawned(99999)
	}
	w.m.mu.Unlock()
	synctest.Wait()
	// What it brings about may come with a pause.
	time.Sleep(time.Microsecond)
	synctest.Wait()
	w.m.mu.Lock()
	if after := l.u.Status(); after != before || len(w.m.trace) != traced || w.d.Server(s.on).Asked("tools/list") != asked {
		w.m.wrong("%s: an old link's event (%s) made %+v of %+v", s.on, s.how, after, before)
	}
}

// call makes calls at once, and checks what comes of them.
func (w *world) call(s step) {
	w.m.mu.Lock()
	defer w.m.mu.Unlock()
	l := w.m.of(s.on)
	state, desired := l.state, l.desired && !l.leaving
	retry := l.u.Status().NextRetry
	for range s.n {
		w.calls++
		w.open++
		l.calls++
		name := fmt.Sprintf("%s-%d", s.how, w.calls)
		w.waits.Go(func() {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			if s.how == "cancelled" {
				defer time.AfterFunc(time.Second, cancel).Stop()
			}
			begun := time.Now()
			_, err := l.u.Call(ctx, seen(name))
			w.m.mu.Lock()
			defer w.m.mu.Unlock()
			w.open--
			l.calls--
			l.needed = time.Now()
			w.judge(l, name, err, time.Since(begun), state, desired, retry.Sub(begun))
		})
	}
}

// judge checks the outcome of a call that was made in a state. m.mu is held.
func (w *world) judge(l *life, name string, err error, took time.Duration, state upstream.State, desired bool, retry time.Duration) {
	p := w.peers[l.name]
	p.mu.Lock()
	came := p.seen[name] > 0
	p.mu.Unlock()
	e, _ := errors.AsType[*upstream.CallError](err)
	reason := ""
	if e != nil {
		reason = e.Reason
	}
	if most := l.config.Limits.QueueTimeout + 4*time.Second + time.Second; took > most {
		l.m.wrong("%s: a call took more than %v", l.name, most)
	}
	if e != nil && !came && e.Executed != upstream.ExecutedNo {
		l.m.wrong("%s: a call that never came is said to be executed: %s", l.name, e.Executed)
	}
	if e != nil && came && e.Executed == upstream.ExecutedNo && strings.HasPrefix(name, "reset") {
		l.m.wrong("%s: a call that came is said not to be executed", l.name)
	}
	at := func(reasons ...string) {
		if came || took > 0 || !slices.Contains(reasons, reason) {
			l.m.wrong("%s: a call in the state %s (desired %v) ended with %q after %v, came %v", l.name, state, desired, reason, took, came)
		}
	}
	switch {
	case state != upstream.Running && !desired:
		at("stopped", "removed")
	case state == upstream.Errored && retry.Seconds() > 0:
		at("error", "exhausted", "breaker_open")
		if e.RetryAfter != retry {
			l.m.wrong("%s: a call is to come back in %v, the retry is in %v", l.name, e.RetryAfter, retry)
		}
	case state == upstream.Errored && l.blocked && took == 0:
		at("dependency")
	}
}

// reload changes the configuration.
func (w *world) reload(i int, s step) {
	next := slices.Clone(w.applied)
	at := slices.IndexFunc(next, func(c upstream.Config) bool { return c.Name == s.on })
	if at < 0 && s.how != "add" && s.how != "invalid" {
		return
	}
	switch s.how {
	case "live":
		next[at].CallTimeout = 3*time.Second + time.Duration(s.n)*time.Millisecond
		next[at].OnDependencyFailure = []upstream.DependencyFailure{upstream.Wait, upstream.StartAnyway}[s.n%2]
	case "key":
		next[at].Args = []string{fmt.Sprint(i)}
	case "edge":
		on := names[s.n%len(names)]
		j := slices.IndexFunc(next[at].DependsOn, func(d upstream.Dependency) bool { return d.On == on })
		switch {
		case j >= 0:
			next[at].DependsOn = slices.Delete(slices.Clone(next[at].DependsOn), j, j+1)
		case on < s.on && w.has(on):
			next[at].DependsOn = append(slices.Clip(next[at].DependsOn), upstream.Dependency{On: on, Condition: upstream.ConditionRunning, Restart: s.n > 3})
		}
	case "remove":
		next = slices.Delete(next, at, at+1)
		for k := range next {
			next[k].DependsOn = slices.DeleteFunc(slices.Clone(next[k].DependsOn), func(d upstream.Dependency) bool { return d.On == s.on })
		}
	case "add":
		if at >= 0 {
			return
		}
		c := w.configs[slices.Index(names, s.on)]
		c.DependsOn = slices.DeleteFunc(slices.Clone(c.DependsOn), func(d upstream.Dependency) bool { return !w.has(d.On) })
		next = append(next, c)
		slices.SortFunc(next, func(a, b upstream.Config) int { return strings.Compare(a.Name, b.Name) })
	case "invalid":
		next = append(next, command("z", "nobody"))
		w.m.mu.Lock()
		traced := len(w.m.trace)
		w.m.mu.Unlock()
		if _, err := w.set.Apply(next); err == nil {
			w.t.Fatal("an unknown dependency was accepted")
		}
		synctest.Wait()
		if len(w.m.trace) != traced {
			w.t.Fatal("an invalid reload changed something")
		}
		return
	case "order":
		slices.Reverse(next)
		defer slices.Reverse(w.applied)
	}
	w.apply(next)
}

func (w *world) has(name string) bool {
	return slices.ContainsFunc(w.applied, func(c upstream.Config) bool { return c.Name == name })
}

// apply tells the model and the set.
func (w *world) apply(next []upstream.Config) {
	w.m.mu.Lock()
	defer w.m.mu.Unlock()
	for _, c := range w.applied {
		if l := w.m.of(c.Name); l.wantedBy() {
			l.leant = time.Now()
		}
	}
	var added []*life
	var changed []string
	for _, c := range next {
		l := w.m.of(c.Name)
		if l == nil || l.leaving {
			l = &life{
				m: w.m, name: c.Name, config: c, desired: true, state: upstream.NotStarted, breaker: upstream.BreakerClosed,
				next: time.Now(),
			}
			w.m.lives[c.Name] = append(w.m.lives[c.Name], l)
			added = append(added, l)
		} else if old := l.config; true {
			l.config = c
			if old.RestartKey() != c.RestartKey() {
				l.learnt = false
			}
			if old.RestartKey() != c.RestartKey() && l.desired {
				if l.fresh = l.state != upstream.Stopped; !l.fresh { // idle
					l.reset()
					l.retry = false
				}
				l.order()
				changed = append(changed, c.Name)
			}
		}
		l.remember()
	}
	for _, c := range w.applied {
		if !slices.ContainsFunc(next, func(n upstream.Config) bool { return n.Name == c.Name }) {
			l := w.m.of(c.Name)
			l.leaving = true
			l.remember()
		}
	}
	w.applied = next
	w.follow(changed)
	w.m.mu.Unlock()
	_, err := w.set.Apply(next)
	w.m.mu.Lock()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, l := range added {
		l.u = w.set.Upstream(l.name)
	}
}

// TestLifecycleModel runs 10,000 random sequences of events against the model, with
// `make model`. Not under the race detector: the model looks at itself while the
// upstreams move, and the detector of Go 1.26 crashes (SIGSEGV in __tsan::SlotLock,
// golang/go#78059) about once in 100,000 sequences.
func TestLifecycleModel(t *testing.T) {
	checks := "10000"
	switch {
	case os.Getenv("INTERLOCK_SOAK") != "":
		checks = "100000"
	case raceEnabled:
		t.Skip("make model runs it, without the race detector")
	}
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		_ = f.Value.Set(checks)
		defer func() { _ = f.Value.Set(f.DefValue) }()
	}
	// Jitter is not drawn, so that a fault may not come again: the first is kept.
	story := ""
	t.Cleanup(func() {
		if t.Failed() {
			t.Log("as it was first seen:", story)
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		var w *world
		configs := someConfigs(t)
		of := names[:len(configs)]
		steps := rapid.SliceOfN(someStep(of), 0, 25).Draw(t, "steps")
		defer func() { // what is left in the bubble can still be seen
			if e := recover(); e != nil {
				if strings.Contains(fmt.Sprint(e), "deadlock") {
					stacks := make([]byte, 1<<20)
					story = cmp.Or(story, w.story()+"\n"+string(stacks[:runtime.Stack(stacks, true)]))
				}
				panic(e)
			}
		}()
		rapid.SyncTest(t, func(t *rapid.T) {
			w = newWorld(t, configs)
			w.first = func(f func() string) { story = cmp.Or(story, f()) }
			w.run(steps)
		})
	})
}
