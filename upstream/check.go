package upstream

import (
	"context"
	"errors"
	"time"
)

// checked is the outcome of a check, for the owner to show.
type checked struct {
	finding
	link *live
}

// Check asks the server now whether it lives, and blocks for health.timeout at
// most. The outcome is a sample, and counts at the breaker, like that of any other
// probe. It waits for no call and needs no slot.
//
// An upstream that does not run is not asked: its state tells. One that starts
// when it is needed is healthy while nobody needs it, since a call would find it;
// one that an operator stopped is not, since a call would be refused, but that is
// nothing to hold against it (Neutral).
func (u *Upstream) Check(ctx context.Context) Sample {
	p := u.phase.Load()
	if p.link == nil {
		x := u.checkState()
		u.samples.add(x, u.Config().Stats.Samples)
		return x
	}
	epoch := u.breaker.gate.Load()
	s := u.probeOnce(ctx, p.link)
	switch {
	case s.err == nil:
		u.breaker.report(epoch, success, "")
	case errors.Is(s.err, ErrNeutral), needsAuth(s.err) != nil, p.link.dead(): // the owner counts a loss, once
	default:
		u.breaker.report(epoch, failure, "", s.mark)
	}
	x := u.record(s, s.at)
	for sent := false; !sent; {
		select {
		case u.checked <- checked{s, p.link}:
			sent = true
		default:
			select { // an older one that the owner did not come to
			case <-u.checked:
			default:
			}
		}
	}
	return x
}

// checkState is the check of an upstream that has nothing to be asked.
func (u *Upstream) checkState() Sample {
	s := u.Status()
	x := Sample{At: time.Now(), Status: s.State, Neutral: true}
	switch s.State {
	case Errored:
		x.Neutral = false
		x.Err = s.Failure.inError()
	case Starting:
		x.Err = "it is starting"
		if s.WaitingFor != "" {
			x.Err += " and waits for " + s.WaitingFor
		}
	case NotStarted, Stopped, Stopping:
		switch {
		case s.Idle:
			x.Healthy = true
		case !s.Desired:
			x.Err = "it was stopped by an operator"
		case s.State == NotStarted:
			x.Err = "it was not started yet"
		default:
			x.Err = "it is " + string(s.State)
		}
	default: // it has come up, or is going down, at this moment
		x.Healthy = s.State == Running
		x.Err = ""
	}
	return x
}
