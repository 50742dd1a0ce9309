package admin

import (
	"encoding/json"
	"fmt"
	"time"
)

// Span is one span of OTLP JSON, as far as a person is shown it.
type Span struct {
	// Trace, ID and Parent are in hexadecimal digits; Parent is "" for none.
	Trace, ID, Parent string
	// Remote says that Parent is a span of another process.
	Remote bool
	Name   string
	// Kind is 1 internal, 2 server, 3 client, 4 producer, 5 consumer.
	Kind int
	// Open is a span that has not ended; Ended then is when it was read.
	Open         bool
	Began, Ended time.Time
	Attributes   []SpanAttribute
	Events       []SpanEvent
	Links        []SpanLink
	// DroppedEvents and DroppedLinks came beyond what a span holds.
	DroppedEvents, DroppedLinks int
	// Failed says that the status is an error, Message what it says of it.
	Failed  bool
	Message string
}

// SpanAttribute is a name and a value as text.
type SpanAttribute struct{ Key, Value string }

// SpanEvent is something that happened within a span.
type SpanEvent struct {
	At         time.Time
	Name       string
	Attributes []SpanAttribute
}

// SpanLink ties a span to another, of any trace.
type SpanLink struct {
	Trace, Span string
	Attributes  []SpanAttribute
}

// Attribute returns the value of an attribute, "" if it is not there.
func (s *Span) Attribute(key string) string { return attribute(s.Attributes, key) }

// Attribute returns the value of an attribute, "" if it is not there.
func (l *SpanLink) Attribute(key string) string { return attribute(l.Attributes, key) }

func attribute(all []SpanAttribute, key string) string {
	for _, a := range all {
		if a.Key == key {
			return a.Value
		}
	}
	return ""
}

// Took is how long it lasted.
func (s *Span) Took() time.Duration { return s.Ended.Sub(s.Began) }

// ReadSpans reads OTLP JSON: the spans of each element of resourceSpans.
func ReadSpans(raw json.RawMessage) ([][]Span, error) {
	var in struct {
		ResourceSpans []struct {
			ScopeSpans []struct{ Spans []wireSpan }
		}
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return nil, fmt.Errorf("spans: %w", err)
	}
	var out [][]Span
	for _, r := range in.ResourceSpans {
		var spans []Span
		for _, s := range r.ScopeSpans {
			for i := range s.Spans {
				spans = append(spans, s.Spans[i].span())
			}
		}
		out = append(out, spans)
	}
	return out, nil
}

// remoteParent is the bit of flags that says that the parent is remote.
const remoteParent = 0x200

// statusError is the code of the status of what failed.
const statusError = 2

type wireSpan struct {
	TraceID            string          `json:"traceId"`
	SpanID             string          `json:"spanId"`
	ParentSpanID       string          `json:"parentSpanId"`
	Flags              uint32          `json:"flags"`
	Name               string          `json:"name"`
	Kind               int             `json:"kind"`
	Start              int64           `json:"startTimeUnixNano,string"`
	End                int64           `json:"endTimeUnixNano,string"`
	Attributes         []wireAttribute `json:"attributes"`
	DroppedEventsCount int             `json:"droppedEventsCount"`
	DroppedLinksCount  int             `json:"droppedLinksCount"`
	Events             []struct {
		Time       int64           `json:"timeUnixNano,string"`
		Name       string          `json:"name"`
		Attributes []wireAttribute `json:"attributes"`
	} `json:"events"`
	Links []struct {
		TraceID    string          `json:"traceId"`
		SpanID     string          `json:"spanId"`
		Attributes []wireAttribute `json:"attributes"`
	} `json:"links"`
	Status struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"status"`
}

type wireAttribute struct {
	Key   string                     `json:"key"`
	Value map[string]json.RawMessage `json:"value"`
}

func (w *wireSpan) span() Span {
	s := Span{
		Trace: w.TraceID, ID: w.SpanID, Parent: w.ParentSpanID, Remote: w.Flags&remoteParent != 0,
		Name: w.Name, Kind: w.Kind, Began: time.Unix(0, w.Start), Ended: time.Unix(0, w.End),
		Attributes: attributes(w.Attributes), DroppedEvents: w.DroppedEventsCount, DroppedLinks: w.DroppedLinksCount,
		Failed: w.Status.Code == statusError, Message: w.Status.Message,
	}
	if s.Open = w.End == 0; s.Open {
		s.Ended = time.Now()
	}
	for _, e := range w.Events {
		s.Events = append(s.Events, SpanEvent{time.Unix(0, e.Time), e.Name, attributes(e.Attributes)})
	}
	for _, l := range w.Links {
		s.Links = append(s.Links, SpanLink{l.TraceID, l.SpanID, attributes(l.Attributes)})
	}
	return s
}

func attributes(in []wireAttribute) []SpanAttribute {
	var out []SpanAttribute
	for _, a := range in {
		for _, v := range a.Value { // there is one at most
			out = append(out, SpanAttribute{a.Key, valueText(v)})
		}
	}
	return out
}

// valueText is a string without its quotes, and anything else as it is.
func valueText(v json.RawMessage) string {
	if s := ""; json.Unmarshal(v, &s) == nil {
		return s
	}
	return string(v)
}
