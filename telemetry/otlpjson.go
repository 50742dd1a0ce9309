package telemetry

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"math"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
)

// The shapes of OTLP's JSON encoding: ids in hex, integers of 64 bits as strings,
// enumerations as numbers, and nothing that is empty. protojson is no help here: it
// writes ids in base64 and enumerations as words.
// https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding

// jsonTraces is the message TracesData.
type jsonTraces struct {
	ResourceSpans []jsonResourceSpans `json:"resourceSpans"`
}

type jsonResourceSpans struct {
	Resource   jsonResource     `json:"resource"`
	ScopeSpans []jsonScopeSpans `json:"scopeSpans"`
}

type jsonResource struct {
	Attributes []jsonKeyValue `json:"attributes,omitempty"`
}

type jsonScopeSpans struct {
	Scope jsonScope  `json:"scope"`
	Spans []jsonSpan `json:"spans"`
}

type jsonScope struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
}

type jsonSpan struct {
	TraceID           string         `json:"traceId"`
	SpanID            string         `json:"spanId"`
	TraceState        string         `json:"traceState,omitempty"`
	ParentSpanID      string         `json:"parentSpanId,omitempty"`
	Flags             uint32         `json:"flags,omitempty"`
	Name              string         `json:"name"`
	Kind              int32          `json:"kind"`
	Start             uint64         `json:"startTimeUnixNano,string"`
	End               uint64         `json:"endTimeUnixNano,string"`
	Attributes        []jsonKeyValue `json:"attributes,omitempty"`
	DroppedAttributes uint32         `json:"droppedAttributesCount,omitempty"`
	Events            []jsonEvent    `json:"events,omitempty"`
	DroppedEvents     uint32         `json:"droppedEventsCount,omitempty"`
	Links             []jsonLink     `json:"links,omitempty"`
	DroppedLinks      uint32         `json:"droppedLinksCount,omitempty"`
	Status            jsonStatus     `json:"status"`
}

type jsonEvent struct {
	Time              uint64         `json:"timeUnixNano,string"`
	Name              string         `json:"name"`
	Attributes        []jsonKeyValue `json:"attributes,omitempty"`
	DroppedAttributes uint32         `json:"droppedAttributesCount,omitempty"`
}

type jsonLink struct {
	TraceID           string         `json:"traceId"`
	SpanID            string         `json:"spanId"`
	TraceState        string         `json:"traceState,omitempty"`
	Flags             uint32         `json:"flags,omitempty"`
	Attributes        []jsonKeyValue `json:"attributes,omitempty"`
	DroppedAttributes uint32         `json:"droppedAttributesCount,omitempty"`
}

type jsonStatus struct {
	Message string `json:"message,omitempty"`
	Code    int32  `json:"code,omitempty"`
}

type jsonKeyValue struct {
	Key   string    `json:"key"`
	Value jsonValue `json:"value"`
}

// jsonValue is the message AnyValue: an object with one member, or {} for none.
type jsonValue map[string]any

// tracesJSON writes each group as one element of resourceSpans.
func tracesJSON(who jsonResource, version string, groups [][]jsonSpan) json.RawMessage {
	out := jsonTraces{ResourceSpans: make([]jsonResourceSpans, len(groups))}
	for i, spans := range groups {
		out.ResourceSpans[i] = jsonResourceSpans{who, []jsonScopeSpans{{jsonScope{scope, version}, spans}}}
	}
	raw, err := json.Marshal(out)
	if err != nil { // there is nothing in it that could fail
		return json.RawMessage(`{"resourceSpans":[]}`)
	}
	return raw
}

// jsonResourceOf is the resource as spans are exported with it.
func jsonResourceOf(r *resource.Resource) jsonResource {
	var out jsonResource
	for _, kv := range r.Attributes() {
		out.Attributes = append(out.Attributes, jsonKeyValue{string(kv.Key), jsonResourceValue(kv.Value)})
	}
	return out
}

// jsonResourceValue is the value of a resource's attribute, which is a string unless
// the SDK's own detectors say otherwise.
func jsonResourceValue(v attribute.Value) jsonValue {
	switch v.Type() {
	case attribute.BOOL:
		return jsonValue{"boolValue": v.AsBool()}
	case attribute.INT64:
		return jsonValue{"intValue": strconv.FormatInt(v.AsInt64(), 10)}
	case attribute.FLOAT64:
		return jsonValue{"doubleValue": jsonDouble(v.AsFloat64())}
	}
	return jsonValue{"stringValue": v.String()}
}

func jsonSpanOf(s *tracepb.Span) jsonSpan {
	out := jsonSpan{
		TraceID: hex.EncodeToString(s.TraceId), SpanID: hex.EncodeToString(s.SpanId),
		TraceState: s.TraceState, ParentSpanID: hex.EncodeToString(s.ParentSpanId), Flags: s.Flags,
		Name: s.Name, Kind: int32(s.Kind), Start: s.StartTimeUnixNano, End: s.EndTimeUnixNano,
		Attributes: jsonAttributes(s.Attributes), DroppedAttributes: s.DroppedAttributesCount,
		DroppedEvents: s.DroppedEventsCount, DroppedLinks: s.DroppedLinksCount,
		Status: jsonStatus{s.GetStatus().GetMessage(), int32(s.GetStatus().GetCode())},
	}
	for _, e := range s.Events {
		out.Events = append(out.Events, jsonEvent{e.TimeUnixNano, e.Name, jsonAttributes(e.Attributes), e.DroppedAttributesCount})
	}
	for _, l := range s.Links {
		out.Links = append(out.Links, jsonLink{
			hex.EncodeToString(l.TraceId), hex.EncodeToString(l.SpanId), l.TraceState, l.Flags,
			jsonAttributes(l.Attributes), l.DroppedAttributesCount,
		})
	}
	return out
}

func jsonAttributes(all []*commonpb.KeyValue) []jsonKeyValue {
	var out []jsonKeyValue
	for _, kv := range all {
		out = append(out, jsonKeyValue{kv.Key, jsonValueOf(kv.Value)})
	}
	return out
}

func jsonValueOf(v *commonpb.AnyValue) jsonValue {
	switch v := v.GetValue().(type) {
	case *commonpb.AnyValue_StringValue:
		return jsonValue{"stringValue": v.StringValue}
	case *commonpb.AnyValue_BoolValue:
		return jsonValue{"boolValue": v.BoolValue}
	case *commonpb.AnyValue_IntValue:
		return jsonValue{"intValue": strconv.FormatInt(v.IntValue, 10)}
	case *commonpb.AnyValue_DoubleValue:
		return jsonValue{"doubleValue": jsonDouble(v.DoubleValue)}
	case *commonpb.AnyValue_BytesValue: // the one kind of bytes that is not in hex
		return jsonValue{"bytesValue": base64.StdEncoding.EncodeToString(v.BytesValue)}
	case *commonpb.AnyValue_ArrayValue:
		values := []jsonValue{}
		for _, x := range v.ArrayValue.GetValues() {
			values = append(values, jsonValueOf(x))
		}
		return jsonValue{"arrayValue": map[string]any{"values": values}}
	case *commonpb.AnyValue_KvlistValue:
		values := jsonAttributes(v.KvlistValue.GetValues())
		if values == nil {
			values = []jsonKeyValue{}
		}
		return jsonValue{"kvlistValue": map[string]any{"values": values}}
	}
	return jsonValue{}
}

// jsonDouble is a number, or the word for what JSON has no number for.
func jsonDouble(f float64) any {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	return json.Number(strconv.FormatFloat(f, 'g', -1, 64))
}
