package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

type baggageKey struct{}

// extract puts the parent and the baggage of op into ctx. link is the header's
// context when _meta has one of its own.
func extract(ctx context.Context, op *Operation) (_ context.Context, link trace.SpanContext) {
	parent := parse(op.TraceParent, op.TraceState)
	header := parse(op.HeaderTraceParent, op.HeaderTraceState)
	bag := op.Baggage
	switch {
	case !parent.IsValid():
		parent = header
	case header.IsValid() && !(header.TraceID() == parent.TraceID() && header.SpanID() == parent.SpanID()):
		link = header
	}
	if bag == "" {
		bag = op.HeaderBaggage
	}
	if parent.IsValid() {
		ctx = trace.ContextWithRemoteSpanContext(ctx, parent)
	}
	if bag != "" {
		// What does not parse is dropped: it would go into upstream headers.
		if _, err := baggage.Parse(bag); err == nil {
			ctx = context.WithValue(ctx, baggageKey{}, bag)
		}
	}
	return ctx, link
}

// parse reads a W3C traceparent and tracestate. What is malformed gives an
// invalid context, as the specification asks; a bad tracestate alone is
// dropped.
func parse(traceparent, tracestate string) trace.SpanContext {
	if traceparent == "" {
		return trace.SpanContext{}
	}
	carrier := propagation.MapCarrier{"traceparent": traceparent, "tracestate": tracestate}
	return trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), carrier))
}

func traceParent(sc trace.SpanContext) string {
	return "00-" + sc.TraceID().String() + "-" + sc.SpanID().String() + "-" + sc.TraceFlags().String()
}

// TraceID is that of the span in ctx, "" when traces are not exported.
func (t *Telemetry) TraceID(ctx context.Context) string {
	if !t.Enabled() {
		return ""
	}
	if sc := trace.SpanContextFromContext(ctx); sc.IsValid() {
		return sc.TraceID().String()
	}
	return ""
}

// Inject returns what to send to an upstream: the span in ctx as traceparent
// and tracestate, and the client's baggage as it came. All are "" when traces
// are not exported, and then the client's own context is to pass untouched.
func (t *Telemetry) Inject(ctx context.Context) (traceparent, tracestate, bag string) {
	if !t.Enabled() {
		return "", "", ""
	}
	sc := trace.SpanContextFromContext(ctx)
	if !sc.IsValid() {
		return "", "", ""
	}
	bag, _ = ctx.Value(baggageKey{}).(string)
	return traceParent(sc), sc.TraceState().String(), bag
}
