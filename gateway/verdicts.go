package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/gateway/alert"
	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/telemetry"
	"github.com/interlock-mcp/interlock/upstream"
)

// The kinds of problem that policies make.
const (
	withheldProblem = "withheld" // neither listed nor callable
	alteredProblem  = "altered"  // listed otherwise than the upstream does
	notedProblem    = "noted"    // listed as it is, also in a dry run
)

// nouns are what a person calls definitions.
var nouns = map[policy.Kind]string{
	policy.Tool: "tool", policy.Prompt: "prompt", policy.Resource: "resource", policy.Template: "resource template",
	policy.Instructions: "instructions",
}

// problemOf is a verdict as an operator is shown it.
func problemOf(v *policy.Verdict) admin.Problem {
	d := v.Definition
	p := admin.Problem{Kind: notedProblem, Upstream: d.Upstream, Name: escaped(d.Name), Exposed: escaped(d.Exposed)}
	what := nouns[d.Kind] + " " + clipName(d.Name)
	if d.Kind == policy.Instructions {
		what = "the instructions"
	}
	did := "is noted"
	switch {
	case v.Effect == policy.Hide && v.DryRun:
		did = "would be hidden"
	case v.Effect == policy.Change && v.DryRun:
		did = "would be changed"
	case v.Effect == policy.Hide:
		p.Kind, did = withheldProblem, "is hidden"
	case v.Effect == policy.Change:
		p.Kind, did = alteredProblem, "is changed"
	}
	p.Text = fmt.Sprintf("%s of upstream %q %s by policy %q: %s", what, d.Upstream, did, v.Policy, v.Reason)
	return p
}

// escaped is a name of an upstream's choice, fit to be shown.
func escaped(name string) string {
	q := clipName(name)
	if s, err := strconv.Unquote(q); err == nil && s == name && q == strconv.Quote(name) {
		return q[1 : len(q)-1]
	}
	return q
}

// said identifies what was told already.
type said struct {
	definitionKey
	policy, reason string
	effect         policy.Effect
	dryRun         bool
}

// tellVerdicts tells of the verdicts that are news: what was told is not told again
// for as long as it holds. Only the publisher calls it.
func (g *Gateway) tellVerdicts(p *publisher, v *view) {
	told := make(map[said]bool, len(v.verdicts))
	var groups []group
	for i := range v.verdicts {
		x := &v.verdicts[i]
		key := said{keyOf(x.Definition), x.Policy, x.Reason, x.Effect, x.DryRun}
		if told[key] {
			continue
		}
		told[key] = true
		if !p.told[key] {
			g.tellVerdict(x)
			groups = grouped(groups, x)
		}
	}
	p.told = told
	for _, n := range groups {
		g.alertVerdicts(n)
	}
}

// tellVerdict tells of one, but for the alert.
func (g *Gateway) tellVerdict(v *policy.Verdict) {
	d, p := v.Definition, problemOf(v)
	level := slog.LevelWarn
	if p.Kind == notedProblem {
		level = slog.LevelInfo
	}
	g.log.Log(context.Background(), level, "policy on what an upstream offers", telemetry.EventName, telemetry.LogDefinition, "policy", v.Policy, "upstream", d.Upstream, "kind", string(d.Kind),
		"name", p.Name, "effect", string(v.Effect), "dry_run", v.DryRun, "reason", v.Reason)
	g.happened(admin.Event{Kind: "definition", Upstream: d.Upstream, Text: p.Text})
	if g.tel.Auditing() {
		g.tel.Audit(telemetry.AuditLine{
			Kind: "definition", Upstream: d.Upstream, Target: d.Name, Exposed: d.Exposed, Definition: d.Hash(),
			Method: string(d.Kind), Effect: string(v.Effect), Policy: v.Policy, Reason: v.Reason, DryRun: v.DryRun,
		})
	}
}

// group is what one policy newly says of one upstream.
type group struct {
	policy, upstream, text string
	count                  int
	tools                  []string
}

// grouped adds a verdict to its group, unless it has no effect.
func grouped(all []group, v *policy.Verdict) []group {
	if v.DryRun {
		return all
	}
	at := -1
	for i := range all {
		if all[i].policy == v.Policy && all[i].upstream == v.Definition.Upstream {
			at = i
		}
	}
	if at < 0 {
		at = len(all)
		all = append(all, group{policy: v.Policy, upstream: v.Definition.Upstream, text: problemOf(v).Text})
	}
	all[at].count++
	if v.Definition.Kind == policy.Tool {
		all[at].tools = append(all[at].tools, v.Definition.Name)
	}
	return all
}

// alertVerdicts raises one alert for a group: a server whose tools are not what was
// agreed to is one that somebody must look at.
func (g *Gateway) alertVerdicts(n group) {
	text := n.text
	if n.count > 1 {
		text += fmt.Sprintf(" (and %d more)", n.count-1)
	}
	state := upstream.Unknown
	if u := g.set.Upstream(n.upstream); u != nil {
		state = u.Status().State
	}
	g.raise(alert.Alert{
		Event: alert.ToolChanged, Upstream: n.upstream, State: string(state), At: time.Now(),
		Reason: "policy " + n.policy, Text: text, Tools: alert.NewTools(nil, nil, n.tools),
	})
}
