package telemetry

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// policyBuckets are in seconds: most policies take microseconds, one in another
// process less than a millisecond.
var policyBuckets = []float64{0.000_001, 0.000_005, 0.000_02, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.1, 1, 10}

// PolicyDecision is what one policy said of one thing.
type PolicyDecision struct {
	// Policy is its name in the configuration; Phase and Effect are words of the
	// package policy.
	Policy, Phase, Effect, Reason string
	// Passed is false if what it was asked about ended there.
	DryRun, Passed bool
	Began          time.Time
	Took           time.Duration
}

// allowed is the effect that has no span.
const allowed = "allow"

// PolicyDecided counts a decision. One that did something also becomes a span, a
// child of what is in ctx.
func (t *Telemetry) PolicyDecided(ctx context.Context, d PolicyDecision) {
	if t == nil {
		return
	}
	if m := t.metrics.Load(); m != nil {
		m.policies.count(&d)
	}
	if d.Effect == allowed {
		return
	}
	parent := FromContext(ctx)
	if !parent.Recording() {
		return
	}
	span := t.Internal(SpanStart{Name: SpanPolicy + " " + d.Policy, Parent: parent, Began: d.Began, Attrs: []Attr{
		String(AttrPolicy, d.Policy), String(AttrPolicyPhase, d.Phase), String(AttrPolicyEffect, d.Effect),
		String(AttrPolicyReason, d.Reason), Bool(AttrPolicyDryRun, d.DryRun),
	}})
	var o Outcome
	if d.Effect == "error" {
		o.ErrorType = policyError
	}
	span.EndAt(d.Began.Add(d.Took), o)
}

// policyError is the error.type of a policy that could not decide.
const policyError = "policy_error"

// PluginRestarted counts that the program of a policy was started again.
func (t *Telemetry) PluginRestarted(policy string) {
	if t == nil {
		return
	}
	if m := t.metrics.Load(); m != nil {
		m.plugins.Add(context.Background(), 1, metric.WithAttributes(attribute.String(labelPolicy, bounded(policy))))
	}
}

// policyMetrics are what is counted of policies, at each decision.
type policyMetrics struct {
	decisions *counter[decided]
	durations *histogram[consulted]
}

func newPolicyMetrics() policyMetrics {
	return policyMetrics{decisions: newCounter[decided](policyDecisions), durations: newHistogram[consulted](policyDuration, policyBuckets)}
}

// count counts one. The keys are few: names of the configuration, and words of
// ours.
func (m *policyMetrics) count(d *PolicyDecision) {
	m.decisions.of(decided{d.Policy, d.Effect, d.Phase}).n.Add(1)
	m.durations.of(consulted{d.Policy, d.Phase}).record(d.Took.Seconds(), nil)
}

// consulted is what the durations of policies are told apart by, decided what
// their decisions are.
type (
	consulted struct{ policy, phase string }
	decided   struct{ policy, effect, phase string }
)

func (k consulted) attributes() attribute.Set {
	return attribute.NewSet(attribute.String(labelPolicy, bounded(k.policy)), attribute.String(labelPhase, k.phase))
}

func (k consulted) folded() consulted { k.policy = Other; return k }

func (k decided) attributes() attribute.Set {
	return attribute.NewSet(attribute.String(labelPolicy, bounded(k.policy)), attribute.String(labelEffect, k.effect), attribute.String(labelPhase, k.phase))
}

func (k decided) folded() decided { k.policy = Other; return k }
