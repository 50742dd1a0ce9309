// Package access decides by rules, each a CEL expression over who calls what with
// which arguments.
//
// A rule that denies wins over all that allow, in whatever order they stand; a call
// that no rule decides is denied, unless the default is to allow. A rule that
// cannot be evaluated, because an argument it reads is not there or it costs too
// much, has not decided: then the policy has not either, unless another rule settles
// it, and the chain's on_error does.
//
// Rules are compiled and type-checked when the configuration is read. A Policy
// starts no goroutine and may be used by many. It decides about calls, not about
// lists: a tool that is denied to everybody is listed all the same.
package access

import (
	"context"
	"sync"

	"github.com/interlock-mcp/interlock/policy"
)

// Policy is a set of rules.
type Policy struct {
	denies, allows []*rule
	// allow says that what no rule denies is allowed.
	allow bool
	hints hintCache
	pool  sync.Pool // of *scope
}

func (p *Policy) add(r *rule) {
	if r.denies {
		p.denies = append(p.denies, r)
	} else {
		p.allows = append(p.allows, r)
	}
}

// Before lets a call pass, refuses it, or returns why it could not decide.
func (p *Policy) Before(_ context.Context, c *policy.Call) error {
	s := p.scope()
	defer p.release(s)
	s.call, s.principal, s.session, s.upstream, s.tags = c, c.Principal, c.Session, c.Upstream, c.Tags
	s.method, s.arguments = c.Method, c.Arguments()
	if s.arguments == nil {
		s.arguments = c.Message.Params.Of(c.Message.Raw)
	}
	r, err := p.decide(s)
	if r != nil {
		c.Annotate("rule", r.name)
	}
	return err
}

// After has nothing to say: a call that was allowed may have its answer.
func (p *Policy) After(context.Context, *policy.Call, *policy.Answer) error { return nil }

// Received decides about what a server sends, if a rule names its method.
func (p *Policy) Received(_ context.Context, m *policy.ServerMessage) error {
	s := p.scope()
	defer p.release(s)
	s.call, s.session, s.upstream, s.tags = m.Call, m.Session, m.Upstream, m.Tags
	if m.Principal != nil {
		s.principal = m.Principal
	}
	s.method, s.arguments = m.Message.MethodName(), m.Params()
	_, err := p.decide(s)
	return err
}

// governed are the requests that a rule without methods is about, and the default
// too. Others, which keep a session or a call going or which servers send, are let
// pass but where a rule names them.
func governed(method string) bool {
	switch method {
	case "tools/call", "prompts/get", "resources/read", "resources/subscribe", "completion/complete":
		return true
	}
	return false
}

// decide returns the refusal and the rule that refused; without a rule, the refusal
// of the default, the error of a rule that could have changed the outcome, or nil.
func (p *Policy) decide(s *scope) (*rule, error) {
	var broken error
	for _, r := range p.denies {
		if !r.about(s) {
			continue
		}
		yes, err := r.holds(s)
		if err == nil && yes {
			return r, r.denial
		}
		if broken == nil {
			broken = err
		}
	}
	if broken != nil || p.allow {
		return nil, broken
	}
	about := governed(s.method)
	for _, r := range p.allows {
		if !r.about(s) {
			continue
		}
		about = true
		yes, err := r.holds(s)
		if err == nil && yes {
			return nil, nil
		}
		if broken == nil {
			broken = err
		}
	}
	if broken != nil || !about {
		return nil, broken
	}
	return nil, unlisted
}

// unlisted is the refusal of the default. The chain copies it.
var unlisted = &policy.Denial{Reason: "no rule allows it"}
