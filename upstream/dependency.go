package upstream

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// dependencyError says which dependency holds a start up.
type dependencyError struct {
	on    string
	state State
	why   *Failure
}

func (e *dependencyError) Error() string {
	s := fmt.Sprintf("it depends on %s, which is stopped", e.on)
	if e.state == Errored && e.why != nil {
		s = fmt.Sprintf("it depends on %s, which is in error: %s", e.on, e.why.Message)
	}
	return s
}

// dependencies says how it stands with what u depends on: err names the first
// that failed; waiting the first that is still on its way, "" for none.
func (u *Upstream) dependencies() (waiting string, err error) {
	for _, d := range u.Config().DependsOn {
		on := u.set.Upstream(d.On)
		if on == nil {
			continue // it is being removed, and with it this edge
		}
		p := on.phase.Load()
		s := &p.status
		switch {
		case !on.orders.wanted():
			if err == nil {
				err = &dependencyError{on: d.On, state: Stopped}
			}
		case s.State == Errored && !due(s) && p.order == on.orders.last():
			on.neededBy(u)
			if err == nil {
				err = &dependencyError{on: d.On, state: s.State, why: s.Failure}
			}
		case p.order < on.orders.last(): // it is about to start, or start again
			if waiting == "" {
				waiting = d.On
			}
		case s.State == Running, d.Condition == ConditionStarted && s.State == Starting && p.spawned:
		default:
			on.neededBy(u)
			if waiting == "" {
				waiting = d.On
			}
		}
	}
	return waiting, err
}

// due reports whether an upstream in error is about to be started again.
func due(s *Status) bool { return !s.NextRetry.IsZero() && !time.Now().Before(s.NextRetry) }

// await blocks until all dependencies are there (nil) or one has failed (a
// *dependencyError, unless failures do not matter), or ctx is done.
func (r *runner) await(ctx context.Context) error {
	begun := false
	for {
		waiting, err := r.dependencies()
		anyway := r.Config().OnDependencyFailure == StartAnyway
		if err != nil && !anyway {
			return err
		}
		if waiting == "" {
			if !r.phase.Load().held {
				return nil
			}
			// From here on a restart edge ends the start; what was lost before is
			// seen by looking once more.
			r.show(func(p *phase) { p.held, p.status.WaitingFor = false, "" })
			continue
		}
		if !begun {
			begun = true
			r.stage("dependencies")
		}
		r.show(func(p *phase) { p.held, p.status.WaitingFor = true, waiting })
		r.awaits(waiting)
		select {
		case <-r.nudge:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// unblock blocks until no dependency fails any more, or ctx is done.
func (r *runner) unblock(ctx context.Context) error {
	for {
		if waiting, err := r.dependencies(); err == nil && waiting == "" || r.Config().OnDependencyFailure == StartAnyway {
			return nil
		}
		select {
		case <-r.nudge:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func blocked(err error) bool {
	var d *dependencyError
	return errors.As(err, &d)
}
