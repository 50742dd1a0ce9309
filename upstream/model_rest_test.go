package upstream_test

import (
	"errors"
	"slices"
	"time"

	"github.com/interlock-mcp/interlock/upstream"
)

// ready says how it stood with a dependency at an instant. More than one may be
// true, if it changed just then.
func (l *life) ready(d upstream.Dependency, at time.Time) (there, failed, coming bool) {
	on := l.m.of(d.On)
	if on == nil || on.leaving {
		return true, false, false
	}
	is := func(p moment) bool {
		return p.desired && !p.pending && (p.state == upstream.Running || d.Condition == upstream.ConditionStarted && p.state == upstream.Starting && p.spawned)
	}
	lost := func(p moment) bool { return !p.desired || p.state == upstream.Errored && !p.pending }
	there, failed = on.was(at, is), on.was(at, lost)
	coming = on.was(at, func(p moment) bool { return !is(p) && !lost(p) })
	return there, failed, coming
}

// held returns a dependency that is not there.
func (l *life) held(at time.Time) (on string, held bool) {
	for _, d := range l.config.DependsOn {
		if there, _, _ := l.ready(d, at); !there && l.config.OnDependencyFailure == upstream.Wait {
			return d.On, true
		}
	}
	return "", false
}

// lacks returns the first dependency that has failed.
func (l *life) lacks(at time.Time) (on string, failed bool) {
	for _, d := range l.config.DependsOn {
		if _, failed, _ := l.ready(d, at); failed {
			return d.On, true
		}
	}
	return "", false
}

// waitsFor returns a dependency that has to be waited for before a start.
func (l *life) waitsFor(at time.Time) (on string, waiting bool) {
	for _, d := range l.config.DependsOn {
		there, failed, _ := l.ready(d, at)
		if !there && !(failed && l.config.OnDependencyFailure == upstream.StartAnyway) {
			return d.On, true
		}
	}
	return "", false
}

// counts is an outcome that the breaker is to count.
func (l *life) counts(bad bool) {
	if l.state == upstream.Starting { // it runs, and that is about to be told
		l.early = true
	}
	if l.state != upstream.Running {
		return
	}
	now, b := time.Now(), l.config.Breaker
	l.counted = append(l.counted, counted{now, bad})
	if !bad {
		l.row = 0
		return
	}
	l.row++
	if l.row >= b.Failures {
		l.may, l.must = true, true
	}
	// Of what is as old as the window only it is known that it may count.
	var all, old [2]int // by whether it was bad
	for _, c := range l.counted {
		i := 0
		if c.bad {
			i = 1
		}
		switch age := now.Sub(c.at); {
		case age < b.Window*8/10:
			all[i]++
		case age <= b.Window*12/10:
			old[i]++
		}
	}
	over := func(good, bad int) bool {
		return good+bad >= b.MinRequests && float64(bad) >= b.Ratio*float64(good+bad)
	}
	always := true
	for good := all[0]; good <= all[0]+old[0]; good++ {
		for bad := all[1]; bad <= all[1]+old[1]; bad++ {
			if over(good, bad) {
				l.may = true
			} else {
				always = false
			}
		}
	}
	l.must = (l.must || always) && !l.early
}

// sampled is a probe that the set tells of.
func (l *life) sampled(took time.Duration, err error) {
	now := time.Now()
	neutral := errors.Is(err, upstream.ErrNeutral)
	l.m.note("%s: probed, %v, %v", l.name, took, err)
	if l.state == upstream.Starting { // the last step of recovery
		l.lastPing = ""
		return
	}
	if l.state != upstream.Running {
		l.m.wrong("%s was probed while %s", l.name, l.state)
		return
	}
	timeouts := 0
	if took > 0 || err != nil {
		want := l.lastPing
		if want == "hanging" && l.config.Kind() == upstream.Stdio && l.busy(now) {
			want = "neutral"
		}
		if want == "hanging" && neutral && (l.ordered || !l.desired || l.leaving || l.m.over) {
			want = "neutral" // it was given up
		}
		if (err == nil) != (want == "fine") || neutral != (want == "neutral") {
			l.m.wrong("%s: the probe that went %s was taken as %v", l.name, want, err)
		}
		l.lastPing = ""
		for _, at := range l.hanging {
			if !at.After(now) {
				timeouts++
			}
		}
		l.hanging = slices.DeleteFunc(l.hanging, func(at time.Time) bool { return !at.After(now) })
		switch {
		case err == nil:
			l.counts(false)
		case !neutral && timeouts == 0 && l.probed.Equal(now): // of one instant's timeouts some may be this one's
			l.may = l.may || l.row+1 >= l.config.Breaker.Failures
		case !neutral:
			for range max(timeouts, 1) {
				l.counts(true)
			}
		}
	} else if !slices.ContainsFunc(l.counted, func(c counted) bool { return !c.bad && now.Sub(c.at) <= l.farthest() }) {
		l.m.wrong("%s: no call stands for the probe", l.name)
	}
	l.probed, l.healthy = now, err == nil
	if err == nil || !neutral && now.Sub(l.evidence) <= 2*l.config.Interval() { // else only a success ends `unknown`
		l.evidence = now
	}
}

