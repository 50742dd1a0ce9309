package upstream

import (
	"context"
	"errors"
	"time"
)

// maxGate caps for how long a server's Retry-After is heeded.
const maxGate = time.Minute

// seat is what a call needs to be sent: a link, and a slot that is held.
type seat struct {
	link  *live
	epoch uint64 // of the breaker
	// waited says that getting it took time.
	waited bool
}

// admit lets a call in, with a slot held, or refuses it. It blocks while the
// upstream starts and while there is no slot, up to limits.queue_timeout. One
// that starts on demand is started, and waited for as long as the call itself
// may take (call_timeout, max_call_timeout): a start that fails ends the wait
// after start_timeout at the latest, not counting what it depends on.
func (u *Upstream) admit(ctx context.Context, c *Call) (seat, error) {
	p := u.phase.Load()
	epoch, ok, err := u.enter(p)
	if err != nil {
		return seat{}, err
	}
	waited := !ok || !u.bulkhead.try()
	if waited {
		if epoch, err = u.queue(ctx, c); err != nil {
			return seat{}, err
		}
	}
	if p = u.phase.Load(); p.link == nil {
		u.bulkhead.release() // gone at this moment
		return u.admit(ctx, c)
	}
	if !u.divides(c.Scope) {
		return seat{p.link, epoch, waited}, nil
	}
	w := wait{u: u, call: c}
	l, err := u.pool.link(ctx, c, func() { waited = true; w.on(Dialling) })
	w.over(err)
	if err != nil {
		u.bulkhead.release()
		return seat{}, u.undialled(ctx, c, epoch, err)
	}
	return seat{l, epoch, waited}, nil
}

// queue waits for the start, then for a slot. It returns with the slot held.
func (u *Upstream) queue(ctx context.Context, c *Call) (epoch uint64, err error) {
	w := wait{u: u, call: c}
	defer func() { w.over(err) }()
	if !u.bulkhead.enter() {
		return 0, u.refuse("queue_full", "too many calls wait for it already", time.Second)
	}
	defer u.bulkhead.leave()
	if err := u.awaken(ctx, c, &w); err != nil {
		return 0, err
	}
	// Never longer than the call's own time: one that is over would only be cancelled,
	// and nobody could say whether it ran.
	timeout := min(u.Config().Limits.QueueTimeout, max(c.flight.left(time.Now()), 0))
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, errOverdue)
	defer cancel()
	for {
		p := u.phase.Load()
		epoch, ok, err := u.enter(p)
		switch {
		case err != nil:
			return 0, err
		case ok && u.bulkhead.try():
			return epoch, nil
		case ok:
			w.on(Queueing)
			if !u.bulkhead.wait(ctx, p.changed) {
				break
			}
			// Much may have changed while it waited.
			if epoch, ok, _ = u.enter(u.phase.Load()); ok {
				return epoch, nil
			}
			u.bulkhead.release()
		default:
			w.on(Starts)
			select {
			case <-p.changed:
			case <-ctx.Done():
			}
		}
		if cause := context.Cause(ctx); cause != nil {
			if errors.Is(cause, errOverdue) {
				return 0, u.overdue(ok, timeout)
			}
			return 0, cause
		}
	}
}

