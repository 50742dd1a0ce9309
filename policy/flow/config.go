package flow

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/policy/glob"
)

// Config is the `flow` section.
type Config struct {
	// Tags says what the tags of upstreams are called that mean what this policy
	// looks for.
	Tags Tags `koanf:"tags"`
	// Tools adds tags to single tools: the key is a pattern of an upstream's name,
	// "__" and its own name of the tool, whatever clients call it.
	Tools map[string][]string `koanf:"tools"`
	// Require are the kinds of content that must have met before nothing may leave:
	// "private", "untrusted" or both, which is the default.
	Require []string `koanf:"require"`
	// Scope is "principal" (the default), where all sessions of a principal count
	// as one, or "session".
	Scope string `koanf:"scope"`
	// ForgetAfter is how long after the last private or untrusted content all is
	// forgotten; 0 for an hour.
	ForgetAfter time.Duration `koanf:"forget_after"`
}

// Tags are names of tags; "" is the key itself.
type Tags struct {
	Private   string `koanf:"private"`
	Untrusted string `koanf:"untrusted"`
	Egress    string `koanf:"egress"`
}

// Scopes, and the separator between an upstream's name and a tool's.
const (
	byPrincipal = "principal"
	bySession   = "session"
	separator   = "__"
)

const defaultForgetAfter = time.Hour

// Validate returns every fault, joined, each a *policy.FieldError.
func (c *Config) Validate() error {
	var errs []error
	bad := func(text, mend string, path ...string) {
		errs = append(errs, &policy.FieldError{Path: path, Text: text, Mend: mend})
	}
	names := c.Tags.names()
	for _, pair := range []struct{ a, b int }{{0, 1}, {0, 2}, {1, 2}} {
		if names[pair.a] == names[pair.b] {
			bad(fmt.Sprintf("call both %s and %s %q", kindNames[pair.a], kindNames[pair.b], names[pair.a]), "use a tag for each", "tags")
		}
	}
	for _, pattern := range slices.Sorted(maps.Keys(c.Tools)) {
		if !glob.Legal(pattern) {
			bad("is not a pattern", "use letters, * and ? and [a-z]", "tools", pattern)
		} else if !strings.Contains(pattern, separator) && !strings.ContainsAny(pattern, "*?[") {
			bad("does not say of which upstream", "write UPSTREAM"+separator+"TOOL", "tools", pattern)
		}
		for i, tag := range c.Tools[pattern] {
			if !slices.Contains(names[:], tag) {
				bad(fmt.Sprintf("%q means nothing to this policy", tag), "use "+strings.Join(names[:], ", "), "tools", pattern, strconv.Itoa(i))
			}
		}
	}
	for i, kind := range c.Require {
		if kind != kindNames[0] && kind != kindNames[1] {
			bad(fmt.Sprintf("%q must be private or untrusted", kind), "", "require", strconv.Itoa(i))
		}
	}
	if c.Scope != "" && c.Scope != byPrincipal && c.Scope != bySession {
		bad("must be principal or session", "", "scope")
	}
	if c.ForgetAfter < 0 {
		bad("must not be negative", "", "forget_after")
	}
	return errors.Join(errs...)
}

// New makes the policy, which remembers nothing yet.
func (c *Config) New(policy.Env) (policy.Policy, error) {
	p := &Policy{names: c.Tags.names(), bySession: c.Scope == bySession, require: private | untrusted}
	if len(c.Require) > 0 {
		p.require = 0
		for _, kind := range c.Require {
			p.require |= 1 << slices.Index(kindNames[:], kind)
		}
	}
	for _, pattern := range slices.Sorted(maps.Keys(c.Tools)) {
		p.tools = append(p.tools, toolTags{glob.New([]string{pattern}), p.kindsOf(c.Tools[pattern])})
	}
	p.memory.forgetAfter = c.ForgetAfter
	if c.ForgetAfter == 0 {
		p.memory.forgetAfter = defaultForgetAfter
	}
	return p, nil
}

func (t *Tags) names() [3]string {
	names := kindNames
	for i, name := range []string{t.Private, t.Untrusted, t.Egress} {
		if name != "" {
			names[i] = name
		}
	}
	return names
}
