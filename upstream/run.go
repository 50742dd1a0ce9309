package upstream

import (
	"context"
	"errors"
	"time"
)

// runner is the owner of an upstream: its goroutine, and what nobody else sees.
// Where it is in its code is the state; the phase only reports it.
type runner struct {
	*Upstream
	link     *live   // the supervised link, also a sick one; nil for none
	dialled  *Config // which link was made with
	wrote    int64   // where the stderr of its process begins
	recovery recovery
	survived bool // a process is left that nothing ends
	unneeded bool // and it was to end because nobody needs it
	blocked  bool // in error for a dependency alone
	unsigned bool // in error until somebody signs in
	signedIn bool // somebody did, and the next start is for that
	retry    bool // the next start follows a failure of its own
	story    story
	ended    bool // which was the end of a remote's server
}

// run owns u until ctx is done. Each turn of the loop is a pass: it begins with
// what is wanted, and ends with an order or a failure.
func (u *Upstream) run(ctx context.Context) {
	r := &runner{Upstream: u}
	r.recovery.reset(u.Config())
	for ctx.Err() == nil {
		p, end := u.orders.begin(ctx)
		if p.fresh {
			r.forget(p)
		}
		if p.up {
			r.up(p)
		} else {
			r.down(p)
		}
		end()
	}
	r.halt(context.Cause(ctx))
	u.tasks.wait()
	u.orders.release()
}

// forget makes the next start a first one.
func (r *runner) forget(p pass) {
	r.recovery.reset(r.Config())
	r.blocked, r.retry, r.ended, r.unneeded, r.unsigned = false, false, false, false, false
	if r.link != nil { // a sick one
		r.stopBegun(p.cause)
	}
	r.stopEnded(Ending{How: r.closeAll(r.orders.forced()), At: time.Now()})
	r.breaker.reset()
	r.show(func(p *phase) {
		p.status.Attempts, p.status.Exhausted, p.status.NextRetry, p.status.PID = 0, false, time.Time{}, 0
	})
}

// down is a pass of an upstream that is meant to be down.
func (r *runner) down(p pass) {
	r.halt(p.cause)
	r.show(func(x *phase) {
		x.order, x.status.Idle = p.seq, false
		if x.status.State == Stopped && x.status.Because == errIdle.Error() {
			x.status.Because = p.cause.Error() // and is not to start again
		}
	})
	<-p.ctx.Done()
}

// up is a pass of an upstream that is meant to be up: it waits for what is in
// the way, starts, and serves until that ends.
func (r *runner) up(p pass) {
	ctx := p.ctx
	err := r.hold(p)
	if err == nil {
		err = r.rest(p)
	}
	if err == nil && (r.orders.last() != p.seq || r.set.closing.Load()) { // an order waits for its dependents to stop
		<-ctx.Done()
		err = context.Cause(ctx)
	}
	if err != nil {
		r.interrupted(ctx)
		return
	}
	r.begin(p)
	err = r.await(ctx)
	if err == nil {
		r.count()
		err = r.start(r.story.on.on(ctx))
	}
	if err == nil {
		err = r.serve(ctx)
	}
	switch {
	case ctx.Err() != nil:
		r.interrupted(ctx)
	case errors.Is(err, errIdle):
		r.halt(errIdle)
	default:
		r.failed(err)
	}
}

// hold blocks while an upstream in error has to wait for its next start.
func (r *runner) hold(p pass) error {
	ctx := p.ctx
	if r.phase.Load().status.State != Errored {
		return ctx.Err()
	}
	if !p.fresh { // else it starts at once
		r.show(func(x *phase) { x.order = p.seq })
	}
	if r.blocked {
		return r.unblock(ctx)
	}
	if r.unsigned {
		return r.awaitSignIn(ctx)
	}
	next, planned := r.recovery.next()
	if !planned { // policy never: an operator's order ends the pass
		<-ctx.Done()
		return context.Cause(ctx)
	}
	if r.ended {
		r.ended = false
		if r.knock(ctx) {
			return ctx.Err()
		}
	}
	if wait := time.Until(next); wait > 0 {
		t := time.NewTimer(wait)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
		}
	}
	// What starts on demand is tried in the background as often as the policy says,
	// and after that when somebody needs it. So is one that did not end.
	for (r.recovery.exhausted || r.unneeded) && ctx.Err() == nil && r.Config().Start == OnDemand && !r.needed() {
		r.story.asked = true
		_ = r.roused(ctx)
	}
	return ctx.Err()
}

// begin enters the state starting under a new generation.
func (r *runner) begin(of pass) {
	start := r.startBegun(of, time.Now())
	r.blocked, r.survived, r.unneeded, r.unsigned = false, false, false, false
	r.signedBefore()
	r.lacking.Store(nil)
	r.show(func(p *phase) {
		p.order, p.marks.start = of.seq, start
		p.status.State = Starting
		p.status.Generation++
		p.status.NextRetry = time.Time{}
		p.status.Because, p.status.Idle = "", false
		p.held, p.spawned, p.ran, p.stages = true, false, false, nil
	})
}

