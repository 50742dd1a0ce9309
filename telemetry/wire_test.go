package telemetry

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	traces "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"
)

// What clean gives is UTF-8 and not too long, and what was so already stays. It once
// gave twice the bytes where every other one was none of a text.
func FuzzClean(f *testing.F) {
	for _, s := range []string{"", "a", "\xff", "ä", strings.Repeat("a\xff", maxValue/2), strings.Repeat("a", maxValue-1) + "€€", strings.Repeat("\U0001f600", maxValue)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := clean(s)
		if !utf8.ValidString(got) || len(got) > maxValue {
			t.Errorf("%d bytes became %d, valid: %v", len(s), len(got), utf8.ValidString(got))
		}
		if utf8.ValidString(s) && (!strings.HasPrefix(s, got) || len(s) <= maxValue && got != s || len(s) > maxValue && len(got) <= maxValue-utf8.UTFMax) {
			t.Errorf("%d bytes of good text became %d", len(s), len(got))
		}
	})
}

// parseParent takes what the SDK takes, and reads the same in it.
func FuzzParseParent(f *testing.F) {
	for _, s := range []string{
		"", clients, clients[:53] + "00", clients[:53] + "03", "01" + clients[2:], "01" + clients[2:] + "-more", "ff" + clients[2:], clients + "-x",
		strings.ToUpper(clients), "00-00000000000000000000000000000000-00f067aa0ba902b7-01", "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ref, ok := parseParent(s)
		told := s
		if ok && strings.HasPrefix(s, "00") {
			// The SDK refuses flags that nobody has defined yet; the specification has
			// them ignored (section 3.2.2.5).
			told = s[:53] + fmt.Sprintf("%02x", ref.flags&(flagSampled|flagRandom))
		}
		ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{"traceparent": told})
		want := trace.SpanContextFromContext(ctx)
		if ok && (!want.IsValid() || want.TraceID() != trace.TraceID(ref.trace) || want.SpanID() != trace.SpanID(ref.span) || want.IsSampled() != (ref.flags&flagSampled != 0)) {
			t.Errorf("%q was read as %v, the SDK has %v", s, ref, want)
		}
		if !ok && want.IsValid() {
			t.Errorf("%q was refused, the SDK has %v", s, want)
		}
		if ok {
			again, ok := parseParent(ref.traceParent())
			if !ok || again.trace != ref.trace || again.span != ref.span || again.flags != ref.flags&(flagSampled|flagRandom) {
				t.Errorf("%q goes on as %q", s, ref.traceParent())
			}
		}
	})
}

// Whatever is told of a span, in whatever order, its message says it.
func TestSpansDecode(t *testing.T) {
	text := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }))
	attr := rapid.Custom(func(t *rapid.T) Attr {
		key := rapid.StringMatching(`[a-z.]{1,30}`).Draw(t, "key")
		switch rapid.IntRange(0, 2).Draw(t, "kind") {
		case 0:
			return Int(key, rapid.Int64().Draw(t, "number"))
		case 1:
			return Bool(key, rapid.Bool().Draw(t, "bool"))
		}
		return String(key, text.Draw(t, "text"))
	})
	rapid.Check(t, func(t *rapid.T) {
		tel := &Telemetry{ring: newRing(10, 64<<20)}
		began := time.Unix(0, rapid.Int64Range(1, 1<<62).Draw(t, "began"))
		name := text.Draw(t, "name")
		parent := tel.Internal(SpanStart{Name: "parent"})
		s := tel.Internal(SpanStart{Name: name, Parent: parent, Began: began, Kind: KindClient})
		var attrs, events, links int
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				a := attr.Draw(t, "attr")
				s.Set(a)
				if a.kind != textAttr || a.text != "" {
					attrs++
				}
			},
			"event": func(t *rapid.T) { s.Event(text.Draw(t, "event"), attr.Draw(t, "attr")); events++ },
			"link":  func(t *rapid.T) { s.Link(parent.Ref(), attr.Draw(t, "attr")); links++ },
		})
		o := Outcome{ErrorType: rapid.SampledFrom([]string{"", "timeout"}).Draw(t, "error"), Message: text.Draw(t, "message")}
		took := time.Duration(rapid.Int64Range(-1000, 1e12).Draw(t, "took"))
		s.EndAt(began.Add(took), o)
		s.EndAt(began.Add(time.Hour), Outcome{ErrorType: "again"}) // counts for nothing
		s.Set(Int("late", 1))
		kept, _ := tel.ring.one(s.ref.trace)
		var m traces.Span
		if err := proto.Unmarshal(kept.spans[0].raw, &m); err != nil || len(kept.spans) != 1 {
			t.Fatal(len(kept.spans), err)
		}
		if o.ErrorType != "" {
			attrs++
		}
		if m.Name != clean(name) || string(m.TraceId) != string(s.ref.trace[:]) || string(m.SpanId) != string(s.ref.span[:]) ||
			string(m.ParentSpanId) != string(parent.ref.span[:]) || m.Kind != traces.Span_SPAN_KIND_CLIENT {
			t.Errorf("the span is %v", &m)
		}
		if m.StartTimeUnixNano != uint64(began.UnixNano()) || m.EndTimeUnixNano-m.StartTimeUnixNano != uint64(max(0, took)) {
			t.Errorf("it took %v, and says %d", took, m.EndTimeUnixNano-m.StartTimeUnixNano)
		}
		if len(m.Attributes) != attrs || len(m.Events)+int(m.DroppedEventsCount) != events || len(m.Events) > maxEvents ||
			len(m.Links)+int(m.DroppedLinksCount) != links || len(m.Links) > maxLinks {
			t.Errorf("%d attributes, %d events and %d links became %v", attrs, events, links, &m)
		}
		if failed := m.Status.GetCode() == traces.Status_STATUS_CODE_ERROR; failed != (o.ErrorType != "") || failed && m.Status.Message != clean(o.Message) {
			t.Errorf("%+v became %v", o, m.Status)
		}
		if len(m.ProtoReflect().GetUnknown()) > 0 {
			t.Error("there are fields that nobody knows")
		}
	})
}
