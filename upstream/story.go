package upstream

import (
	"context"
	"errors"
	"slices"
	"time"
)

// story is what the owner of an upstream remembers of it for the Chronicle.
type story struct {
	start, stage, stop Mark // what is under way; nil for nothing
	follows            Mark // the last start or stop that ended
	lost               Mark // the breaker's change that ended the last run
	asked              bool // somebody needs what recovery would leave down
	on                 behalf
	awaited            []string // what a start has waited for
}

// startBegun writes down that a start begins. It returns the mark.
func (r *runner) startBegun(p pass, at time.Time) Mark {
	was := &r.phase.Load().status
	why := r.startCause(p)
	e := Episode{Kind: EpisodeStart, Generation: was.Generation + 1, At: at, Because: why}
	e.Restart = was.State == Errored || was.State == Stopped && p.ordered &&
		(errors.Is(p.cause, errRestart) || errors.Is(p.cause, errReconfigured) || errors.Is(p.cause, errEdge))
	if by := r.waker.take(); by != nil && why == Demanded {
		e.Ties = ties(Caused, by)
	}
	e.Ties = append(append(e.Ties, ties(Caused, r.story.lost)...), ties(Previous, r.story.follows)...)
	r.story.lost, r.story.asked, r.story.awaited = nil, false, nil
	r.story.start = r.begun(e)
	return r.story.start
}

// startCause says why a start begins.
func (r *runner) startCause(p pass) string {
	ordered := func(causes ...error) bool { return p.ordered && slices.Contains(causes, p.cause) }
	onDemand := r.Config().Start == OnDemand
	switch {
	case ordered(errStart, errRestart):
		return Operated
	case ordered(errReconfigured):
		return Reloaded
	case r.signedIn, ordered(errSignedOut):
		return SignedIn
	case ordered(errEdge), r.blocked:
		return Depended
	case r.retry && !r.story.asked:
		return Recovered
	case onDemand && !r.unlearnt.Load():
		return Demanded
	case onDemand:
		return Unlearnt
	}
	return Configured
}

// stageBegun ends the stage under way and begins another, unless that is begun
// already and has a mark.
func (r *runner) stageBegun(name string, at time.Time, m Mark) {
	r.stageEnded(Ending{At: at})
	if m == nil {
		m = r.stageMark(name, at)
	}
	r.story.stage = m
	r.story.on.set(m)
}

// stageMark writes down that a stage begins.
func (r *runner) stageMark(name string, at time.Time) Mark {
	return r.begun(Episode{Kind: EpisodeStage, Name: name, At: at, Within: r.story.start})
}

func (r *runner) stageEnded(o Ending) {
	for _, name := range r.story.awaited {
		if on := r.set.Upstream(name); on != nil {
			o.Ties = append(o.Ties, ties(WaitedFor, on.phase.Load().marks.start)...)
		}
	}
	r.finished(r.story.stage, o)
	r.story.stage, r.story.awaited = nil, nil
}

// startEnded writes down the end of the start under way, if there is one, and of
// its last stage.
func (r *runner) startEnded(o Ending) {
	r.stageEnded(Ending{At: o.At, Stage: o.Stage, Err: o.Err, Abandoned: o.Abandoned})
	r.waker.take() // it has started for them
	r.story.on.set(nil)
	if r.story.start == nil {
		return
	}
	o.Ties = append(o.Ties, ties(Caused, r.victims.take()...)...)
	r.finished(r.story.start, o)
	r.story.follows, r.story.start = r.story.start, nil
}

// stopBegun writes down that a stop begins, and that it ended the start under
// way. It returns the mark.
func (r *runner) stopBegun(cause error) Mark {
	now := time.Now()
	r.startEnded(Ending{At: now, Abandoned: cause.Error()})
	r.victims.take() // no start follows from them
	r.story.lost = nil
	r.story.stop = r.begun(Episode{
		Kind: EpisodeStop, At: now, Because: cause.Error(), Ties: ties(Previous, r.story.follows),
	})
	return r.story.stop
}

func (r *runner) stopEnded(o Ending) {
	if r.story.stop == nil {
		return
	}
	r.finished(r.story.stop, o)
	r.story.follows, r.story.stop = r.story.stop, nil
}