// farthest is how far apart probes are at most: a remote's are, while nobody uses
// it.
func (l *life) farthest() time.Duration {
	if l.config.Kind() == upstream.Stdio {
		return l.config.Interval()
	}
	return 10 * time.Minute
}

// busy reports whether a call hangs inside its own deadline.
func (l *life) busy(now time.Time) bool {
	return l.busyUntil.After(now) || slices.ContainsFunc(l.hanging, func(at time.Time) bool { return at.After(now) })
}

// rest checks all at a moment at which nothing moves but time. busy says whether
// the servers of an upstream have something to do for its owner.
func (m *model) rest(busy func(name string) int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, check := range m.later {
		check()
	}
	m.later = nil
	now := time.Now()
	for _, all := range m.lives {
		for _, l := range all {
			n := 0
			if l == all[0] { // the newer one waits for it to leave
				n = busy(l.name)
			}
			if m.over || l.leaving {
				l.ending(n)
				continue
			}
			l.settled(now, n, l != all[0])
			l.shown(now)
		}
	}
}

// ending checks one that is removed or shut down.
func (l *life) ending(busy int) {
	if !slices.Contains(removable, l.state) && busy == 0 && !l.kept() {
		l.m.wrong("%s is to leave, and is still %s", l.name, l.state)
	}
}

// kept reports whether something that depends on one that is to leave has not
// left: it goes first.
func (l *life) kept() bool {
	for _, all := range l.m.lives {
		for _, d := range all {
			depends := slices.ContainsFunc(d.config.DependsOn, func(e upstream.Dependency) bool { return e.On == l.name })
			if depends && (d.leaving || l.m.over) && !slices.Contains(removable, d.state) {
				return true
			}
		}
	}
	return false
}

// wantedBy reports whether anybody needs an upstream that starts on demand: a
// call, what depends on it and is up or waits for it, or the gateway, which never
// learnt what it lists.
func (l *life) wantedBy() bool {
	if l.calls > 0 || !l.learnt {
		return true
	}
	for _, all := range l.m.lives {
		d := all[len(all)-1]
		on := func(e upstream.Dependency) bool { return e.On == l.name }
		if slices.ContainsFunc(d.config.DependsOn, on) && d.leans() {
			return true
		}
	}
	return false
}

// leans reports whether an upstream needs what it depends on.
func (l *life) leans() bool {
	switch l.state {
	case upstream.Starting, upstream.Running, upstream.Stopping:
		return true
	case upstream.Errored:
		return l.blocked && l.desired
	}
	return false
}

// settled checks that an upstream is where it has to be.
func (l *life) settled(now time.Time, busy int, queued bool) {
	idle := l.config.Start == upstream.OnDemand && !l.wantedBy()
	if since := min(now.Sub(l.needed), now.Sub(l.leant)); idle && l.state == upstream.Running && l.config.IdleStop > 0 && since > l.config.IdleStop*13/10 {
		l.m.wrong("%s goes on running, and nobody has needed it for %v", l.name, since)
	}
	switch l.state {
	case upstream.NotStarted:
		if !queued {
			l.m.wrong("%s was never started", l.name)
		}
	case upstream.Stopped:
		pauses := l.config.Start == upstream.OnDemand && now.Sub(l.past[len(l.past)-1].at) < 200*time.Millisecond // calls, before they are sent again
		if l.desired && !l.followed() && !idle && !pauses {
			l.m.wrong("%s is stopped and meant to be up", l.name)
		}
	case upstream.Stopping:
		if busy == 0 {
			l.m.wrong("%s does not come to an end of stopping", l.name)
		}
	case upstream.Starting:
		on, failed := l.lacks(now)
		if failed { // it is told when that has stopped
			failed = slices.Contains(removable, l.m.of(on).state)
		}
		_, waiting := l.waitsFor(now)
		switch {
		case (!l.desired || l.ordered) && l.followed():
		case !l.desired, l.ordered:
			l.m.wrong("%s goes on starting, and was ordered to stop", l.name)
		case l.tried && busy == 0, !l.tried && !waiting && !l.hopes():
			l.m.wrong("%s does not go on starting", l.name)
		case !l.tried && failed && l.config.OnDependencyFailure == upstream.Wait:
			l.m.wrong("%s goes on waiting for %s, which failed", l.name, on)
		}
	case upstream.Running:
		late := l.config.Interval()*11/10 + l.config.Health.Timeout + time.Millisecond
		switch {
		case (!l.desired || l.ordered) && l.followed():
		case !l.desired, l.ordered:
			l.m.wrong("%s goes on running, and was ordered to stop", l.name)
		case l.link != nil && l.link.Err() != nil:
			l.m.wrong("%s goes on running without a link", l.name)
		case l.must:
			l.m.wrong("%s goes on running with its breaker due", l.name)
		case l.config.Kind() == upstream.Stdio && now.Sub(l.probed) > late:
			l.m.wrong("%s is not probed", l.name)
		}
	case upstream.Errored:
		_, held := l.held(now)
		next := l.next
		if now.Sub(l.door) < 100*time.Millisecond {
			next = next.Add(6 * time.Second) // it is being knocked at
		}
		switch {
		case l.followed():
		case !l.desired && !l.survived && busy > 0: // what was left has to be closed
		case !l.desired && !l.survived:
			l.m.wrong("%s is in error, and was ordered to stop", l.name)
		case !l.desired:
		case l.fresh && busy > 0: // the link that was left has to be closed
		case l.fresh:
			l.m.wrong("%s is in error, and was ordered to start", l.name)
		case l.blocked && !held:
			l.m.wrong("%s stays in error, and its dependencies are there", l.name)
		case idle && (l.exhausted || l.survived && l.unneeded):
		case !l.blocked && l.config.Restart.Policy != upstream.Never && now.After(next):
			l.m.wrong("%s stays in error after its time", l.name)
		}
	}
}

