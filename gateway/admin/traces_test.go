package admin

import (
	"encoding/json"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTraceQueries(t *testing.T) {
	f := &fakeState{}
	h := Handler(Options{State: f})
	for _, tt := range []struct {
		query string
		want  TraceQuery
	}{
		{"", TraceQuery{Limit: defaultTraces}},
		{"?limit=7&calls=1&errors=true&upstream=files&tool=a__b&min=100ms", TraceQuery{Limit: 7, Calls: true, Errors: true, Upstream: "files", Tool: "a__b", Slower: 100 * time.Millisecond}},
		{"?min=1.5&limit=0", TraceQuery{Slower: 1500 * time.Millisecond}},
		{"?since=2026-11-22T15:04:05Z", TraceQuery{Limit: defaultTraces, Since: time.Date(2026, 11, 22, 15, 4, 5, 0, time.UTC)}},
	} {
		f.asked = TraceQuery{}
		if w := ask(h, "GET", "/v1/traces"+tt.query, ""); w.Code != 200 || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s", tt.query, w.Code, w.Body)
		}
		if diff := cmp.Diff(tt.want, f.asked); diff != "" {
			t.Errorf("%s: %s", tt.query, diff)
		}
	}
	begun := time.Now()
	ask(h, "GET", "/v1/traces?since=10m", "")
	if ago := f.asked.Since.Sub(begun.Add(-10 * time.Minute)); ago < 0 || ago > time.Minute {
		t.Errorf("since 10m is %v", f.asked.Since)
	}
	for path, has := range map[string]string{
		"/v1/traces?limit=x":                `limit=\"x\" is not a number from 0 to 10000`,
		"/v1/traces?limit=10001":            "is not a number from 0 to 10000",
		"/v1/traces?errors=perhaps":         "is not true or false",
		"/v1/traces?calls=all":              "is not true or false",
		"/v1/traces?min=-1s":                "is not a duration",
		"/v1/traces?since=yesterday":        "is not a time such as 2026-11-22T15:04:05Z, or how long ago",
		"/v1/traces?since=-1m":              "is not a time such as",
		"/v1/traces?follow=perhaps":         "is not true or false",
		"/v1/traces/xyz":                    `\"xyz\" is no trace id`,
		"/v1/traces/4bf9%0a":                "is no trace id",
		"/v1/traces/" + someTrace + "0":     "is no trace id",
		"/v1/traces/4bf9?wait=1h":           "is not a duration of at most 10s",
		"/v1/traces/4bf9?wait=soon":         "is not a duration of at most 10s",
		"/v1/traces?follow=1&tool=untraced": "no traces are kept",
	} {
		w := ask(h, "GET", path, "")
		if !strings.Contains(w.Body.String(), has) || w.Header().Get("Content-Type") != "application/problem+json" || w.Code != 400 && w.Code != 404 {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	for path, want := range map[string]int{
		"/v1/traces/4bf92f35": 200, "/v1/traces/" + strings.ToUpper(someTrace): 200,
		"/v1/traces/4bf92f36": 404, "/v1/traces?tool=untraced": 404, "/v1/traces/4b?wait=1s": 200,
	} {
		if w := ask(h, "GET", path, ""); w.Code != want {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	if w := ask(h, "GET", "/v1/traces/00?wait=2s", ""); !strings.Contains(w.Body.String(), "within 2s") || !strings.Contains(w.Body.String(), CodeUnknownTrace) {
		t.Errorf("%s", w.Body)
	}
}

// What a client asks is what the gateway understands.
func TestTracesOverTheWire(t *testing.T) {
	f := &fakeState{}
	s := httptest.NewServer(Handler(Options{State: f}))
	defer s.Close()
	c, err := NewClient(strings.TrimPrefix(s.URL, "http://"), "token", "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	q := TraceQuery{Limit: 3, UnderWay: true, Calls: true, Errors: true, Upstream: "a b&c", Tool: "x/y", Slower: time.Second, Since: time.Unix(1e9, 5).UTC()}
	if _, err := c.Traces(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(q, f.asked); diff != "" {
		t.Error(diff)
	}
	if _, err := c.Trace(t.Context(), "4bf9", time.Second); err != nil {
		t.Error(err)
	}
	_, err = c.Trace(t.Context(), "00", 2*time.Second)
	if e := new(Error); !errors.As(err, &e) || e.Code != CodeUnknownTrace || !strings.Contains(e.Detail, "within 2s") {
		t.Error(err)
	}
	result, trace, err := c.CallTraced(t.Context(), "", "files__echo", json.RawMessage(`{"a":1}`))
	if err != nil || trace != someTrace || string(result) != `{"content":[], "structuredContent":{"a":1}}` {
		t.Error(string(result), trace, err)
	}
	// The trace of a call that failed is told as well.
	_, trace, err = c.CallTraced(t.Context(), "", "nobody", nil)
	if e := new(Error); !errors.As(err, &e) || e.Code != CodeUnknownTool || trace != someTrace {
		t.Error(trace, err)
	}
	// Without being asked for, none is.
	r := ask(Handler(Options{State: f}), "POST", "/v1/call", `{"tool":"files__echo"}`)
	if got := r.Header().Get(headerTrace); got != "" {
		t.Error("a call that nobody watches has the trace", got)
	}
}

func TestFollowTraces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeState{traced: make(chan struct{})}
		in, end := streamed(t, Handler(Options{State: f}), "/v1/traces?follow=1&errors=1", "")
		if got := event(t, in); got != `data: {"resourceSpans":[{}]}` || !f.asked.Errors {
			t.Errorf("got %q", got)
		}
		begun := time.Now()
		if got := event(t, in); got != ": alive" || time.Since(begun) != heartbeat {
			t.Errorf("got %q after %v", got, time.Since(begun))
		}
		close(f.traced)
		if got := event(t, in); got != `data: {"resourceSpans":[{}]}` {
			t.Errorf("got %q", got)
		}
		end()
	})
}

const oneSpan = `{"resourceSpans":[{"resource":{},"scopeSpans":[{"scope":{"name":"x"},"spans":[{"traceId":"4b","spanId":"a1","parentSpanId":"f0","flags":769,
"name":"n","kind":3,"startTimeUnixNano":"1000000000","endTimeUnixNano":"3000000000",
"attributes":[{"key":"s","value":{"stringValue":"x"}},{"key":"i","value":{"intValue":"12"}},{"key":"b","value":{"boolValue":true}},{"key":"l","value":{"arrayValue":{"values":[]}}},{"key":"n","value":{}}],
"events":[{"timeUnixNano":"2000000000","name":"e","attributes":[{"key":"k","value":{"stringValue":"v"}}]}],"droppedEventsCount":2,
"links":[{"traceId":"cc","spanId":"dd","attributes":[{"key":"interlock.link","value":{"stringValue":"caused"}}]}],"droppedLinksCount":3,
"status":{"code":2,"message":"no"}}]}]},{}]}`

func TestReadSpans(t *testing.T) {
	got, err := ReadSpans(json.RawMessage(oneSpan))
	if err != nil {
		t.Fatal(err)
	}
	want := [][]Span{{{
		Trace: "4b", ID: "a1", Parent: "f0", Remote: true, Name: "n", Kind: 3, Began: time.Unix(1, 0), Ended: time.Unix(3, 0),
		Attributes: []SpanAttribute{{"s", "x"}, {"i", "12"}, {"b", "true"}, {"l", `{"values":[]}`}},
		Events:     []SpanEvent{{time.Unix(2, 0), "e", []SpanAttribute{{"k", "v"}}}}, DroppedEvents: 2,
		Links: []SpanLink{{"cc", "dd", []SpanAttribute{{"interlock.link", "caused"}}}}, DroppedLinks: 3,
		Failed: true, Message: "no",
	}}, nil}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if s := &got[0][0]; s.Attribute("i") != "12" || s.Attribute("none") != "" || s.Links[0].Attribute("interlock.link") != "caused" || s.Took() != 2*time.Second {
		t.Error("it is not read back")
	}
	if _, err := ReadSpans(json.RawMessage(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"startTimeUnixNano":5}]}]}]}`)); err == nil {
		t.Error("a number that is no string is taken")
	}
}

func FuzzReadSpans(f *testing.F) {
	f.Add([]byte(oneSpan))
	f.Add([]byte(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"attributes":[{"value":null}],"links":[null]},null]}]}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		all, err := ReadSpans(raw)
		if err != nil && all != nil {
			t.Error("spans and an error")
		}
	})
}
