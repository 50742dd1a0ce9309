package telemetry

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// The encoding that the specification wants, member by member.
func TestOTLPJSON(t *testing.T) {
	text := func(s string) *commonpb.AnyValue {
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: s}}
	}
	kv := func(key string, v *commonpb.AnyValue) *commonpb.KeyValue {
		return &commonpb.KeyValue{Key: key, Value: v}
	}
	s := &tracepb.Span{
		TraceId: []byte("0123456789abcdef"), SpanId: []byte("01234567"), ParentSpanId: []byte("abcdefgh"), TraceState: "a=b", Flags: 0x301,
		Name: "tools/call <x>", Kind: tracepb.Span_SPAN_KIND_SERVER, StartTimeUnixNano: 1<<63 + 1, EndTimeUnixNano: 1<<63 + 2,
		Attributes: []*commonpb.KeyValue{
			kv("text", text("é\u2028")),
			kv("int", &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: math.MaxInt64}}),
			kv("bool", &commonpb.AnyValue{Value: &commonpb.AnyValue_BoolValue{}}),
			kv("double", &commonpb.AnyValue{Value: &commonpb.AnyValue_DoubleValue{DoubleValue: 1.5}}),
			kv("nan", &commonpb.AnyValue{Value: &commonpb.AnyValue_DoubleValue{DoubleValue: math.Inf(-1)}}),
			kv("bytes", &commonpb.AnyValue{Value: &commonpb.AnyValue_BytesValue{BytesValue: []byte{0xff}}}),
			kv("list", &commonpb.AnyValue{Value: &commonpb.AnyValue_ArrayValue{ArrayValue: &commonpb.ArrayValue{Values: []*commonpb.AnyValue{text("a"), nil}}}}),
			kv("map", &commonpb.AnyValue{Value: &commonpb.AnyValue_KvlistValue{KvlistValue: &commonpb.KeyValueList{}}}),
			kv("none", nil),
		},
		DroppedAttributesCount: 3,
		Events:                 []*tracepb.Span_Event{{TimeUnixNano: 7, Name: "e", Attributes: []*commonpb.KeyValue{kv("k", text("v"))}}}, DroppedEventsCount: 4,
		Links: []*tracepb.Span_Link{{TraceId: []byte("fedcba9876543210"), SpanId: []byte("76543210"), Flags: 1}}, DroppedLinksCount: 5,
		Status: &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR, Message: "no"},
	}
	raw := tracesJSON(jsonResource{[]jsonKeyValue{{"service.name", jsonValue{"stringValue": "x"}}}}, "1.2", [][]jsonSpan{{jsonSpanOf(s)}})
	want := `{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"x"}}]},` +
		`"scopeSpans":[{"scope":{"name":"github.com/interlock-mcp/interlock","version":"1.2"},"spans":[{` +
		`"traceId":"30313233343536373839616263646566","spanId":"3031323334353637","traceState":"a=b","parentSpanId":"6162636465666768","flags":769,` +
		`"name":"tools/call \u003cx\u003e","kind":2,"startTimeUnixNano":"9223372036854775809","endTimeUnixNano":"9223372036854775810",` +
		`"attributes":[{"key":"text","value":{"stringValue":"é\u2028"}},{"key":"int","value":{"intValue":"9223372036854775807"}},` +
		`{"key":"bool","value":{"boolValue":false}},{"key":"double","value":{"doubleValue":1.5}},{"key":"nan","value":{"doubleValue":"-Infinity"}},` +
		`{"key":"bytes","value":{"bytesValue":"/w=="}},{"key":"list","value":{"arrayValue":{"values":[{"stringValue":"a"},{}]}}},` +
		`{"key":"map","value":{"kvlistValue":{"values":[]}}},{"key":"none","value":{}}],"droppedAttributesCount":3,` +
		`"events":[{"timeUnixNano":"7","name":"e","attributes":[{"key":"k","value":{"stringValue":"v"}}]}],"droppedEventsCount":4,` +
		`"links":[{"traceId":"66656463626139383736353433323130","spanId":"3736353433323130","flags":1}],"droppedLinksCount":5,` +
		`"status":{"message":"no","code":2}}]}]}]}`
	if diff := cmp.Diff(want, string(raw)); diff != "" {
		t.Error(diff)
	}
	if back := fromOTLPJSON(t, raw); !proto.Equal(back.ResourceSpans[0].ScopeSpans[0].Spans[0], dropNil(s)) {
		t.Error("another reader understands:", back)
	}
	if none := tracesJSON(jsonResource{}, "", nil); string(none) != `{"resourceSpans":[]}` {
		t.Errorf("%s", none)
	}
}

