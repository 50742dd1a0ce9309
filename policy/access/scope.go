package access

import (
	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/interlock-mcp/interlock/policy"
)

// scope is what the rules of one decision read. Whatever takes work is made when a
// rule first reads it.
type scope struct {
	policy    *Policy
	principal *policy.Principal // never nil
	call      *policy.Call      // nil for a server's message outside of calls
	session   string
	upstream  string
	tags      []string
	method    string
	arguments []byte

	args ref.Val // nil until read
	hint *hints  // nil until read
}

var nobody = new(policy.Principal)

func (p *Policy) scope() *scope {
	s, _ := p.pool.Get().(*scope)
	if s == nil {
		s = new(scope)
	}
	s.policy, s.principal = p, nobody
	return s
}

// release keeps the scope for another decision. No value of the last may be held by
// then; results of rules are booleans.
func (p *Policy) release(s *scope) {
	*s = scope{}
	p.pool.Put(s)
}

// isTool reports whether it is about a tool: a call of one, or what belongs to such
// a call.
func (s *scope) isTool() bool {
	if s.call == nil {
		return false
	}
	if d := s.call.Definition; d != nil {
		return d.Kind == policy.Tool
	}
	return s.call.Method == "tools/call"
}

func (s *scope) target() string {
	if s.call == nil {
		return ""
	}
	return s.call.Target
}

// ResolveName returns a variable: see variables.
func (s *scope) ResolveName(name string) (any, bool) {
	switch name {
	case "args":
		if s.args == nil {
			s.args = newArguments(s.arguments)
		}
		return s.args, true
	case "principal", "upstream", "tool":
		return s, true // their fields are read off it
	case "method":
		return types.String(s.method), true
	case "target":
		return types.String(s.target()), true
	case "session":
		return types.String(s.session), true
	case "profile":
		if s.call == nil {
			return types.String(""), true
		}
		return types.String(s.call.Profile), true
	}
	return nil, false
}

// Parent is nil: there is no scope around it.
func (s *scope) Parent() cel.Activation { return nil }

// annotations are what the upstream hints at of the tool, if it is trusted.
func (s *scope) annotations() *hints {
	if s.hint == nil {
		s.hint = unhinted
		if s.isTool() && s.call.Definition != nil && s.call.Definition.Trusted {
			s.hint = s.policy.hints.of(s.call.Definition)
		}
	}
	return s.hint
}
