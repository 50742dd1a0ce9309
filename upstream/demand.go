package upstream

import (
	"context"
	"time"
)

// An upstream with start: on_demand runs while somebody needs it: a call that is
// in flight or waits, a subscription, an upstream that depends on it and is up,
// or the gateway itself, if it was never learnt what it lists. With idle_stop it
// stops after so long a time of nobody.

// needed reports whether somebody needs it to run.
func (u *Upstream) needed() bool {
	return u.unlearnt.Load() || u.bulkhead.busy() || u.wants.any() || u.leanedOn()
}

// leanedOn reports whether an upstream that depends on it is up, or on its way
// up, or waits for no more than that what it depends on recovers.
func (u *Upstream) leanedOn() bool {
	for _, d := range u.set.view.Load().dependents[u.name] {
		switch s := &d.phase.Load().status; s.State {
		case Starting, Running, Stopping:
			return true
		case Errored:
			if s.Failure.Stage == "dependency" && d.orders.wanted() {
				return true
			}
		}
	}
	return false
}

// rouse tells the owner to look whether it is needed. What needs it must be
// visible before.
func (u *Upstream) rouse() {
	if u.Config().Start == OnDemand {
		poke(u.wake)
	}
}

// neededBy rouses it for an upstream that depends on it and starts.
func (u *Upstream) neededBy(d *Upstream) {
	u.waker.needed(func() Mark { return d.phase.Load().marks.start })
	u.rouse()
}

// rest blocks while nobody needs an upstream that starts on demand, or until ctx
// is done. One in error does not rest: its recovery is hold's.
func (r *runner) rest(p pass) error {
	for !p.hand && r.phase.Load().status.State != Errored && r.Config().Start == OnDemand && !r.needed() {
		r.show(func(x *phase) { x.order, x.status.Idle = p.seq, true })
		if err := r.roused(p.ctx); err != nil {
			return err
		}
	}
	return p.ctx.Err()
}

// roused blocks until there may be somebody who needs it.
func (r *runner) roused(ctx context.Context) error {
	select {
	case <-r.wake:
	case <-r.tuned:
		r.breaker.resize()
	case <-ctx.Done():
	}
	return context.Cause(ctx)
}

// idleSteps is in how many steps the time of idle_stop is watched: a call does
// not say when it ends, so it is noticed that much later.
const idleSteps = 8

// silence is how a running upstream learns that nobody needs it any more.
type silence struct {
	timer *time.Timer
	stop  time.Duration // idle_stop, 0 for never
	since time.Time
	calls int64 // at since
}

// listen begins to wait for silence, if the configuration wants that.
func (w *watch) listen() {
	w.silence.since, w.silence.calls = time.Now(), w.Upstream.calls.Load()
	w.silence.stop = w.idleStop()
	if w.silence.stop <= 0 {
		w.silence.timer.Stop()
		return
	}
	w.silence.timer.Reset(max(w.silence.stop/idleSteps, time.Millisecond))
}

// idleStop returns after how much silence it stops, 0 for never.
func (u *Upstream) idleStop() time.Duration {
	if c := u.Config(); c.Start == OnDemand {
		return c.IdleStop
	}
	return 0
}

// idle reports whether the time of idle_stop is over and nobody has needed the
// upstream. Then no call can get at its link any more.
func (w *watch) idle() bool {
	s, stop := &w.silence, w.silence.stop
	calls := w.Upstream.calls.Load()
	now := time.Now()
	if calls != s.calls || w.needed() {
		w.listen()
		return false
	}
	if left := stop - now.Sub(s.since); left > 0 {
		s.timer.Reset(min(left, max(stop/idleSteps, time.Millisecond)))
		return false
	}
	// A call takes its slot before it looks for the link: one of the two sees the
	// other.
	w.show(func(p *phase) { p.link = nil })
	if w.needed() || calls != w.Upstream.calls.Load() {
		w.show(func(p *phase) { p.link = w.link })
		w.listen()
		return false
	}
	return true
}