// fromOTLPJSON reads OTLP JSON as the Collector does: protojson, but for the ids.
func fromOTLPJSON(t *testing.T, raw []byte) *tracepb.TracesData {
	t.Helper()
	var tree any
	if err := json.Unmarshal(raw, &tree); err != nil {
		t.Fatal(err)
	}
	inBytes(tree)
	raw, _ = json.Marshal(tree)
	out := new(tracepb.TracesData)
	if err := protojson.Unmarshal(raw, out); err != nil {
		t.Fatal(err)
	}
	return out
}

// inBytes turns ids from hex into what protojson reads, base64.
func inBytes(tree any) {
	switch tree := tree.(type) {
	case []any:
		for _, x := range tree {
			inBytes(x)
		}
	case map[string]any:
		for k, v := range tree {
			if k == "traceId" || k == "spanId" || k == "parentSpanId" {
				tree[k], _ = hex.DecodeString(v.(string))
			} else {
				inBytes(v)
			}
		}
	}
}

// dropNil is s as JSON can say it: with values that are empty instead of nil.
func dropNil(s *tracepb.Span) *tracepb.Span {
	s = proto.CloneOf(s)
	s.Attributes[6].Value.GetArrayValue().Values[1] = &commonpb.AnyValue{}
	s.Attributes[8].Value = &commonpb.AnyValue{}
	return s
}

// keeping starts a Telemetry that keeps traces and exports none.
func keeping(t *testing.T, traces int) *Telemetry {
	t.Helper()
	c := Defaults()
	c.Traces.Keep = traces
	tel, err := Start(t.Context(), c, Resource{Version: "9"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tel.Shutdown(t.Context()) })
	return tel
}

// recordCall records a call of a tool at an upstream, began ago and so long.
func recordCall(tel *Telemetry, tool, upstream string, ago, took time.Duration, o Outcome) string {
	began := time.Now().Add(-ago)
	s := tel.Server(&Operation{Method: "tools/call", TargetKind: Tool, Target: upstream + "__" + tool, Began: began, Force: true})
	c := tel.Client(s, &Operation{Method: "tools/call", TargetKind: Tool, Target: tool, Upstream: upstream, Began: began})
	c.EndAt(began.Add(took), o)
	s.EndAt(began.Add(took), o)
	return s.TraceID()
}

// roots are the names of the first spans without a parent, of each element.
func roots(t *testing.T, raw json.RawMessage) []string {
	t.Helper()
	out := []string{}
	for _, r := range fromOTLPJSON(t, raw).ResourceSpans {
		for _, s := range r.ScopeSpans[0].Spans {
			if len(s.ParentSpanId) == 0 {
				out = append(out, s.Name)
			}
		}
	}
	return out
}

