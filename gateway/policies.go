package gateway

import (
	"io"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/policy/builtin"
)

// policies are those of the configuration, and the chain they make. A reload makes
// a new chain of the policies that are as they were and of new ones; the publisher
// puts it into the view, and retires the one before. A policy is closed when no
// chain has it whose calls are still under way.
type policies struct {
	env     policy.Env
	make    func([]builtin.Config, policy.Env, *builtin.Made) (*builtin.Made, error)
	observe func(scores) policy.Observer

	now   atomic.Pointer[generation] // what the next view gets, never nil
	again chan struct{}              // capacity 1: everything is to be vetted anew

	mu   sync.Mutex            // guards uses and old
	uses map[policy.Policy]int // how many generations have it that calls may be in
	old  []*generation         // those that were replaced, and views may still have

	open sync.WaitGroup // policies that are to be closed
}

// generation is what one configuration made.
type generation struct {
	configs []builtin.Config
	made    *builtin.Made
	chain   *policy.Chain // nil for no policies
	scores  scores
}

func newPolicies(env policy.Env, observe func(scores) policy.Observer) *policies {
	p := &policies{env: env, make: builtin.Make, observe: observe, again: make(chan struct{}, 1), uses: make(map[policy.Policy]int)}
	p.env.Again = func() {
		select {
		case p.again <- struct{}{}:
		default:
		}
	}
	p.now.Store(new(generation))
	return p
}

// build makes what a configuration asks for, and changes nothing: it is either
// adopted or dropped. What is configured as it runs is what runs. The error says
// which policy cannot be had, and why.
func (p *policies) build(configs []builtin.Config) (*generation, error) {
	now := p.now.Load()
	if reflect.DeepEqual(now.configs, configs) || len(now.configs)+len(configs) == 0 {
		return now, now.made.Renew()
	}
	made, err := p.make(configs, p.env, now.made)
	if err != nil {
		return nil, err
	}
	g := &generation{configs: configs, made: made}
	if len(made.Steps) > 0 {
		g.scores = newScores(made.Steps, now.scores)
		g.chain = policy.NewChain(p.observe(g.scores), made.Steps...)
	}
	return g, nil
}

// adopt makes g the generation that the next view gets.
func (p *policies) adopt(g *generation) {
	old := p.now.Load()
	if old == g {
		return
	}
	p.mu.Lock()
	for _, s := range g.steps() {
		if _, ok := s.Policy.(io.Closer); ok && p.uses[s.Policy] == 0 {
			p.open.Add(1)
		}
		p.uses[s.Policy]++
	}
	p.old = append(p.old, old)
	p.mu.Unlock()
	p.now.Store(g)
}

// drop closes what was built for g alone.
func (p *policies) drop(g *generation) {
	p.mu.Lock()
	var alone []io.Closer
	for _, s := range g.steps() {
		if c, ok := s.Policy.(io.Closer); ok && p.uses[s.Policy] == 0 {
			alone = append(alone, c)
		}
	}
	p.mu.Unlock()
	for _, c := range alone {
		p.shut(c)
	}
}

// published says that no other view than one with shown is used from now on.
func (p *policies) published(shown *generation) {
	p.mu.Lock()
	var gone []*generation
	p.old = slices.DeleteFunc(p.old, func(g *generation) bool {
		if g != shown {
			gone = append(gone, g)
		}
		return g != shown
	})
	p.mu.Unlock()
	for _, g := range gone {
		p.retire(g)
	}
}

// retire has the policies of g closed that nothing else has, once its last call is
// over. It does not block.
func (p *policies) retire(g *generation) {
	g.chain.Retire(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, s := range g.steps() {
			p.uses[s.Policy]--
			p.closeUnused(s.Policy)
		}
	})
}

// closeUnused closes a policy that no generation has any more. The caller holds mu.
func (p *policies) closeUnused(x policy.Policy) {
	if p.uses[x] > 0 {
		return
	}
	delete(p.uses, x)
	if c, ok := x.(io.Closer); ok {
		go func() {
			defer p.open.Done()
			p.shut(c)
		}()
	}
}

func (p *policies) shut(c io.Closer) {
	if err := c.Close(); err != nil {
		p.env.Log.Warn("policy not closed well", "error", err)
	}
}

// closeTimeout is how long the end of the gateway waits for calls that are still
// with a policy, and for policies to close.
const closeTimeout = 5 * time.Second

// close lets no call in any more, and blocks until all policies are closed or
// closeTimeout is over.
func (p *policies) close() {
	p.adopt(new(generation))
	p.published(nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.open.Wait()
	}()
	t := time.NewTimer(closeTimeout)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
		p.env.Log.Warn("a policy takes too long to close, and is left")
	}
}

func (g *generation) steps() []policy.Step {
	if g.made == nil {
		return nil
	}
	return g.made.Steps
}
