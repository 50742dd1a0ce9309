package telemetry

import (
	"context"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
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
	if t.tracer == nil || d.Effect == allowed {
		return
	}
	_, span := t.tracer.Start(ctx, "policy "+d.Policy, trace.WithTimestamp(d.Began), trace.WithAttributes(
		attribute.String("interlock.policy.name", d.Policy),
		attribute.String("interlock.policy.phase", d.Phase),
		attribute.String("interlock.policy.effect", d.Effect),
		attribute.String("interlock.policy.reason", strings.ToValidUTF8(d.Reason, "\ufffd")),
		attribute.Bool("interlock.policy.dry_run", d.DryRun),
	))
	if d.Effect == "error" {
		span.SetStatus(codes.Error, "")
	}
	span.End(trace.WithTimestamp(d.Began.Add(d.Took)))
}

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