func TestTracesWanted(t *testing.T) {
	tel := keeping(t, 10)
	recordCall(tel, "read", "files", 2*time.Hour, time.Second, Outcome{})
	recordCall(tel, "now", "clock", time.Hour, 10*time.Millisecond, Outcome{})
	recordCall(tel, "read", "files", time.Minute, 2*time.Second, Outcome{ErrorType: "timeout"})
	tel.Internal(SpanStart{Name: "upstream start", Attrs: []Attr{String(AttrUpstream, "files")}}).End(Outcome{})
	const read, now, start = "tools/call files__read", "tools/call clock__now", "upstream start"
	for _, tc := range []struct {
		name string
		w    Wanted
		want []string
	}{
		{"all", Wanted{}, []string{start, read, now, read}},
		{"the last", Wanted{Limit: 2}, []string{start, read}},
		{"requests of clients", Wanted{Calls: true, Limit: 1}, []string{read}},
		{"errors", Wanted{Errors: true}, []string{read}},
		{"upstream", Wanted{Upstream: "files"}, []string{start, read, read}},
		{"tool", Wanted{Tool: "clock__now"}, []string{now}},
		{"the upstream's tool", Wanted{Tool: "read", Limit: 1}, []string{read}},
		{"slower", Wanted{Slower: time.Second}, []string{read, read}},
		{"since", Wanted{Since: time.Now().Add(-90 * time.Minute)}, []string{start, read, now}},
		{"all at once", Wanted{Tool: "read", Upstream: "files", Errors: true, Slower: 3 * time.Second}, []string{}},
	} {
		raw, n, err := tel.Traces(tc.w)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tc.want, roots(t, raw)); diff != "" || n != len(tc.want) {
			t.Errorf("%s: %d, %s", tc.name, n, diff)
		}
	}
}

// A client may make all its calls in one trace: each is told for itself, with what
// is below it, and what belongs to none that has ended is left out.
func TestTracesOfOneClient(t *testing.T) {
	tel := keeping(t, 10)
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	begin := func(name string) *Span {
		return tel.Server(&Operation{Method: "tools/call", TargetKind: Tool, Target: name, Force: true, TraceParent: parent})
	}
	below := func(s *Span, name string) *Span { return tel.Internal(SpanStart{Name: name, Parent: s}) }
	a, b, open := begin("a"), begin("b"), begin("open")
	late := below(below(a, "middle of a"), "late")
	below(a, "of a").End(Outcome{})
	below(open, "of open").End(Outcome{})
	a.End(Outcome{})
	below(b, "of b").End(Outcome{})
	b.End(Outcome{})
	late.End(Outcome{}) // its parent never ends
	raw, _, err := tel.Traces(Wanted{})
	if err != nil {
		t.Fatal(err)
	}
	var got [][]string
	for _, r := range fromOTLPJSON(t, raw).ResourceSpans {
		var names []string
		for _, s := range r.ScopeSpans[0].Spans {
			names = append(names, s.Name)
		}
		got = append(got, names)
	}
	if diff := cmp.Diff([][]string{{"of b", "tools/call b"}, {"of a", "tools/call a"}}, got); diff != "" {
		t.Error(diff)
	}
	whole, err := tel.Trace(t.Context(), "4bf92f35", 0)
	if err != nil {
		t.Fatal(err)
	}
	if spans := fromOTLPJSON(t, whole).ResourceSpans[0].ScopeSpans[0].Spans; len(spans) != 7 || spans[0].Name != "tools/call a" {
		t.Errorf("of the whole: %d spans, the first %s", len(spans), spans[0].Name)
	}
}

func TestTraceByPrefix(t *testing.T) {
	tel := keeping(t, 1000)
	var last string
	for range 17 { // two of them begin alike
		last = recordCall(tel, "x", "u", 0, 0, Outcome{})
	}
	if _, err := tel.Trace(t.Context(), last, 0); err != nil {
		t.Error(err)
	}
	if _, err := tel.Trace(t.Context(), last[:31], 0); err != nil {
		t.Error(err)
	}
	_, err := tel.Trace(t.Context(), "", 0)
	if several := (*AmbiguousTraceError)(nil); !errors.As(err, &several) || len(several.IDs) != 17 || !strings.Contains(err.Error(), last) {
		t.Error(err)
	}
	_, err = tel.Trace(t.Context(), last[:31]+"x", 0)
	if unknown := (*UnknownTraceError)(nil); !errors.As(err, &unknown) || unknown.Kept != 17 || unknown.Oldest.IsZero() {
		t.Error(err)
	}
	if _, err = keeping(t, 5).Trace(t.Context(), "4b", 0); err == nil || !strings.Contains(err.Error(), "none is kept yet") {
		t.Error(err)
	}
	none := keeping(t, 0)
	if _, err := none.Trace(t.Context(), "4b", time.Hour); !errors.Is(err, ErrNotKept) {
		t.Error(err)
	}
	if _, _, err := none.Traces(Wanted{}); !errors.Is(err, ErrNotKept) {
		t.Error(err)
	}
}