// awaken starts an upstream that starts on demand, and blocks until calls may go
// on or are refused.
func (u *Upstream) awaken(ctx context.Context, c *Call, w *wait) error {
	if u.Config().Start != OnDemand {
		return nil
	}
	patience := ahead(c.flight.left(time.Now()))
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		p := u.phase.Load()
		if _, ok, err := u.enter(p); ok || err != nil {
			return err
		}
		w.on(Starts)
		u.waker.needed(c.mark)
		u.rouse()
		select {
		case <-p.changed:
		case <-late.C:
			return u.overdue(false, patience)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

var errOverdue = errors.New("limits.queue_timeout was over")

func (u *Upstream) overdue(started bool, timeout time.Duration) *CallError {
	after := timeout.Round(time.Millisecond).String()
	if started {
		return u.refuse("queue_timeout", "no slot was free within "+after, time.Second)
	}
	return u.refuse("starting", "it was still starting after "+after, time.Second)
}

// enter decides by a phase whether a call may go on (ok), has to wait for
// another phase, or is refused.
func (u *Upstream) enter(p *phase) (epoch uint64, ok bool, err error) {
	if epoch, ok, err = u.decide(p); err != nil {
		err = u.blamed(p, err)
	}
	return epoch, ok, err
}

func (u *Upstream) decide(p *phase) (epoch uint64, ok bool, err error) {
	epoch = u.breaker.gate.Load()
	s := &p.status
	switch {
	case p.removed:
		return 0, false, u.refuse("removed", "it is no longer configured", 0)
	case s.State == Running && (p.link == nil || p.link.dead()):
		return epoch, false, nil // its owner is about to notice
	case s.State == Running && epoch == 0:
		if f := u.lacking.Load(); f != nil {
			return 0, false, u.refuseUnsigned(f, 0)
		}
		return 0, false, u.refuse("breaker_open", "its circuit breaker opened", u.Config().Restart.Delay)
	case s.State == Running:
		if wait := u.gated(time.Now()); wait > 0 {
			return 0, false, u.refuse("rate_limited", "it asked not to be called yet; try again "+in(wait), wait)
		}
		return epoch, true, nil
	case u.over.Load():
		return 0, false, u.refuse("stopped", "the gateway is stopping it for good", 0)
	case !u.orders.wanted():
		return 0, false, u.refuse("stopped", "it was stopped by an operator", 0)
	case s.State == Errored:
		return 0, false, u.inError(s)
	}
	return 0, false, nil
}

// inError refuses a call of an upstream in error, nil if it restarts at once.
func (u *Upstream) inError(s *Status) error {
	wait := time.Until(s.NextRetry)
	why := "it is in error"
	if f := s.Failure; f != nil {
		why += " (" + f.Stage + ": " + f.Message + ")"
	}
	switch {
	case s.Failure != nil && s.Failure.needs != nil:
		return u.refuseUnsigned(s.Failure, wait)
	case s.Failure != nil && s.Failure.Stage == "dependency":
		return u.refuse("dependency", why, 0)
	case s.NextRetry.IsZero():
		return u.refuse("error", why+"; it is not restarted by itself", 0)
	case wait <= 0:
		return nil
	case s.Exhausted:
		return u.refuse("exhausted", why+"; it is tried again "+in(wait), wait)
	case s.PID != 0 || s.Failure != nil && s.Failure.Stage == "running":
		return u.refuse("breaker_open", why+"; it is tried again "+in(wait), wait)
	}
	return u.refuse("error", why+"; it is tried again "+in(wait), wait)
}

// refuseUnsigned refuses a call of an upstream that somebody has to sign in to.
func (u *Upstream) refuseUnsigned(f *Failure, wait time.Duration) *CallError {
	e := u.refuse("needs_auth", f.Message, wait)
	e.Err = f.needs
	return e
}

// gated returns for how long the server wants nothing to be sent.
func (u *Upstream) gated(now time.Time) time.Duration {
	at := u.notBefore.Load()
	if at == 0 {
		return 0
	}
	return time.Duration(at - now.UnixNano())
}

// heed takes note of a Retry-After.
func (u *Upstream) heed(e *TransportError) {
	if e == nil || e.RetryAfter <= 0 {
		return
	}
	at := time.Now().Add(min(e.RetryAfter, maxGate)).UnixNano()
	for {
		old := u.notBefore.Load()
		if old >= at || u.notBefore.CompareAndSwap(old, at) {
			return
		}
	}
}

// undialled is a call whose own link could not be made.
func (u *Upstream) undialled(ctx context.Context, c *Call, epoch uint64, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, errPoolClosed):
		return u.refuse("stopped", "it was stopped meanwhile", 0)
	case errors.Is(err, errPoolFull):
		return u.refuse("queue_full", err.Error(), 0)
	case errors.Is(err, errDialling): // whose fault that is comes out when it is made, or not
		return u.refuse("dial", err.Error(), 0)
	}
	v := failure
	e := u.refuse("dial", "no connection of its own could be made: "+err.Error(), retryAfterOf(err))
	if way, ok := errors.AsType[*TransportError](err); ok {
		v = judge(way)
		u.heed(way)
		u.cutOff(way)
		e.Reason = way.Reason
		e.Text += u.hint(way)
	}
	e.Err = err
	u.breaker.report(epoch, v, "", c.mark())
	return e
}
