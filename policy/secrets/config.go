// Package secrets finds credentials in what goes to upstreams and in what comes
// from them, and redacts them, refuses the message or notes it.
//
// What a credential looks like comes from gitleaks, whose rules are in rules.toml
// as its module has them; a test fails when that differs from the version in
// go.mod, and rewrites it with -update. The module itself is linked in tests
// alone: its package config brings viper and 75 packages and costs 0.7 ms at every
// start, and its detector knows files and commits, not JSON.
//
// All patterns are RE2, so there is none that takes more than linear time. A
// pattern is tried only where one of its keywords is, all of which one pass over
// the text finds, and it is compiled when it is first tried. The work of one message
// is bounded in proportion to its size. The package starts no goroutine.
package secrets

import (
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/policy/narrow"
)

// Config is the section of the policy.
type Config struct {
	narrow.Config `koanf:",squash"`
	// Arguments is what becomes of what goes up: block (the default), redact, report
	// or off.
	Arguments string `koanf:"arguments"`
	// Results is the same for what comes down: redact is the default.
	Results string `koanf:"results"`
	Rules   Rules  `koanf:"rules"`
	// Allow are patterns of what is no secret, though it looks like one.
	Allow []string `koanf:"allow"`
}

// Rules change what a credential looks like.
type Rules struct {
	// Disable are ids of gitleaks' rules.
	Disable []string `koanf:"disable"`
	Extra   []Extra  `koanf:"extra"`
}

// Extra is one rule more. The secret is the first group of the pattern that matched
// anything, or all of it.
type Extra struct {
	ID    string `koanf:"id"`
	Regex string `koanf:"regex"`
	// Keywords are what a text must have one of for the pattern to be tried, in
	// whatever case. Without any it is tried on everything.
	Keywords []string `koanf:"keywords"`
}

// The words of Arguments and Results.
const (
	block  = "block"
	redact = "redact"
	report = "report"
	off    = "off"
)

// legalID reports whether a rule may be called that: it is written in the place of
// secrets.
func legalID(id string) bool {
	return id != "" && len(id) <= 64 && id[0] != '-' && !strings.ContainsFunc(id, func(r rune) bool {
		return r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z')
	})
}

// Validate returns every fault, joined, each a *policy.FieldError.
func (c *Config) Validate() error {
	errs := c.Config.Faults()
	bad := func(text, mend string, path ...string) {
		errs = append(errs, &policy.FieldError{Path: path, Text: text, Mend: mend})
	}
	modes := []string{"", block, redact, report, off}
	if !slices.Contains(modes, c.Arguments) {
		bad("must be block, redact, report or off, not "+strconv.Quote(c.Arguments), "", "arguments")
	}
	if !slices.Contains(modes, c.Results) {
		bad("must be redact, block, report or off, not "+strconv.Quote(c.Results), "", "results")
	}
	if c.Arguments == off && c.Results == off {
		bad("leaves nothing to look at, as arguments are off, too", "remove one of them, or the policy", "results")
	}
	var ids []string
	if len(c.Rules.Disable)+len(c.Rules.Extra) > 0 {
		for _, r := range libraryRules() {
			ids = append(ids, r.ID)
		}
	}
	for i, id := range c.Rules.Disable {
		if !slices.Contains(ids, id) {
			bad("is no rule of gitleaks: "+strconv.Quote(id), "see docs/policies/secrets.md", "rules", "disable", strconv.Itoa(i))
		}
	}
	for i, e := range c.Rules.Extra {
		at := func(key string) []string { return []string{"rules", "extra", strconv.Itoa(i), key} }
		switch {
		case !legalID(e.ID):
			bad("must be of a-z, 0-9 and -, and at most 64 long, not "+strconv.Quote(e.ID), "", at("id")...)
		case slices.Contains(ids, e.ID):
			bad("is taken already: "+e.ID, "choose another", at("id")...)
		}
		ids = append(ids, e.ID)
		if e.Regex == "" {
			bad("has no regex", "add one", at("regex")[:3]...)
		} else if fault := pattern(e.Regex); fault != "" {
			bad(fault, "", at("regex")...)
		}
		for j, k := range e.Keywords {
			if k == "" || strings.ContainsFunc(k, func(r rune) bool { return r > '~' || r < ' ' }) {
				bad("must be of ASCII characters, and not empty", "", append(at("keywords"), strconv.Itoa(j))...)
			}
		}
	}
	for i, a := range c.Allow {
		if fault := pattern(a); fault != "" {
			bad(fault, "", "allow", strconv.Itoa(i))
		}
	}
	return errors.Join(errs...)
}

// pattern says what is wrong with a regular expression, "" for nothing.
func pattern(s string) string {
	re, err := regexp.Compile(s)
	switch {
	case err != nil:
		return "cannot be read as a pattern (RE2): " + strings.TrimPrefix(err.Error(), "error parsing regexp: ")
	case re.MatchString(""):
		return "matches what is empty, and so everything"
	}
	return ""
}