// count counts a start as an attempt if a failure led to it. Only a start that
// is made is one: a dependency that fails spends none.
func (r *runner) count() {
	if !r.retry {
		return
	}
	r.retry = false
	r.recovery.began()
	r.show(func(p *phase) { p.status.Attempts, p.status.Exhausted = r.recovery.attempts, r.recovery.exhausted })
}

// failed enters the state error and plans what comes next.
func (r *runner) failed(err error) {
	now := time.Now()
	f := r.describe(err, now)
	was := r.phase.Load().status
	if blocked(err) {
		r.blocked = true
		r.startEnded(Ending{At: now, Stage: f.Stage, Err: f.Message, Ties: r.blockedBy(err)})
		r.breaker.trip(r.phase.Load().marks.start)
		r.show(func(p *phase) {
			p.status.State, p.status.WaitingFor, p.status.Failure = Errored, "", f
		})
		return
	}
	if f.needs != nil {
		r.wanting(f)
		return
	}
	knock := r.knockable(err, now)
	lost := r.link == nil || r.link.dead()
	r.startEnded(Ending{At: now, Stage: f.Stage, Err: f.Message})
	r.breaker.trip()
	next, planned := r.recovery.plan(r.Config(), plan{
		now: now, ranSince: was.Started, lost: lost, atLeast: retryAfterOf(err),
	})
	r.retry, r.ended = true, knock && !r.recovery.exhausted
	r.show(func(p *phase) {
		s := &p.status
		s.State, s.Failure, s.WaitingFor = Errored, f, ""
		s.Attempts, s.Exhausted = r.recovery.attempts, r.recovery.exhausted
		s.NextRetry = time.Time{}
		if planned {
			s.NextRetry = next
		}
		if lost {
			s.PID = 0
		}
	})
	if !was.Started.IsZero() {
		r.story.lost = r.phase.Load().marks.breaker
	}
	if lost {
		r.discard()
	}
}

// interrupted ends a pass that an order ended.
func (r *runner) interrupted(ctx context.Context) {
	switch s := r.phase.Load().status.State; s {
	case Starting, Running:
		r.halt(context.Cause(ctx))
	}
	// In error there is nothing to stop: the next pass goes on from there.
}

// halt stops what there is. cause is the order.
func (r *runner) halt(cause error) {
	switch r.phase.Load().status.State {
	case Starting, Running:
		stop := r.stopBegun(cause)
		r.show(func(p *phase) {
			p.marks.stop = stop
			p.status.State, p.status.WaitingFor, p.status.Because = Stopping, "", cause.Error()
			p.status.Idle = errors.Is(cause, errIdle)
		})
		r.stopped(r.closeAll(r.orders.forced()), cause)
	case Errored:
		if r.survived { // to call it stopped would not be true
			r.unneeded = false
			r.show(func(p *phase) { p.status.NextRetry = time.Time{} })
			return
		}
		if errors.Is(cause, errStop) || errors.Is(cause, errKill) || errors.Is(cause, errRemoved) || errors.Is(cause, errShutdown) {
			stop := r.stopBegun(cause)
			r.show(func(p *phase) { p.marks.stop = stop })
			r.stopped(r.closeAll(r.orders.forced()), cause)
		}
	}
}

const survival = "the process survived SIGKILL"

// stopped enters the state stopped, or error where a process is still there.
func (r *runner) stopped(kind StopKind, cause error) {
	if kind == Survived {
		r.survived, r.unneeded = true, errors.Is(cause, errIdle)
		r.breaker.trip(r.story.stop)
		r.stopEnded(Ending{At: time.Now(), How: kind, Err: survival})
		r.show(func(p *phase) {
			p.status.State = Errored
			p.status.Failure = &Failure{Stage: "stopping", Message: survival, At: time.Now()}
			p.status.LastStop, p.status.NextRetry = kind, time.Time{}
			if p.status.Idle = false; r.unneeded {
				p.status.NextRetry = p.status.Failure.At // as soon as somebody needs it
			}
		})
		return
	}
	r.breaker.reset()
	if errors.Is(cause, errStop) && r.orders.killed() {
		cause = errKill // while it stopped
	}
	r.stopEnded(Ending{At: time.Now(), How: kind})
	if !errors.Is(cause, errEdge) { // which is no reason to forget what failed
		r.recovery.reset(r.Config())
	}
	r.show(func(p *phase) {
		s := &p.status
		s.State, s.PID, p.spawned = Stopped, 0, false
		s.Because = cause.Error()
		s.NextRetry, s.Exhausted, s.Attempts = time.Time{}, r.recovery.exhausted, r.recovery.attempts
		if kind != "" {
			s.LastStop = kind
		}
	})
}

// closeAll closes the supervised link and those of the pool, and returns how the
// first ended, "" if there was none. It blocks until nothing is left.
func (r *runner) closeAll(ctx context.Context) StopKind {
	closed := r.pool.closeAll(ctx)
	var kind StopKind
	if r.link != nil {
		kind = r.link.Close(ctx)
		r.link = nil
	}
	<-closed
	return kind
}

// discard closes a supervised link that is dead or given up, by force.
func (r *runner) discard() {
	if r.link == nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	r.link.Close(ctx)
	r.link = nil
}