// A trace is waited for until its request has ended and it is quiet.
func TestTraceWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := keeping(t, 10)
		s := tel.Server(&Operation{Method: "ping", Force: true})
		detached := tel.Internal(SpanStart{Name: "notification", Parent: s})
		tel.Internal(SpanStart{Name: "policy", Parent: s}).End(Outcome{})
		go func() {
			time.Sleep(300 * time.Millisecond)
			s.End(Outcome{})
			time.Sleep(30 * time.Millisecond)
			detached.End(Outcome{})
		}()
		begun := time.Now()
		raw, err := tel.Trace(t.Context(), s.TraceID(), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(fromOTLPJSON(t, raw).ResourceSpans[0].ScopeSpans[0].Spans); n != 3 || time.Since(begun) > 400*time.Millisecond {
			t.Errorf("%d spans after %v", n, time.Since(begun))
		}
		begun = time.Now()
		if _, err := tel.Trace(t.Context(), "ffffffffffff", time.Second); err == nil || time.Since(begun) != time.Second {
			t.Error(err, "after", time.Since(begun))
		}
	})
}

// What is kept takes what it may, whatever came with it. It once held on to the
// baggage of each call, since a span and its bytes are one piece of memory.
func TestKeptMemory(t *testing.T) {
	tel := keeping(t, maxKept)
	bag := "k=" + strings.Repeat("x", 4000)
	before := heapAlloc()
	for range maxKept {
		op := Operation{
			Method: "tools/call", TargetKind: Tool, Target: "files__read", RequestID: "1", Transport: "tcp", Force: true,
			TraceParent: "00-" + hex.EncodeToString(binary.BigEndian.AppendUint64(make([]byte, 8), rand.Uint64()|1)) + "-00f067aa0ba902b7-01",
			Baggage:     strings.Clone(bag),
		}
		s := tel.Server(&op)
		tel.Client(s, &op).End(Outcome{})
		s.End(Outcome{})
	}
	if got := heapAlloc() - before; got > keptBytes*5/4 {
		t.Errorf("%d bytes are held for %d traces, of at most %d", got, len(tel.ring.known), keptBytes)
	} else {
		t.Logf("%d bytes are held for %d traces that are said to take %d", got, len(tel.ring.known), tel.ring.good.bytes)
	}
}

func TestNextTraces(t *testing.T) {
	tel := keeping(t, 10)
	recordCall(tel, "early", "u", 0, 0, Outcome{})
	list, now, changed, err := tel.NextTraces(Wanted{}, tel.TracesNow())
	if err != nil || list != nil {
		t.Fatal(list, err)
	}
	s := tel.Server(&Operation{Method: "ping", Force: true})
	tel.Internal(SpanStart{Name: "below", Parent: s}).End(Outcome{})
	late := tel.Internal(SpanStart{Name: "late", Parent: s})
	<-changed
	if list, now, changed, _ = tel.NextTraces(Wanted{}, now); list != nil {
		t.Fatalf("%s", list)
	}
	s.End(Outcome{})
	recordCall(tel, "x", "other", 0, 0, Outcome{})
	<-changed
	list, after, _, _ := tel.NextTraces(Wanted{}, now)
	if len(list) != 2 || roots(t, list[0])[0] != "ping" || !strings.Contains(string(list[0]), "below") {
		t.Errorf("%s", list)
	}
	if list, _, _, _ = tel.NextTraces(Wanted{Upstream: "other"}, now); len(list) != 1 {
		t.Errorf("%s", list)
	}
	late.End(Outcome{}) // nothing that has been told ends twice
	if list, _, _, _ = tel.NextTraces(Wanted{}, after); list != nil {
		t.Errorf("%s", list)
	}
}
