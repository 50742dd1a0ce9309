// Package narrow says which calls a policy is about, by the names of upstreams and
// tools in its configuration. It starts no goroutine and keeps no state.
package narrow

import (
	"strconv"

	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/policy/glob"
)

// Config are the keys that narrow a policy; it is embedded with the tag ",squash".
// A key that is absent narrows nothing.
type Config struct {
	// Upstreams are patterns of upstreams' names.
	Upstreams []string `koanf:"upstreams"`
	// Tools are patterns of the upstreams' own names of tools. With them the policy
	// is about calls of tools alone.
	Tools []string `koanf:"tools"`
}

// Faults returns what is wrong, each a *policy.FieldError whose path begins with
// path.
func (c *Config) Faults(path ...string) []error {
	var errs []error
	check := func(key string, patterns []string) {
		for i, p := range patterns {
			if !glob.Legal(p) {
				errs = append(errs, &policy.FieldError{
					Path: append(append([]string(nil), path...), key, strconv.Itoa(i)),
					Text: `must be a name or a pattern such as "read_*", not ` + strconv.Quote(p),
				})
			}
		}
	}
	check("upstreams", c.Upstreams)
	check("tools", c.Tools)
	return errs
}

// Scope is which calls a policy is about. The zero Scope is about all.
type Scope struct{ upstreams, tools glob.List }

// New returns the scope of a configuration without faults.
func New(c Config) Scope { return Scope{glob.New(c.Upstreams), glob.New(c.Tools)} }

// Upstream reports whether the policy is about anything of an upstream, and what
// of it names no tool.
func (s *Scope) Upstream(name string) bool {
	return len(s.tools) == 0 && (len(s.upstreams) == 0 || s.upstreams.Match(name))
}

// Call reports whether the policy is about a call.
func (s *Scope) Call(c *policy.Call) bool {
	if len(s.upstreams) > 0 && !s.upstreams.Match(c.Upstream) {
		return false
	}
	return len(s.tools) == 0 || c.Method == "tools/call" && s.tools.Match(c.Target)
}

// Message reports whether the policy is about what a server sent of itself: by the
// call that it belongs to, else by its upstream.
func (s *Scope) Message(m *policy.ServerMessage) bool {
	if m.Call != nil {
		return s.Call(m.Call)
	}
	return s.Upstream(m.Upstream)
}
