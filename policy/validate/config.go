// Package validate checks the arguments of tools against their input schemas, and
// what they return against their output schemas, as JSON Schema has it (MCP
// 2025-11-25 server/tools). A model is told what is wrong where, and no server sees
// what it never said it takes.
//
// Schemas are compiled when they are first needed, once for each definition. The
// package starts no goroutine, and what it remembers is bounded.
package validate

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/policy/narrow"
)

// Config is the section of the policy.
type Config struct {
	narrow.Config `koanf:",squash"`
	// Arguments is deny (the default), report or off.
	Arguments string `koanf:"arguments"`
	// Results is report (the default), deny or off.
	Results string `koanf:"results"`
	// Unsupported is what becomes of tools whose schema cannot be used: deny (the
	// default) or pass.
	Unsupported string `koanf:"unsupported"`
}

// The words of the keys.
const (
	deny   = "deny"
	report = "report"
	off    = "off"
	pass   = "pass"
)

// Validate returns every fault, joined, each a *policy.FieldError.
func (c *Config) Validate() error {
	errs := c.Config.Faults()
	oneOf := func(key, got string, words ...string) {
		if got != "" && !slices.Contains(words, got) {
			last := len(words) - 1
			said := strings.Join(words[:last], ", ") + " or " + words[last]
			errs = append(errs, &policy.FieldError{Path: []string{key}, Text: "must be " + said + ", not " + strconv.Quote(got)})
		}
	}
	oneOf("arguments", c.Arguments, deny, report, off)
	oneOf("results", c.Results, deny, report, off)
	oneOf("unsupported", c.Unsupported, deny, pass)
	if c.Arguments == off && c.Results == off {
		errs = append(errs, &policy.FieldError{Path: []string{"results"}, Text: "leaves nothing to check, as arguments are off, too", Mend: "remove one of them, or the policy"})
	}
	return errors.Join(errs...)
}
