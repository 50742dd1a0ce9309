package policy

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// errLate is why a policy that did not keep its deadline could not decide.
var errLate = errors.New("it took longer than its timeout")

// panicked is a policy's panic.
type panicked struct {
	value any
	stack []byte
}

func (p *panicked) Error() string { return fmt.Sprintf("panic: %v\n%s", p.value, p.stack) }

// trial is the key of what says that a call is asked about in a dry run.
type trial struct{}

// Trial reports whether Before is asked in a dry run, with the context that it was
// given. A policy that would keep the call waiting must not do so then.
func Trial(ctx context.Context) bool { return ctx.Value(trial{}) != nil }

// apart reports whether the policy works on a copy: its changes count for nothing,
// or come too late.
func (s *Step) apart() bool { return s.DryRun || s.Timeout > 0 }

func (s *Step) before(ctx context.Context, c *Call, observe Observer) error {
	seen := c
	if s.apart() {
		seen = c.sketch()
	}
	changes, notes := seen.changes, len(seen.notes)
	q := question{phase: PhaseBefore, call: seen}
	f, holds := s.Policy.(Finisher)
	if holds && s.Timeout > 0 {
		q.over = make(chan struct{})
	}
	asked := ctx
	if s.DryRun {
		asked = context.WithValue(ctx, trial{}, true)
	}
	d, err := s.decide(asked, q)
	if late := errors.Is(d.Err, errLate); late && holds {
		// What the policy holds for the call it has kept in a copy that nobody else
		// has, and is told by it to let go once it has returned.
		go func() { <-q.over; f.Done(seen) }()
	} else if !late { // it is not at work on its copy any more
		for i := range seen.notes[notes:] {
			seen.notes[notes+i].Policy = s.Name
		}
		d.did(seen.changes != changes, len(seen.notes) != notes)
		switch {
		case seen == c:
		case s.DryRun:
			c.notes, c.values = seen.notes, seen.values
		default:
			*c = *seen
		}
	}
	return s.tell(ctx, c, d, err, observe)
}

func (s *Step) after(ctx context.Context, c *Call, a *Answer, observe Observer) error {
	seen, answer := c, a
	if s.apart() {
		copied := *a
		seen, answer = c.sketch(), &copied
	}
	changes, notes := answer.changes, len(seen.notes)
	d, err := s.decide(ctx, question{phase: PhaseAfter, call: seen, answer: answer})
	if !errors.Is(d.Err, errLate) {
		for i := range seen.notes[notes:] {
			seen.notes[notes+i].Policy = s.Name
		}
		d.did(answer.changes != changes, len(seen.notes) != notes)
		if seen != c {
			c.notes, c.values = seen.notes, seen.values
			if !s.DryRun {
				*a = *answer
			}
		}
	}
	return s.tell(ctx, c, d, err, observe)
}

func (s *Step) received(ctx context.Context, m *ServerMessage, observe Observer) error {
	seen := m
	if s.apart() {
		copied := *m
		if seen = &copied; m.Call != nil { // one that is late may still read it when the call's answer is decided on
			seen.Call = m.Call.sketch()
		}
	}
	changes := seen.changes
	d, err := s.decide(ctx, question{phase: PhaseReceived, message: seen})
	if !errors.Is(d.Err, errLate) {
		d.did(seen.changes != changes, false)
		if seen != m && !s.DryRun {
			call := m.Call
			*m = *seen
			m.Call = call
		}
	}
	return s.tell(ctx, m.Call, d, err, observe)
}

