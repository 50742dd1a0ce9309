package telemetry

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
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
		m.policies.restarts.WithLabelValues(policy).Inc()
	}
}

// policyMetrics are what is counted of policies.
type policyMetrics struct {
	decisions *prometheus.CounterVec
	durations *prometheus.HistogramVec
	restarts  *prometheus.CounterVec
}

func newPolicyMetrics(r *prometheus.Registry) policyMetrics {
	m := policyMetrics{
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "interlock_policy_decisions_total", Help: "Decisions of policies, by what came of them.",
		}, []string{"policy", "effect", "phase"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "interlock_policy_duration_seconds", Help: "How long policies took to decide.", Buckets: policyBuckets,
		}, []string{"policy", "phase"}),
		restarts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "interlock_plugin_restarts_total", Help: "How often the programs of policies were started again.",
		}, []string{"policy"}),
	}
	r.MustRegister(m.decisions, m.durations, m.restarts)
	return m
}

// count counts one. The labels are few: names of the configuration, and words of
// ours.
func (m *policyMetrics) count(d *PolicyDecision) {
	m.decisions.WithLabelValues(d.Policy, d.Effect, d.Phase).Inc()
	m.durations.WithLabelValues(d.Policy, d.Phase).Observe(d.Took.Seconds())
}
