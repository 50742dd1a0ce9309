package telemetry

import (
	"context"
	"slices"
	"strings"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/trace"
)

// logProcessor completes records on their way into the queue: whose span they belong
// to, which event they are. Servers choose some of the texts, and one that is not UTF-8
// would cost its whole batch.
type logProcessor struct{ sdklog.Processor }

// OnEmit implements sdklog.Processor.
func (p logProcessor) OnEmit(ctx context.Context, r *sdklog.Record) error {
	named, broken := false, false
	r.WalkAttributes(func(kv attribute.KeyValue) bool {
		named = named || kv.Key == EventName
		broken = broken || !validKeyValue(kv)
		return true
	})
	if named || broken {
		all := make([]attribute.KeyValue, 0, r.AttributesLen())
		r.WalkAttributes(func(kv attribute.KeyValue) bool {
			if kv.Key == EventName && kv.Value.Type() == attribute.STRING {
				r.SetEventName(kv.Value.AsString())
			} else {
				all = append(all, validated(kv))
			}
			return true
		})
		r.SetAttributes(all...)
	}
	if s := FromContext(ctx); s != nil {
		r.SetTraceID(trace.TraceID(s.ref.trace))
		r.SetSpanID(trace.SpanID(s.ref.span))
		r.SetTraceFlags(trace.TraceFlags(s.ref.flags & flagSampled))
	}
	if body := r.Body(); !validValue(body) {
		r.SetBody(valid(body))
	}
	return p.Processor.OnEmit(ctx, r)
}

func validKeyValue(kv attribute.KeyValue) bool {
	return utf8.ValidString(string(kv.Key)) && validValue(kv.Value)
}

// validValue reports whether all texts in v are UTF-8.
func validValue(v attribute.Value) bool {
	switch v.Type() {
	case attribute.STRING:
		return utf8.ValidString(v.AsString())
	case attribute.STRINGSLICE:
		return !slices.ContainsFunc(v.AsStringSlice(), func(s string) bool { return !utf8.ValidString(s) })
	case attribute.SLICE:
		return !slices.ContainsFunc(v.AsSlice(), func(v attribute.Value) bool { return !validValue(v) })
	case attribute.MAP:
		return !slices.ContainsFunc(v.AsMap(), func(kv attribute.KeyValue) bool { return !validKeyValue(kv) })
	}
	return true
}

func validated(kv attribute.KeyValue) attribute.KeyValue {
	return attribute.KeyValue{Key: attribute.Key(strings.ToValidUTF8(string(kv.Key), "\ufffd")), Value: valid(kv.Value)}
}

// valid returns v with U+FFFD for what is no UTF-8.
func valid(v attribute.Value) attribute.Value {
	if validValue(v) {
		return v
	}
	switch v.Type() {
	case attribute.STRING:
		return attribute.StringValue(strings.ToValidUTF8(v.AsString(), "\ufffd"))
	case attribute.STRINGSLICE:
		all := v.AsStringSlice()
		for i := range all {
			all[i] = strings.ToValidUTF8(all[i], "\ufffd")
		}
		return attribute.StringSliceValue(all)
	case attribute.SLICE:
		all := v.AsSlice()
		for i := range all {
			all[i] = valid(all[i])
		}
		return attribute.SliceValue(all...)
	case attribute.MAP:
		all := v.AsMap()
		for i := range all {
			all[i] = validated(all[i])
		}
		return attribute.MapValue(all...)
	}
	return v
}
