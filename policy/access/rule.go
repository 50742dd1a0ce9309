package access

import (
	"fmt"

	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/policy/glob"
)

// rule is a compiled rule.
type rule struct {
	name   string
	denies bool
	denial *policy.Denial // of a rule that denies; the chain copies it
	// Empty lists match all.
	upstreams, tools, methods glob.List
	program                   *program
}

func (r *Rule) compiled(i int, prog *program) *rule {
	c := &rule{
		name: r.called(i), denies: r.Deny != "", program: prog,
		upstreams: glob.New(r.Upstreams), tools: glob.New(r.Tools), methods: glob.New(r.Methods),
	}
	if c.denies {
		reason := r.Reason
		if reason == "" {
			reason = fmt.Sprintf("rule %q does not allow it", c.name)
		}
		c.denial = &policy.Denial{Reason: reason}
	}
	return c
}

// about reports whether the rule is about such a call.
func (r *rule) about(s *scope) bool {
	if len(r.methods) == 0 {
		if !governed(s.method) {
			return false
		}
	} else if !r.methods.Match(s.method) {
		return false
	}
	if len(r.upstreams) > 0 && !r.upstreams.Match(s.upstream) {
		return false
	}
	return len(r.tools) == 0 || s.isTool() && r.tools.Match(s.target())
}

// holds evaluates the rule.
func (r *rule) holds(s *scope) (bool, error) {
	yes, err := r.program.eval(s)
	if err != nil {
		return false, fmt.Errorf("rule %q: %w", r.name, err)
	}
	return yes, nil
}