// vet returns what the policy says, as from it. One that panics says of
// everything that it cannot be judged.
func (s *Step) vet(p Vetter, all []*Definition, observe Observer) (verdicts []Verdict) {
	d := Decision{Policy: s.Name, Phase: PhaseVet, Effect: Allow, Passed: true, DryRun: s.DryRun, Began: time.Now()}
	defer func() {
		if fault := recover(); fault != nil {
			d.Err = &panicked{fault, debug.Stack()}
			d.Effect, d.Passed, d.Reason = Failed, s.OnError == Allow || s.DryRun, "the policy failed"
			verdicts = nil
			for _, def := range all {
				if !d.Passed {
					verdicts = append(verdicts, Verdict{Definition: def, Policy: s.Name, Effect: Hide, Reason: d.Reason})
				}
			}
		}
		d.Took = time.Since(d.Began)
		if observe != nil {
			observe(context.Background(), nil, d)
		}
	}()
	verdicts = p.Vet(all)
	for i := range verdicts {
		verdicts[i].Policy, verdicts[i].DryRun = s.Name, s.DryRun
		if verdicts[i].Effect != Report {
			d.Effect = verdicts[i].Effect
		} else if d.Effect == Allow {
			d.Effect = Report
		}
	}
	return verdicts
}

// decide asks the policy, within its time, and says what came of it. The error is
// the *Denial that ends the call, nil if it goes on.
func (s *Step) decide(ctx context.Context, q question) (Decision, error) {
	d := Decision{Policy: s.Name, Phase: q.phase, Effect: Allow, Passed: true, DryRun: s.DryRun, Began: time.Now()}
	var err error
	if s.Timeout <= 0 {
		err = s.put(ctx, q)
	} else {
		err = s.within(ctx, q)
	}
	d.Took = time.Since(d.Began)
	switch {
	case err == nil:
		return d, nil
	case ctx.Err() != nil: // nobody waits for the decision any more
		d.Effect, d.Err, d.Passed, d.Reason = Failed, err, false, "the call ended"
		return d, context.Cause(ctx)
	}
	denial, ok := errors.AsType[*Denial](err)
	if ok && denial.Err == nil {
		said := *denial // a policy may keep its own for all calls
		said.Policy = s.Name
		d.Effect, d.Passed, d.Reason = Deny, s.DryRun, said.Reason
		denial = &said
	} else {
		d.Effect, d.Err, d.Passed = Failed, err, s.DryRun || s.OnError == Allow
		d.Reason = "the policy could not decide"
		denial = &Denial{Policy: s.Name, Reason: d.Reason, Err: err}
	}
	if d.Passed {
		return d, nil
	}
	return d, denial
}

// question is what a policy is asked. It is no closure: one for each policy and
// call would be most of what a chain costs.
type question struct {
	phase   Phase
	call    *Call
	answer  *Answer
	message *ServerMessage
	over    chan struct{} // closed when the policy has returned; nil for nobody to know
}

// put puts a question to the policy. A panic is an error.
func (s *Step) put(ctx context.Context, q question) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = &panicked{fault, debug.Stack()}
		}
		if q.over != nil {
			close(q.over)
		}
	}()
	switch q.phase {
	case PhaseBefore:
		return s.Policy.Before(ctx, q.call)
	case PhaseAfter:
		return s.Policy.After(ctx, q.call, q.answer)
	}
	p, ok := s.Policy.(Inbound)
	if !ok { // it is asked nothing else
		return nil
	}
	return p.Received(ctx, q.message)
}

// within is put, and gives up when the time is over.
func (s *Step) within(ctx context.Context, q question) error {
	ctx, cancel := context.WithTimeoutCause(ctx, s.Timeout, errLate)
	defer cancel()
	done := make(chan error, 1) // one that is late has nobody to tell
	go func() { done <- s.put(ctx, q) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		select {
		case err := <-done: // both at once
			return err
		default:
			return fmt.Errorf("%w: %w", errLate, context.Cause(ctx))
		}
	}
}

// did says what a policy that let the call pass did to it.
func (d *Decision) did(changed, noted bool) {
	switch {
	case d.Effect != Allow:
	case changed:
		d.Effect = Change
	case noted:
		d.Effect = Report
	}
}

// tell tells the observer, and returns err.
func (s *Step) tell(ctx context.Context, c *Call, d Decision, err error, observe Observer) error {
	if observe != nil {
		observe(ctx, c, d)
	}
	return err
}
