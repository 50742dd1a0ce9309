package access

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/policy/glob"
)

// Config is the `access` section.
type Config struct {
	// Default is "deny" (the default) or "allow": what becomes of a call that no
	// rule decides.
	Default policy.Effect `koanf:"default"`
	// Rules may stand in any order: a rule that denies wins over those that allow.
	Rules []Rule `koanf:"rules"`
	// CostLimit bounds what one rule may cost, in the units of CEL's cost model, of
	// which a comparison takes one or two; 0 for 100,000.
	CostLimit int `koanf:"cost_limit"`
}

// Rule is one rule. Exactly one of Allow and Deny is set.
type Rule struct {
	// Name is told when the rule decides; by default that is its number.
	Name string `koanf:"name"`
	// Allow and Deny are CEL expressions of type bool.
	Allow string `koanf:"allow"`
	Deny  string `koanf:"deny"`
	// Reason is what the client is told when the rule denies: a sentence without
	// its full stop.
	Reason string `koanf:"reason"`
	// Upstreams, Tools and Methods are globs: the rule is only about calls of such
	// upstreams, of such tools of theirs (by their own names), and of such methods.
	// Empty ones match all; but for Methods see governed.
	Upstreams []string `koanf:"upstreams"`
	Tools     []string `koanf:"tools"`
	Methods   []string `koanf:"methods"`
}

// defaultCostLimit is a few milliseconds at most.
const defaultCostLimit = 100_000

// Validate returns every fault, joined, each a *policy.FieldError. It compiles the
// rules.
func (c *Config) Validate() error {
	_, err := c.compile()
	return err
}

// New makes the policy. It needs nothing of the environment.
func (c *Config) New(policy.Env) (policy.Policy, error) {
	p, err := c.compile()
	if err != nil {
		return nil, err
	}
	return p, nil
}

// compile compiles the rules and returns all that is wrong with them, joined.
func (c *Config) compile() (*Policy, error) {
	var errs []error
	bad := func(text, mend string, path ...string) {
		errs = append(errs, &policy.FieldError{Path: path, Text: text, Mend: mend})
	}
	if c.Default != "" && c.Default != policy.Deny && c.Default != policy.Allow {
		bad("must be deny or allow", "", "default")
	}
	if c.CostLimit < 0 {
		bad("must not be negative", "", "cost_limit")
	}
	if len(c.Rules) == 0 {
		bad("must hold at least one rule", "add one, such as allow: tool.annotations.readOnlyHint", "rules")
		return nil, errors.Join(errs...)
	}
	comp, err := newCompiler(c.limit())
	if err != nil {
		return nil, err
	}
	p := &Policy{allow: c.Default == policy.Allow}
	names := make(map[string]int)
	for i := range c.Rules {
		r := &c.Rules[i]
		at := strconv.Itoa(i)
		if first, taken := names[r.called(i)]; taken {
			bad(fmt.Sprintf("is %q, as rule %d is called already", r.called(i), first+1), "add another name", "rules", at, "name")
		} else {
			names[r.called(i)] = i
		}
		for _, f := range r.faults(c.Default) {
			f.Path = append([]string{"rules", at}, f.Path...)
			errs = append(errs, f)
		}
		key, text := r.expression()
		if text == "" {
			continue
		}
		prog, fault := comp.compile(text)
		if fault != nil {
			fault.Path = []string{"rules", at, key}
			errs = append(errs, fault)
			continue
		}
		p.add(r.compiled(i, prog))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return p, nil
}

func (c *Config) limit() uint64 {
	if c.CostLimit > 0 {
		return uint64(c.CostLimit)
	}
	return defaultCostLimit
}

// called is the name of the rule at i.
func (r *Rule) called(i int) string {
	if r.Name != "" {
		return r.Name
	}
	return strconv.Itoa(i + 1)
}

// expression returns the key of the rule's expression, and the expression.
func (r *Rule) expression() (key, text string) {
	if r.Deny != "" {
		return "deny", r.Deny
	}
	return "allow", r.Allow
}

// faults are those outside of the expression.
func (r *Rule) faults(otherwise policy.Effect) []*policy.FieldError {
	var all []*policy.FieldError
	bad := func(text, mend string, path ...string) {
		all = append(all, &policy.FieldError{Path: path, Text: text, Mend: mend})
	}
	switch {
	case r.Allow == "" && r.Deny == "":
		bad("neither allows nor denies", "add allow: or deny: with an expression")
	case r.Allow != "" && r.Deny != "":
		bad("has an allow as well", "make each a rule of its own", "deny")
	case r.Allow != "" && otherwise == policy.Allow:
		bad("does nothing where the default is allow, since a rule that denies wins over it", "remove the rule, or set default: deny", "allow")
	}
	if r.Reason != "" && r.Deny == "" {
		bad("is for a rule that denies", "remove it", "reason")
	}
	for _, l := range []struct {
		key      string
		patterns []string
	}{{"upstreams", r.Upstreams}, {"tools", r.Tools}, {"methods", r.Methods}} {
		for i, p := range l.patterns {
			if !glob.Legal(p) {
				bad(fmt.Sprintf("%q is not a pattern", p), "use letters, * and ? and [a-z]", l.key, strconv.Itoa(i))
			}
		}
	}
	return all
}
