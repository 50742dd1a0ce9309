package telemetrytest

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	common "go.opentelemetry.io/proto/otlp/common/v1"
	traces "go.opentelemetry.io/proto/otlp/trace/v1"
)

// Span is a span as it came. Ids are in lower case hex; Parent is "" for a root.
type Span struct {
	Name              string
	Kind              string // SERVER, CLIENT or INTERNAL
	Trace, ID, Parent string
	TraceState        string
	Flags             uint32 // of W3C, and what OTLP adds to them
	Began, Ended      time.Time
	Attrs             Attrs
	Events            []Event
	Links             []Link
	Failed            bool // its status is an error
	Message           string
	// Dropped is how many attributes, events and links were left out.
	DroppedAttrs, DroppedEvents, DroppedLinks uint32
	Resource                                  Attrs
	Scope                                     string
}

// Event is an event of a span.
type Event struct {
	Name  string
	At    time.Time
	Attrs Attrs
}

// Link is a link of a span to another.
type Link struct {
	Trace, ID string
	Attrs     Attrs
}

// Attrs are attributes: string, int64, bool, float64 or []any by name.
type Attrs map[string]any

// Text is the attribute of that name as text, "" if there is none.
func (a Attrs) Text(name string) string {
	if v, ok := a[name]; ok {
		return fmt.Sprint(v)
	}
	return ""
}

// Attr is the span's attribute of that name as text, "" if there is none.
func (s *Span) Attr(name string) string { return s.Attrs.Text(name) }

// Linked returns the links whose attribute interlock.link is kind.
func (s *Span) Linked(kind string) []Link {
	var out []Link
	for _, l := range s.Links {
		if l.Attrs.Text("interlock.link") == kind {
			out = append(out, l)
		}
	}
	return out
}

// Event returns the events of that name.
func (s *Span) Event(name string) []Event {
	var out []Event
	for _, e := range s.Events {
		if e.Name == name {
			out = append(out, e)
		}
	}
	return out
}

func spansOf(all []*traces.ResourceSpans) []*Span {
	var out []*Span
	for _, rs := range all {
		resource := attrsOf(rs.GetResource().GetAttributes())
		for _, ss := range rs.ScopeSpans {
			for _, x := range ss.Spans {
				s := spanOf(x)
				s.Resource, s.Scope = resource, ss.GetScope().GetName()
				out = append(out, s)
			}
		}
	}
	return out
}

func spanOf(x *traces.Span) *Span {
	s := &Span{
		Name: x.Name, Kind: strings.TrimPrefix(x.Kind.String(), "SPAN_KIND_"),
		Trace: hex.EncodeToString(x.TraceId), ID: hex.EncodeToString(x.SpanId), Parent: hex.EncodeToString(x.ParentSpanId),
		TraceState: x.TraceState, Flags: x.Flags, Attrs: attrsOf(x.Attributes),
		Began: at(x.StartTimeUnixNano), Ended: at(x.EndTimeUnixNano),
		Failed: x.GetStatus().GetCode() == traces.Status_STATUS_CODE_ERROR, Message: x.GetStatus().GetMessage(),
		DroppedAttrs: x.DroppedAttributesCount, DroppedEvents: x.DroppedEventsCount, DroppedLinks: x.DroppedLinksCount,
	}
	for _, e := range x.Events {
		s.Events = append(s.Events, Event{e.Name, at(e.TimeUnixNano), attrsOf(e.Attributes)})
	}
	for _, l := range x.Links {
		s.Links = append(s.Links, Link{hex.EncodeToString(l.TraceId), hex.EncodeToString(l.SpanId), attrsOf(l.Attributes)})
	}
	return s
}

func at(ns uint64) time.Time { return time.Unix(0, int64(ns)) } //nolint:gosec // times of our own

func attrsOf(all []*common.KeyValue) Attrs {
	out := make(Attrs, len(all))
	for _, kv := range all {
		out[kv.Key] = valueOf(kv.Value)
	}
	return out
}

func valueOf(v *common.AnyValue) any {
	switch v := v.GetValue().(type) {
	case *common.AnyValue_StringValue:
		return v.StringValue
	case *common.AnyValue_IntValue:
		return v.IntValue
	case *common.AnyValue_BoolValue:
		return v.BoolValue
	case *common.AnyValue_DoubleValue:
		return v.DoubleValue
	case *common.AnyValue_ArrayValue:
		out := make([]any, 0, len(v.ArrayValue.Values))
		for _, x := range v.ArrayValue.Values {
			out = append(out, valueOf(x))
		}
		return out
	}
	return nil
}
