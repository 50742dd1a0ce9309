package telemetry

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// A request under way is told to who asks for such ones, with what has ended below it
// and what has not, and once it has ended as any other.
func TestRequestsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := keeping(t, 10)
		recordCall(tel, "before", "u", 0, 0, Outcome{})
		s := tel.Server(&Operation{Method: "tools/call", TargetKind: Tool, Target: "files__read", Force: true})
		tel.Internal(SpanStart{Name: "policy", Parent: s}).End(Outcome{})
		c := tel.Client(s, &Operation{Method: "tools/call", TargetKind: Tool, Target: "read", Upstream: "files"})
		stage := tel.Internal(SpanStart{Name: "queue wait", Parent: c})
		time.Sleep(2 * time.Second)
		told := func(w Wanted) (all []string) {
			t.Helper()
			raw, _, err := tel.Traces(w)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range fromOTLPJSON(t, raw).ResourceSpans {
				for _, x := range r.ScopeSpans[0].Spans {
					if name := x.Name; x.EndTimeUnixNano == 0 {
						all = append(all, name+" under way")
					} else {
						all = append(all, name)
					}
				}
			}
			return all
		}
		want := func(when string, got []string, want ...string) {
			t.Helper()
			if !slices.Equal(got, want) {
				t.Errorf("%s: %q, want %q", when, got, want)
			}
		}
		only := Wanted{Upstream: "files"}
		want("for who does not ask", told(only))
		only.UnderWay = true
		want("for who does", told(only), "policy", "tools/call files__read under way", "tools/call read under way")
		want("before all that has ended", told(Wanted{UnderWay: true, Limit: 1}), "policy", "tools/call files__read under way", "tools/call read under way")
		want("slower than it has taken", told(Wanted{UnderWay: true, Slower: 3 * time.Second}))
		want("of which something failed", told(Wanted{UnderWay: true, Errors: true}))
		if list, _, _, err := tel.NextTraces(Wanted{UnderWay: true, Upstream: "files"}, 0); err != nil || len(list) != 0 {
			t.Errorf("it is among those that ended: %s %v", list, err)
		}
		raw, err := tel.Trace(t.Context(), s.TraceID(), 0)
		if err != nil || len(fromOTLPJSON(t, raw).ResourceSpans[0].ScopeSpans[0].Spans) != 3 {
			t.Errorf("by its id: %s %v", raw, err)
		}
		stage.End(Outcome{})
		c.End(Outcome{})
		want("its server has answered", told(only), "policy", "queue wait", "tools/call read", "tools/call files__read under way")
		s.End(Outcome{})
		want("it has ended", told(only), "policy", "queue wait", "tools/call read", "tools/call files__read")
		if n := len(tel.open.open); n != 0 {
			t.Errorf("%d spans are held that have ended", n)
		}
	})
}

// By its id it is found before anything of it has ended. What is not kept is not known,
// and costs nothing; what began earlier and never ends takes no more than a bound.
func TestUnderWayIsBounded(t *testing.T) {
	tel := keeping(t, 10)
	tel.queue = newSpanQueue(newBatchLimits(), func(context.Context, []byte, int) error { return nil }, func(int) {})
	defer func() {
		_ = tel.queue.close(t.Context())
		tel.queue = nil // nobody uploads
	}()
	sampled := tel.Server(&Operation{Method: "ping", TraceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"})
	if n := len(tel.open.open); !sampled.Recording() || n != 0 {
		t.Errorf("recorded %v, and %d are held that are not kept", sampled.Recording(), n)
	}
	first := tel.Server(&Operation{Method: "ping", Force: true})
	if _, err := tel.Trace(t.Context(), first.TraceID(), 0); err != nil {
		t.Error(err)
	}
	for range 2 * maxOpen {
		tel.Server(&Operation{Method: "ping", Force: true})
	}
	if n := len(tel.open.open); n != maxOpen {
		t.Errorf("%d are held, want %d", n, maxOpen)
	}
}

// What ended while it was asked for is told once, as ended.
func TestUnderWayThatEnded(t *testing.T) {
	tel := keeping(t, 10)
	s := tel.Server(&Operation{Method: "ping", Force: true})
	open := tel.open.spans()
	s.End(Outcome{})
	kept, _ := tel.ring.last(0)
	kept = withOpen(kept, open)
	if len(open) != 1 || len(kept) != 1 || len(kept[0].spans) != 1 || decode(kept[0].spans)[0].End == 0 {
		t.Errorf("%d open, %+v", len(open), kept)
	}
	if now, _ := tel.ring.last(0); len(now[0].spans) != 1 {
		t.Errorf("the ring has %d spans", len(now[0].spans))
	}
}
