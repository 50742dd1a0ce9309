package policy

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Step is a policy in its place in a chain.
type Step struct {
	// Name identifies it in answers, spans, metrics and the audit.
	Name   string
	Policy Policy
	// OnError is Deny or Allow: what becomes of a call when the policy fails,
	// panics or is late. The zero value denies.
	OnError Effect
	// DryRun has the policy decide without effect: what it would have done is only
	// told to the observer.
	DryRun bool
	// Timeout is how long it may take to decide, 0 for as long as it likes. Its
	// context ends then; a policy that takes no notice is waited for no longer.
	Timeout time.Duration
}

// Chain consults policies. The nil Chain and the empty one let everything pass
// and cost nothing.
type Chain struct {
	steps   []Step
	observe Observer
	inbound bool // whether any step looks at what servers send

	mu      sync.Mutex // guards all below
	entered int
	retired func() // not nil once the chain is retired
}

// NewChain returns a chain of the steps in their order. observe may be nil.
func NewChain(observe Observer, steps ...Step) *Chain {
	c := &Chain{steps: slices.Clone(steps), observe: observe}
	for i := range c.steps {
		if _, ok := c.steps[i].Policy.(Inbound); ok {
			c.inbound = true
		}
	}
	return c
}

// Empty reports whether there is nobody to consult.
func (c *Chain) Empty() bool { return c == nil || len(c.steps) == 0 }

// Inbound reports whether anybody looks at what servers send of themselves.
func (c *Chain) Inbound() bool { return c != nil && c.inbound }

// Names are those of the steps, in order.
func (c *Chain) Names() []string {
	if c == nil {
		return nil
	}
	names := make([]string, len(c.steps))
	for i := range c.steps {
		names[i] = c.steps[i].Name
	}
	return names
}

// Enter takes hold of the chain for one call: until its Done the policies are not
// closed. It is false when the chain was retired, and then the caller takes the one
// that came after it.
func (c *Chain) Enter() bool {
	if c == nil {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.retired != nil {
		return false
	}
	c.entered++
	return true
}

// Leave is the end of an Enter that no call followed.
func (c *Chain) Leave() {
	if c == nil {
		return
	}
	c.mu.Lock()
	c.entered--
	last := c.retired
	if c.entered > 0 {
		last = nil
	}
	c.mu.Unlock()
	if last != nil {
		last()
	}
}

// Retire lets nobody in any more, and calls then once the last one has left: now,
// if nobody is in. It is called once.
func (c *Chain) Retire(then func()) {
	if c == nil {
		then()
		return
	}
	c.mu.Lock()
	c.retired = then
	idle := c.entered == 0
	c.mu.Unlock()
	if idle {
		then()
	}
}

// Before consults the policies in order and stops at the first refusal, which is
// a *Denial, or context.Cause(ctx) if that ended first. It comes after Enter, and
// before Done, whatever it returned.
func (c *Chain) Before(ctx context.Context, call *Call) error {
	if c == nil {
		return nil
	}
	for i := range c.steps {
		s := &c.steps[i]
		if err := s.before(ctx, call, c.observe); err != nil {
			return err
		}
	}
	return nil
}

// After consults the policies in reverse order and stops at the first refusal,
// which is a *Denial.
func (c *Chain) After(ctx context.Context, call *Call, a *Answer) error {
	if c == nil {
		return nil
	}
	for i := range slices.Backward(c.steps) {
		s := &c.steps[i]
		if err := s.after(ctx, call, a, c.observe); err != nil {
			return err
		}
	}
	return nil
}

// Received consults those policies, in order, that look at what servers send. The
// error is a *Denial.
func (c *Chain) Received(ctx context.Context, m *ServerMessage) error {
	if c == nil || !c.inbound {
		return nil
	}
	for i := range c.steps {
		s := &c.steps[i]
		if _, ok := s.Policy.(Inbound); !ok {
			continue
		}
		if err := s.received(ctx, m, c.observe); err != nil {
			return err
		}
	}
	return nil
}

// Done tells the policies that a call is over, and leaves the chain.
func (c *Chain) Done(call *Call) {
	if c == nil {
		return
	}
	defer c.Leave()
	for i := range c.steps {
		if f, ok := c.steps[i].Policy.(Finisher); ok {
			f.Done(call)
		}
	}
}

// Vet asks the policies that look at what is offered, in order, and returns all
// that they say. One that panics hides everything, unless OnError allows.
func (c *Chain) Vet(all []*Definition) []Verdict {
	if c == nil {
		return nil
	}
	var verdicts []Verdict
	for i := range c.steps {
		s := &c.steps[i]
		p, ok := s.Policy.(Vetter)
		if !ok {
			continue
		}
		verdicts = append(verdicts, s.vet(p, all, c.observe)...)
	}
	return verdicts
}
