package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Outcomes of sign-ins to upstreams, and of renewals of their tokens.
const (
	SignInDone    = "done"
	SignInRefused = "refused"
	SignInFailed  = "failed"

	RenewalDone   = "done"
	RenewalFailed = "failed"
	RenewalOver   = "over"
)

// SignIn counts what became of a sign-in to an upstream; TokenRenewal counts a renewal
// of a token. outcome is one of those above.
func (t *Telemetry) SignIn(upstream, outcome string) {
	if t == nil {
		return
	}
	if m := t.metrics.Load(); m != nil {
		m.signIns.Add(context.Background(), 1, ofUpstream(upstream, outcome))
	}
}

// TokenRenewal is told of beside SignIn.
func (t *Telemetry) TokenRenewal(upstream, outcome string) {
	if t == nil {
		return
	}
	if m := t.metrics.Load(); m != nil {
		m.renewals.Add(context.Background(), 1, ofUpstream(upstream, outcome))
	}
}

func ofUpstream(upstream, outcome string) metric.MeasurementOption {
	return metric.WithAttributes(attribute.String(AttrUpstream, upstream), attribute.String(labelOutcome, outcome))
}
