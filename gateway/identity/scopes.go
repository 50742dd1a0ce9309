package identity

import (
	"maps"
	"net/http"
	"slices"

	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/policy/glob"
)

// scopes are what credentials must allow.
type scopes struct {
	required []string
	tools    []toolScopes
	implied  map[string][]string // of each scope, what comes with it by whatever way
}

type toolScopes struct {
	globs  glob.List
	scopes []string
}

func newScopes(c Scopes) scopes {
	s := scopes{required: distinct(c.Required), implied: map[string][]string{}}
	for _, pattern := range slices.Sorted(maps.Keys(c.Tools)) {
		s.tools = append(s.tools, toolScopes{glob.New([]string{pattern}), c.Tools[pattern]})
	}
	for scope := range c.Implies {
		all := []string{scope}
		for i := 0; i < len(all); i++ {
			for _, next := range c.Implies[all[i]] {
				if !slices.Contains(all, next) {
					all = append(all, next)
				}
			}
		}
		s.implied[scope] = all[1:]
	}
	return s
}

// has tells whether a principal's credential allows all that is needed.
func (s *scopes) has(p *policy.Principal, needed []string) bool {
	for _, n := range needed {
		if !slices.Contains(p.Scopes, n) && !slices.ContainsFunc(p.Scopes, func(own string) bool {
			return slices.Contains(s.implied[own], n)
		}) {
			return false
		}
	}
	return true
}

// of returns what a call of a tool needs besides what each request does.
func (s *scopes) of(tool string) []string {
	var needed []string
	for _, t := range s.tools {
		if t.globs.Match(tool) {
			needed = append(needed, t.scopes...)
		}
	}
	return needed
}

// Allowed returns nil if a principal's credential allows a call of the tool that
// clients know by this name, else the challenge, which names all scopes that the
// call needs, so that one round of step-up is enough (MCP 2026-07-28
// basic/authorization, "Scope Challenge Handling"). Those whom the operating system
// let in need none. Only tools have scopes of their own: reading prompts and
// resources needs the scopes of each request, and can be denied by a policy.
func (a *Authenticator) Allowed(p *policy.Principal, tool string) *Challenge {
	if len(a.scopes.tools) == 0 || trusted(p) {
		return nil
	}
	needed := a.scopes.of(tool)
	if a.scopes.has(p, needed) {
		return nil
	}
	return a.insufficient(distinct(slices.Concat(a.scopes.required, needed)))
}

func (a *Authenticator) insufficient(needed []string) *Challenge {
	return &Challenge{Status: http.StatusForbidden, Code: "insufficient_scope", Scopes: needed, a: a}
}

// distinct returns a list without what it has already.
func distinct(list []string) []string {
	var out []string
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}
