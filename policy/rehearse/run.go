package rehearse

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"

	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/policy/builtin"
)

// Outcome is what became of a call.
type Outcome struct {
	Effect Effect `json:"effect"`
	// Policy and Rule are who refused, Reason is why.
	Policy string `json:"policy,omitempty"`
	Rule   string `json:"rule,omitempty"`
	Reason string `json:"reason,omitempty"`
	// Err is why a policy could not decide.
	Err string `json:"error,omitempty"`
	// Change and ChangeAnswer are what policies made of the arguments, or params,
	// and of the answer; nil for nothing.
	Change       json.RawMessage `json:"change,omitempty"`
	ChangeAnswer json.RawMessage `json:"change_answer,omitempty"`
	// Decisions are all, in order.
	Decisions []Decision `json:"decisions"`
}

// Decision is one policy's.
type Decision struct {
	Policy string        `json:"policy"`
	Phase  policy.Phase  `json:"phase"`
	Effect policy.Effect `json:"effect"`
	DryRun bool          `json:"dry_run,omitempty"`
	Reason string        `json:"reason,omitempty"`
	Err    string        `json:"error,omitempty"`
}

// outside are the kinds of policy whose decisions need more than a configuration:
// a lock file, a program.
var outside = []string{"pin", "plugin"}

// Inside returns the policies that can be tried, and the names of the others.
func Inside(all []builtin.Config) (inside []builtin.Config, others []string) {
	for _, c := range all {
		if slices.Contains(outside, c.Kind()) {
			others = append(others, c.Called())
		} else {
			inside = append(inside, c)
		}
	}
	return inside, others
}

// Run makes the policies, which must be valid, and puts a valid case through them.
// The error is of a case that cannot be a call.
func Run(ctx context.Context, all []builtin.Config, known map[string]Upstream, c *Case) (*Outcome, error) {
	env := policy.Env{Log: slog.New(slog.DiscardHandler), Again: func() {}}
	made, err := builtin.Make(all, env, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = made.CloseAllBut(nil) }()
	for i := range c.After {
		got, err := try(ctx, made.Steps, known, &c.After[i])
		if err == nil && got.Effect != Allow {
			err = fmt.Errorf("it does not pass: %s", got.Reason)
		}
		if err != nil {
			return nil, fmt.Errorf("call %d of after: %w", i+1, err)
		}
	}
	return try(ctx, made.Steps, known, &c.Call)
}

// try puts one call through the policies.
func try(ctx context.Context, steps []policy.Step, known map[string]Upstream, c *Call) (*Outcome, error) {
	call, err := c.call(known)
	if err != nil {
		return nil, err
	}
	answer, err := c.answer()
	if err != nil {
		return nil, err
	}
	out := &Outcome{Effect: Allow, Decisions: []Decision{}}
	chain := policy.NewChain(func(_ context.Context, _ *policy.Call, d policy.Decision) {
		told := Decision{Policy: d.Policy, Phase: d.Phase, Effect: d.Effect, DryRun: d.DryRun, Reason: d.Reason}
		if d.Err != nil {
			told.Err, _, _ = strings.Cut(d.Err.Error(), "\n") // a panic has its stack below
		}
		out.Decisions = append(out.Decisions, told)
	}, steps...)
	if out.hidden(chain, call.Definition) {
		return out, nil
	}
	if c.ofServer() {
		m, err := c.message(call)
		if err != nil {
			return nil, err
		}
		out.refused(chain.Received(ctx, m), nil)
		if m.Changed() {
			out.Change = m.Params()
		}
		return out, nil
	}
	defer chain.Done(call)
	if !chain.Enter() {
		return nil, errors.New("the policies let nobody in")
	}
	err = chain.Before(ctx, call)
	if err == nil {
		err = chain.After(ctx, call, answer)
	}
	out.refused(err, call)
	if call.Changed() {
		out.Change = call.Arguments()
	}
	if answer.Changed() {
		out.ChangeAnswer = answer.Result()
	}
	return out, nil
}

// hidden reports whether a policy hides what is called, so that it is unknown to
// clients.
func (o *Outcome) hidden(chain *policy.Chain, d *policy.Definition) bool {
	if d == nil {
		return false
	}
	for _, v := range chain.Vet([]*policy.Definition{d}) {
		if v.Effect == policy.Hide && !v.DryRun {
			o.Effect, o.Policy, o.Reason = Deny, v.Policy, "hidden: "+v.Reason
			return true
		}
	}
	return false
}

// refused notes a refusal. call is nil for a server's message.
func (o *Outcome) refused(err error, call *policy.Call) {
	denial, ok := errors.AsType[*policy.Denial](err)
	if !ok {
		return
	}
	o.Effect, o.Policy, o.Reason = Deny, denial.Policy, denial.Reason
	if denial.Err != nil {
		o.Effect = Failed
		o.Err, _, _ = strings.Cut(denial.Err.Error(), "\n")
	}
	if call == nil {
		return
	}
	for _, n := range call.Notes() {
		if n.Policy == o.Policy && n.Name == "rule" {
			o.Rule = n.Value
		}
	}
}

// Differences says in what the outcome is not what the case expects, "" for
// nothing.
func (c *Case) Differences(o *Outcome) []string {
	var all []string
	differ := func(what string, want, got any) {
		all = append(all, fmt.Sprintf("want %s%v, got %v", what, want, got))
	}
	if o.Effect != c.Expect {
		differ("", c.Expect, o.Effect)
		return all
	}
	if c.Policy != "" && c.Policy != o.Policy {
		differ("policy ", c.Policy, o.Policy)
	}
	if c.Rule != "" && c.Rule != o.Rule {
		got := o.Rule
		if got == "" {
			got = "none"
		}
		differ("rule ", c.Rule, got)
	}
	if !strings.Contains(o.Reason, c.Reason) {
		differ("a reason with ", fmt.Sprintf("%q", c.Reason), fmt.Sprintf("%q", o.Reason))
	}
	for _, side := range []struct {
		what string
		want map[string]any
		from map[string]any
		got  json.RawMessage
	}{{"arguments ", c.Change, c.Args, o.Change}, {"answer ", c.ChangeAnswer, c.Answer, o.ChangeAnswer}} {
		if side.want == nil {
			continue
		}
		want, _ := json.Marshal(side.want) // it came from a file
		got := []byte(side.got)
		if got == nil {
			got, _ = json.Marshal(side.from)
		}
		if !same(want, got) {
			differ(side.what, string(want), string(got))
		}
	}
	return all
}

// same reports whether two JSON texts say the same.
func same(a, b []byte) bool {
	read := func(raw []byte) (v any, err error) {
		d := json.NewDecoder(bytes.NewReader(raw))
		d.UseNumber() // 2^53+1 is not 2^53
		err = d.Decode(&v)
		return v, err
	}
	x, xerr := read(a)
	y, yerr := read(b)
	return xerr == nil && yerr == nil && reflect.DeepEqual(x, y)
}
