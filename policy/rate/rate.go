package rate

import (
	"context"
	"time"

	"golang.org/x/time/rate"

	"github.com/interlock-mcp/interlock/policy"
)

// Policy bounds calls.
type Policy struct {
	limits []*limit
	shares []*share
}

// held is the key under which a call keeps its slots.
type held struct{ *Policy }

// slot is a call's place in a share.
type slot struct {
	share *share
	key   string
}

// New makes the policy, of a configuration that is valid.
func (c *Config) New(policy.Env) (policy.Policy, error) {
	p := new(Policy)
	for i := range c.Limits {
		p.limits = append(p.limits, newLimit(&c.Limits[i]))
	}
	for i := range c.Concurrency {
		p.shares = append(p.shares, newShare(&c.Concurrency[i]))
	}
	return p, nil
}

// Before takes a token of each limit that is about the call, and then a slot of
// each share. It blocks for as long as the configuration says, and no longer than
// ctx lasts.
func (p *Policy) Before(ctx context.Context, c *policy.Call) error {
	if ends(c.Method) || c.Resumed { // what is resumed has its slot, and was counted
		return nil
	}
	if err := p.ration(ctx, c); err != nil {
		return err
	}
	return p.seat(ctx, c)
}

// After lets every answer pass.
func (p *Policy) After(context.Context, *policy.Call, *policy.Answer) error { return nil }

// Done gives back the call's slots.
func (p *Policy) Done(c *policy.Call) {
	slots, _ := c.Kept(held{p}).([]slot)
	if len(slots) == 0 {
		return
	}
	c.Keep(held{p}, nil)
	leave(slots)
}

func leave(slots []slot) {
	for _, s := range slots {
		s.share.leave(s.key)
	}
}

// ends reports whether a method only ends something: to refuse it would make more
// work, and not less.
func ends(method string) bool { return method == "resources/unsubscribe" || method == "tasks/cancel" }

// who is whom a call is counted for. The anonymous are told apart by their
// sessions; those without one count as one.
func who(c *policy.Call) string {
	if key := c.Principal.Key(); key != "" {
		return key
	}
	return "\x00" + c.Session // no issuer begins so
}

// ration takes the tokens, and waits for those that are still to come. All are
// given back when the call is refused.
func (p *Policy) ration(ctx context.Context, c *policy.Call) error {
	var few [4]*rate.Reservation
	taken, now, longest := few[:0], time.Now(), time.Duration(0)
	undo := func(at time.Time) {
		for _, r := range taken {
			r.CancelAt(at)
		}
	}
	for _, l := range p.limits {
		if !l.scope.Call(c) {
			continue
		}
		r := l.bucket(l.key(c), now).ReserveN(now, 1)
		taken = append(taken, r)
		d := r.DelayFrom(now)
		if d > l.wait {
			undo(now)
			return &policy.Denial{Reason: l.reason, RetryAfter: d}
		}
		longest = max(longest, d)
	}
	switch {
	case longest == 0:
		return nil
	case policy.Trial(ctx):
		c.Annotate("wait", "it would have waited "+longest.String())
		return nil
	}
	t := time.NewTimer(longest)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		undo(time.Now())
		return context.Cause(ctx)
	}
}

// seat takes the slots, in the order of the configuration, or none.
func (p *Policy) seat(ctx context.Context, c *policy.Call) error {
	var slots []slot
	for _, s := range p.shares {
		if !s.scope.Call(c) {
			continue
		}
		key := who(c)
		if err := s.enter(ctx, key); err != nil {
			leave(slots)
			return err
		}
		slots = append(slots, slot{s, key})
	}
	if slots != nil {
		c.Keep(held{p}, slots)
	}
	return nil
}