// retell brings the marks of a phase that is about to be shown up to date.
func (u *Upstream) retell(old, p *phase) {
	if u.set.o.Chronicle == nil {
		return
	}
	s, m := &p.status, &p.marks
	if s.Breaker != old.status.Breaker {
		m.breaker = u.breakerMoved(old, p)
	}
	if s.State == old.status.State {
		return
	}
	switch s.State {
	case Stopping, Stopped:
		m.blame = m.stop
	case Errored:
		switch old.status.State {
		case Starting:
			m.blame = m.start
		case Stopping:
			m.blame = m.stop
		default:
			m.blame = m.breaker
		}
	}
}

// breakerMoved writes down a change of the breaker as it is shown.
func (u *Upstream) breakerMoved(old, p *phase) Mark {
	from, to := old.status.Breaker, p.status.Breaker
	if to == BreakerOpen && from == BreakerClosed {
		if m := u.breaker.opened(); m != nil {
			return m
		}
	}
	by := p.marks.start
	if p.status.State == Stopped || p.status.State == Stopping {
		by = p.marks.stop
	}
	now := time.Now()
	m := u.begun(Episode{
		Kind: EpisodeBreaker, Generation: p.status.Generation, At: now, From: from, To: to,
		Ties: append(ties(Caused, by), ties(Previous, p.marks.breaker)...),
	})
	u.finished(m, Ending{At: now})
	return m
}

// tellOpening writes down that the breaker opened, because of by.
func (u *Upstream) tellOpening(at time.Time, by []Mark) Mark {
	m := u.begun(Episode{
		Kind: EpisodeBreaker, At: at, From: BreakerClosed, To: BreakerOpen,
		Ties: append(ties(Caused, by...), ties(Previous, u.phase.Load().marks.breaker)...),
	})
	u.finished(m, Ending{At: at})
	return m
}

// blamed names what a call is refused for.
func (u *Upstream) blamed(p *phase, e error) error {
	c, ok := e.(*CallError) //nolint:errorlint // ours, never wrapped
	switch {
	case !ok, c.Reason == "rate_limited":
	case p.status.State == Running && !p.removed:
		c.by = Tie{RefusedBy, u.breaker.opened()}
	default:
		c.by = Tie{RefusedBy, p.marks.blame}
	}
	return e
}

// hurt names what a call suffered from that was on its way on the supervised link
// when that died, or was closed: the breaker's opening, or a stop.
func (u *Upstream) hurt(s seat, c *Call, v verdict) Mark {
	if c.Witness == nil {
		return nil
	}
	if v != neutral {
		u.victims.add(c)
	}
	p := u.phase.Load()
	if st := p.status.State; st != Stopping && st != Stopped {
		if m := u.breaker.openingOf(s.epoch); m != nil {
			return m
		}
	}
	return p.marks.stop
}

// awaits notes that a start waits for what it depends on, and that it is what that
// may be started for.
func (r *runner) awaits(name string) {
	if r.set.o.Chronicle == nil || slices.Contains(r.story.awaited, name) || len(r.story.awaited) == maxTies {
		return
	}
	r.story.awaited = append(r.story.awaited, name)
}

// blockedBy ties a start to what the dependency is in error for that keeps it from
// starting.
func (r *runner) blockedBy(err error) []Tie {
	var d *dependencyError
	if !errors.As(err, &d) {
		return nil
	}
	if on := r.set.Upstream(d.on); on != nil {
		return ties(Caused, on.phase.Load().marks.blame)
	}
	return nil
}

// asking writes down that the supervisor asks the server something by itself,
// unless that is part of a start. end is told how that went, and returns what
// stands for it.
func (u *Upstream) asking(ctx context.Context, what string) (_ context.Context, end func(error) Mark) {
	if ctx.Value(behalfKey{}) != nil || u.set.o.Chronicle == nil {
		return ctx, func(error) Mark { return nil }
	}
	b := new(behalf)
	b.of = u.begun(Episode{Kind: EpisodeAsked, Name: what, At: time.Now()})
	return b.on(ctx), func(err error) Mark {
		o := Ending{At: time.Now()}
		if err != nil && !errors.Is(err, ErrNeutral) {
			o.Stage, o.Err = failureWord(err), err.Error()
		}
		u.finished(b.of, o)
		if o.Err == "" {
			return nil
		}
		return b.of
	}
}

// failureWord is a word for what was wrong with something that was asked.
func failureWord(err error) string {
	way, ok := errors.AsType[*TransportError](err)
	switch {
	case errors.Is(err, errProbeTimeout), errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case ok:
		return way.Reason
	}
	return "_OTHER"
}