// hopes reports whether a dependency that was ordered to stop has not yet: it is
// told when that has.
func (l *life) hopes() bool {
	return slices.ContainsFunc(l.config.DependsOn, func(d upstream.Dependency) bool {
		on := l.m.of(d.On)
		return on != nil && !on.desired && !slices.Contains(removable, on.state)
	})
}

// followed reports whether something that depends on l is still stopping: it goes
// first.
func (l *life) followed() bool {
	return slices.ContainsFunc(l.first, func(d *life) bool {
		return d.state == upstream.Stopping || d.state == upstream.Errored && (d.fresh || !d.desired)
	})
}

// shown checks the status against what is known.
func (l *life) shown(now time.Time) {
	s := l.u.Status()
	unknown := l.state == upstream.Running && now.Sub(l.evidence) > 2*l.config.Interval()
	state, breaker, health := l.state, upstream.BreakerClosed, "degraded"
	switch {
	case unknown && l.config.Kind() == upstream.Stdio, unknown && s.State == upstream.Unknown:
		state = upstream.Unknown // a remote's interval grows
	case state == upstream.Running && l.healthy:
		health = "healthy"
	case state == upstream.Errored:
		health, breaker = "unhealthy", upstream.BreakerOpen
	case state == upstream.NotStarted, state == upstream.Stopped && (!l.desired || !l.fresh):
		health = ""
	case state == upstream.Stopping: // on purpose, in whatever state the breaker was
		health, breaker = s.Health, s.Breaker
	case state == upstream.Starting && l.mended:
		breaker = upstream.BreakerHalfOpen
	}
	l.steady(l.state == upstream.Running, now)
	if s.State != state || s.Health != health || s.Breaker != breaker || s.Desired != l.desired || s.Generation != l.gen {
		l.m.wrong("%s is shown as %s, %q, %s, desired %v, generation %d; it is %s, %q, %s, %v, %d", l.name,
			s.State, s.Health, s.Breaker, s.Desired, s.Generation, state, health, breaker, l.desired, l.gen)
	}
	if idle := state == upstream.Stopped && l.desired && !l.fresh; idle != s.Idle && state != upstream.Stopping {
		l.m.wrong("%s, %s, is shown as idle: %v", l.name, state, s.Idle)
	}
	attempts, exhausted := l.attempts, l.exhausted
	if l.fresh && state == upstream.Stopping { // forgotten as it stops, or as it starts
		attempts, exhausted = s.Attempts, s.Exhausted
	}
	if s.Attempts != attempts || s.Exhausted != exhausted {
		l.m.wrong("%s, %s, shows attempts %d and exhausted %v, not %d and %v", l.name, state, s.Attempts, s.Exhausted, l.attempts, l.exhausted)
	}
	planned := !l.survived && l.config.Restart.Policy != upstream.Never || l.survived && l.unneeded && l.desired
	planned = planned && state == upstream.Errored && !l.blocked
	if s.NextRetry.IsZero() == planned {
		l.m.wrong("%s, %s, shows its next retry at %v", l.name, state, s.NextRetry)
	}
	if waits := state == upstream.Starting && !l.tried; waits != (s.WaitingFor != "") {
		l.m.wrong("%s, %s, is said to wait for %q", l.name, state, s.WaitingFor)
	} else if waits {
		if on, waiting := l.waitsFor(now); waiting && s.WaitingFor != on && l.config.OnDependencyFailure == upstream.Wait {
			l.m.wrong("%s waits for %s, and is said to wait for %s", l.name, on, s.WaitingFor)
		}
	}
	if s.PID != 0 && (state == upstream.Stopped || state == upstream.NotStarted || l.config.Kind() != upstream.Stdio) {
		l.m.wrong("%s, %s, has the pid %d", l.name, state, s.PID)
	}
	if state == upstream.Running && (s.PID == 0) == (l.config.Kind() == upstream.Stdio) {
		l.m.wrong("%s runs and has the pid %d", l.name, s.PID)
	}
}
