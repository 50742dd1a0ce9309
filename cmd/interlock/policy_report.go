package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/policy/rehearse"
)

// tried is the outcome of policy test.
type tried struct {
	Passed int         `json:"passed"`
	Failed int         `json:"failed"`
	Cases  []triedCase `json:"cases"`
	// LeftOut are the policies that were not asked.
	LeftOut []string `json:"left_out,omitempty"`
}

// triedCase is one case and what became of it.
type triedCase struct {
	Name string `json:"name"`
	File string `json:"file"`
	Line int    `json:"line"`
	OK   bool   `json:"ok"`
	// Differences are what is not as it should be.
	Differences []string          `json:"differences,omitempty"`
	Want        rehearse.Effect   `json:"want"`
	Got         *rehearse.Outcome `json:"got"`
}

// run puts the cases of a file through its policies.
func (t *tried) run(ctx context.Context, f *caseFile) error {
	t.LeftOut = append(t.LeftOut, f.left...)
	for i := range f.cases {
		if err := ctx.Err(); err != nil {
			return err
		}
		c := &f.cases[i]
		got, err := rehearse.Run(ctx, f.policies, f.known, c)
		if err != nil {
			return fmt.Errorf("%s:%d: case %q: %w", f.name, f.lines[i], c.Name, err)
		}
		one := triedCase{Name: c.Name, File: f.name, Line: f.lines[i], Want: c.Expect, Got: got, Differences: c.Differences(got)}
		one.OK = len(one.Differences) == 0
		if one.OK {
			t.Passed++
		} else {
			t.Failed++
		}
		t.Cases = append(t.Cases, one)
	}
	return nil
}

// tried writes a line for each case, and more of those that failed.
func (s *screen) tried(t *tried) {
	rows := make([][]cell, len(t.Cases))
	for i, c := range t.Cases {
		mark := cell{"ok", s.green}
		if !c.OK {
			mark = cell{"FAIL", s.red}
		}
		rows[i] = []cell{mark, plain(c.Name), plain(string(c.Got.Effect)), plain(by(c.Got)), plain(told(c.Got))}
	}
	s.table([]column{{head: ""}, {head: "CASE", least: 20}, {head: "BECAME"}, {head: "BY", least: 8}, {head: "REASON", least: 20, drop: 1}}, rows)
	for _, c := range t.Cases {
		if !c.OK {
			s.differing(&c)
		}
	}
	text := fmt.Sprintf("\n%s: %d passed, %d failed", count(len(t.Cases), "case"), t.Passed, t.Failed)
	if len(t.LeftOut) > 0 {
		text += "; not asked: " + strings.Join(t.LeftOut, ", ")
	}
	s.printf("%s\n", text)
}

// told is the reason, or what kept a policy from deciding.
func told(o *rehearse.Outcome) string {
	if o.Err != "" {
		return o.Err
	}
	return o.Reason
}

// by is who refused.
func by(o *rehearse.Outcome) string {
	switch {
	case o.Policy == "":
		return ""
	case o.Rule != "":
		return o.Policy + " rule " + o.Rule
	}
	return o.Policy
}

// differing writes what is not as it should be, and who decided what.
func (s *screen) differing(c *triedCase) {
	s.printf("\n%s %s:%d: %s\n", s.red("FAIL"), c.File, c.Line, printable(c.Name))
	for _, d := range c.Differences {
		s.printf("  %s\n", printable(d))
	}
	for _, d := range c.Got.Decisions {
		if d.Phase == policy.PhaseVet && d.Effect == policy.Allow {
			continue
		}
		text := fmt.Sprintf("%s, %s: %s", d.Policy, d.Phase, d.Effect)
		if d.DryRun {
			text += " (dry run)"
		}
		if c.Got.Policy == d.Policy && c.Got.Rule != "" && d.Effect == policy.Deny {
			text += " by rule " + c.Got.Rule
		}
		if d.Reason != "" {
			text += ": " + d.Reason
		}
		if d.Err != "" {
			text += ": " + d.Err
		}
		s.printf("    %s\n", s.faint(printable(text)))
	}
}
