package main

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// The ways of the cases of what tracing costs. All are gateways alike but for it.
const (
	untraced    = "nothing traced"
	asDefault   = "the default"
	tenth       = "10 % exported"
	whole       = "100 % exported"
	clientsOwn  = "the client's traces"
	allSignals  = "all signals"
	clientTrace = `"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"`
)

// tracings says how much each of them traces: the settings of telemetry, and whether
// they export to the sink.
var tracings = []struct {
	way     string
	traces  map[string]any
	signals []string // what is exported, nil for nothing
	ask     ask
}{
	{untraced, map[string]any{"keep": 0}, nil, echo},
	{asDefault, map[string]any{}, nil, echo},
	{tenth, map[string]any{"sample": 0.1}, []string{"traces"}, echo},
	{whole, map[string]any{"sample": 1}, []string{"traces"}, echo},
	{clientsOwn, map[string]any{"sample": 0}, []string{"traces"}, traced},
	{allSignals, map[string]any{"sample": 1}, []string{"traces", "metrics", "logs"}, echo},
}

// traces has gateways that trace more and more carry the same load of 32 in flight.
// What they export goes to a process of its own, which counts the spans.
func traces(upstream string) setup {
	return func(ctx context.Context, s *stage) ([]*way, error) {
		to, err := s.start(ctx, role{name: "sink"})
		if err != nil {
			return nil, err
		}
		var up *party
		if upstream == "http" {
			if up, err = s.start(ctx, role{name: "upstream-http"}); err != nil {
				return nil, err
			}
		}
		var ways []*way
		for _, t := range tracings {
			with, err := s.overStdio(1)
			if err != nil {
				return nil, err
			}
			if up != nil {
				with = overHTTP(up.urls...)
			}
			with.telemetry = map[string]any{"traces": t.traces}
			if t.signals != nil {
				with.telemetry["otlp"] = map[string]any{"endpoint": to.base(), "signals": t.signals}
			}
			w, err := s.gateway(ctx, with)
			if err != nil {
				return nil, err
			}
			w.name = t.way
			w.under(t.ask, 32)
			if t.way != untraced {
				w.over(untraced)
			}
			if t.signals != nil {
				w.counting(to)
			}
			ways = append(ways, w)
		}
		return ways, nil
	}
}

// counting adds to what a way measures how many spans came to the sink for each
// call: where it cannot keep up, some do not.
func (w *way) counting(to *party) {
	run := w.run
	w.run = func(ctx context.Context, d time.Duration) (figures, error) {
		before, err := counted(ctx, to.metrics, spansCounter)
		if err != nil {
			return nil, err
		}
		f, err := run(ctx, d)
		if err != nil {
			return nil, err
		}
		after, err := counted(ctx, to.metrics, spansCounter)
		f[spansPerCall] = (after - before) / max(1, f[perSecond]*d.Seconds())
		return f, err
	}
}

// traced is echo with a client's trace context, which is sampled.
func traced(c *caller, id int) error {
	c.trace = clientTrace
	return echo(c, id)
}

// sink takes what OTLP brings over HTTP, and counts the spans.
type sink struct{ spans atomic.Int64 }

// spansCounter is the name by which a sink says how many spans came.
const spansCounter = "bench_spans_total"

func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if r.URL.Path == "/v1/traces" {
		s.spans.Add(int64(spansOf(body)))
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// spansOf counts the spans of an ExportTraceServiceRequest.
func spansOf(body []byte) (n int) {
	members(body, 1, func(resource []byte) {
		members(resource, 2, func(scope []byte) {
			members(scope, 2, func([]byte) { n++ })
		})
	})
	return n
}

// members gives what a message has in a field that holds messages.
func members(message []byte, field protowire.Number, each func([]byte)) {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return
		}
		message = message[n:]
		if n = protowire.ConsumeFieldValue(number, kind, message); n < 0 {
			return
		}
		if number == field && kind == protowire.BytesType {
			inner, _ := protowire.ConsumeBytes(message)
			each(inner)
		}
		message = message[n:]
	}
}
