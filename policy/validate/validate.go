package validate

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/policy/narrow"
	"github.com/interlock-mcp/interlock/policy/validate/schema"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// Policy checks calls of tools.
type Policy struct {
	scope                           narrow.Scope
	arguments, results, unsupported string
	log                             *slog.Logger
	cache                           cache
}

// New makes the policy, of a configuration that is valid.
func (c *Config) New(env policy.Env) (policy.Policy, error) {
	or := func(said, otherwise string) string {
		if said == "" {
			return otherwise
		}
		return said
	}
	return &Policy{
		scope: narrow.New(c.Config), log: env.Log,
		arguments: or(c.Arguments, deny), results: or(c.Results, report), unsupported: or(c.Unsupported, deny),
	}, nil
}

// about reports whether a call is one whose schemas are to be looked at.
func (p *Policy) about(c *policy.Call, mode string) bool {
	return mode != off && c.Method == "tools/call" && c.Definition != nil && p.scope.Call(c)
}

// Before checks the arguments. Absent ones count as none.
func (p *Policy) Before(ctx context.Context, c *policy.Call) error {
	if !p.about(c, p.arguments) {
		return nil
	}
	raw := c.Arguments()
	if raw == nil {
		raw = []byte("{}")
	}
	return p.check(ctx, c, raw, &input, p.arguments)
}

// After checks the structured content of a result that is no error, where the tool
// has an output schema. What is no result yet, such as a question or a task, is none.
func (p *Policy) After(ctx context.Context, c *policy.Call, a *policy.Answer) error {
	m := &a.Message
	if !p.about(c, p.results) || m.Kind != jsonrpc.Result {
		return nil
	}
	if string(m.IsError.Of(m.Raw)) == "true" {
		return nil
	}
	if kind := m.Text(m.ResultType); kind != "" && kind != "complete" {
		return nil
	}
	raw := m.Structured.Of(m.Raw)
	if raw == nil {
		if _, task := jsonrpc.Lookup(m.Raw, m.Result, "task"); task {
			return nil
		}
		raw = absent
	}
	return p.check(ctx, c, raw, &output, p.results)
}

// absent stands for structured content that is not there.
var absent = []byte("absent")

// side is one of the two things that are checked.
type side struct{ member, what, mismatch string }

var (
	input  = side{"inputSchema", "the arguments", "the arguments do not match the tool's input schema: "}
	output = side{"outputSchema", "the structured content", "the structured content does not match the tool's output schema: "}
)

// check checks raw against a schema of the call's definition.
func (p *Policy) check(ctx context.Context, c *policy.Call, raw []byte, of *side, mode string) error {
	s, first, err := p.cache.schema(c.Definition, of.member)
	switch {
	case err != nil:
		if first {
			p.log.WarnContext(ctx, "a tool's schema cannot be used", "upstream", c.Upstream, "tool", c.Target, "schema", of.member, "error", err.Error())
		}
		if p.unsupported == pass {
			mode = report
		}
		return verdict(c, mode, of, fmt.Sprintf("%s cannot be checked: %s", of.what, err))
	case s == nil:
		return nil
	case &raw[0] == &absent[0]:
		return verdict(c, mode, of, "the structured content that the tool's output schema describes is not there")
	}
	faults, err := s.Validate(raw)
	switch {
	case err != nil && mode == report:
		return verdict(c, mode, of, fmt.Sprintf("%s cannot be checked: %s", of.what, err))
	case err != nil:
		return fmt.Errorf("%s: %w", of.what, err)
	case len(faults) == 0:
		return nil
	}
	return verdict(c, mode, of, of.said(faults))
}

// verdict refuses the call for the reason, or notes it.
func verdict(c *policy.Call, mode string, of *side, reason string) error {
	if mode == report {
		c.Annotate(of.member, reason)
		return nil
	}
	return &policy.Denial{Reason: reason}
}

// said puts faults into a sentence.
func (of *side) said(faults []schema.Fault) string {
	all := make([]string, len(faults))
	for i, f := range faults {
		at := f.Path
		if at == "" {
			at = of.what
		}
		all[i] = at + " " + f.Want
	}
	return of.mismatch + strings.Join(all, "; ")
}
