package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/telemetry"
	"github.com/interlock-mcp/interlock/upstream"
)

// remembering starts a telemetry that keeps traces and exports none.
func remembering(t *testing.T, traces int) *telemetry.Telemetry {
	t.Helper()
	c := telemetry.Defaults()
	c.Traces.Keep = traces
	tel, err := telemetry.Start(t.Context(), c, telemetry.Resource{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tel.Shutdown(t.Context()) })
	return tel
}

// namesOf are the names of the spans of a trace, in the order in which they began.
func namesOf(t *testing.T, g *Gateway, id string) []string {
	t.Helper()
	raw, err := g.Trace(t.Context(), id, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	all, err := admin.ReadSpans(raw)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range all[0] {
		names = append(names, s.Name)
	}
	return names
}

// A call that an operator wants to see is recorded also when the gateway records no
// more, and whatever comes of it.
func TestCallTraced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := remembering(t, 1000)
		r := startWith(t, settings(t, "a"), Options{Dialer: dialer("x"), Telemetry: tel}).running()
		for range 1000 { // the share of this moment
			if _, err := r.Call(t.Context(), "a__x", nil); err != nil {
				t.Fatal(err)
			}
		}
		_, kept, err := tel.Traces(telemetry.Wanted{Tool: "a__x"})
		if err != nil || kept == 1000 || kept == 0 {
			t.Fatalf("%d of 1000 calls of one moment are kept: %v", kept, err)
		}
		_, id, err := r.CallTraced(t.Context(), "", "a__x", nil)
		if err != nil {
			t.Fatal(err)
		}
		if names := namesOf(t, r.Gateway, id); !slices.Equal(names, []string{"tools/call a__x", "tools/call x"}) {
			t.Errorf("the trace has %q", names)
		}
		_, id, err = r.CallTraced(t.Context(), "", "nobody", nil)
		if err == nil {
			t.Error("there is a tool named nobody")
		}
		if names := namesOf(t, r.Gateway, id); !slices.Equal(names, []string{"tools/call _other"}) {
			t.Errorf("the trace has %q", names)
		}
	})
}

func TestTracesThatAreNotThere(t *testing.T) {
	code := func(err error) string {
		e := new(admin.Error)
		if !errors.As(err, &e) {
			t.Errorf("%v is no error of the API", err)
		}
		return e.Code
	}
	synctest.Test(t, func(t *testing.T) {
		r := startWith(t, settings(t, "a"), Options{Dialer: dialer("x"), Telemetry: remembering(t, 10)}).running()
		if _, err := r.Traces(admin.TraceQuery{Upstream: "a", Errors: true}); err != nil {
			t.Error(err)
		}
		if _, err := r.Traces(admin.TraceQuery{Upstream: "b"}); code(err) != admin.CodeUnknownUpstream {
			t.Error(err)
		}
		if _, err := r.Trace(t.Context(), "00000000000000000000", 0); code(err) != admin.CodeUnknownTrace {
			t.Error(err)
		}
		for range 2 {
			if _, err := r.Call(t.Context(), "a__x", nil); err != nil {
				t.Error(err)
			}
		}
		if _, err := r.Trace(t.Context(), "", 0); code(err) != admin.CodeBadRequest || !strings.Contains(err.Error(), "traces have an id that begins with") {
			t.Error(err)
		}
		// One that is removed leaves what it did behind.
		r.Remove(t.Context(), admin.Order{Names: []string{"a"}, Wait: true})
		if _, err := r.Traces(admin.TraceQuery{Upstream: "a"}); err != nil {
			t.Error(err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		r := startWith(t, settings(t, "a"), Options{Dialer: dialer("x"), Telemetry: remembering(t, 0)}).running()
		_, err := r.Traces(admin.TraceQuery{})
		_, _, _, err2 := r.NextTraces(admin.TraceQuery{}, 0)
		_, err3 := r.Trace(t.Context(), "00", time.Hour)
		if code(err) != admin.CodeNoTraces || code(err2) != admin.CodeNoTraces || code(err3) != admin.CodeNoTraces {
			t.Error(err, err2, err3)
		}
		if _, id, err := r.CallTraced(t.Context(), "", "a__x", nil); err != nil || id != "" {
			t.Error(id, err)
		}
	})
}

// A call under way is listed with what its server was asked, for who asks for such
// ones, and is found by its id.
func TestCallUnderWayIsListed(t *testing.T) {
	started, release := make(chan struct{}), make(chan struct{})
	r := tracedTool(t, nil, func(ctx context.Context, _ *upstream.Request) (json.RawMessage, error) {
		close(started)
		select {
		case <-release:
		case <-ctx.Done():
		}
		return json.RawMessage(`{"content":[]}`), nil
	})
	c := r.connect(`{}`)
	answered := make(chan reply, 1)
	go func() { answered <- c.post(calls("5", "a__do", `{}`)) }()
	select {
	case <-started:
	case a := <-answered:
		t.Fatalf("it was answered at once: %d %s", a.status, a.body)
	}
	open := func(q admin.TraceQuery) (names []string, trace string) {
		t.Helper()
		raw, err := r.rig.Traces(q)
		if err != nil {
			t.Fatal(err)
		}
		all, err := admin.ReadSpans(raw)
		if err != nil {
			t.Fatal(err)
		}
		for _, spans := range all {
			for _, s := range spans {
				if s.Open {
					names, trace = append(names, s.Name), s.Trace
				}
			}
		}
		return names, trace
	}
	names, id := open(admin.TraceQuery{UnderWay: true, Upstream: "a", Calls: true, Limit: 1})
	if !slices.Equal(names, []string{"tools/call a__do", "tools/call do"}) {
		t.Errorf("under way is %q", names)
	}
	if raw, err := r.rig.Trace(t.Context(), id, 0); err != nil || !strings.Contains(string(raw), "tools/call do") {
		t.Errorf("by its id: %s %v", raw, err)
	}
	if names, _ := open(admin.TraceQuery{}); len(names) != 0 {
		t.Errorf("for who does not ask, under way is %q", names)
	}
	close(release)
	<-answered
	if names, _ := open(admin.TraceQuery{UnderWay: true}); len(names) != 0 {
		t.Errorf("it was answered, and under way is %q", names)
	}
}
