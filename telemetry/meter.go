package telemetry

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Meter counts operations of one kind, such as the calls of one tool, without
// describing each anew. It is for when no traces are exported, and it is safe
// for concurrent use. Nil counts nothing.
type Meter struct {
	of     *durations
	server bool
	series series
	good   atomic.Pointer[prometheus.Observer] // of those that succeed
}

// ServerMeter returns a Meter for requests of clients like op, ClientMeter one
// for requests to upstreams. Both are nil while nothing is counted.
func (t *Telemetry) ServerMeter(op Operation) *Meter { return t.meter(op, true) }

// ClientMeter is ServerMeter for requests to upstreams.
func (t *Telemetry) ClientMeter(op Operation) *Meter { return t.meter(op, false) }

func (t *Telemetry) meter(op Operation, server bool) *Meter {
	if t == nil {
		return nil
	}
	m := t.metrics.Load()
	if m == nil {
		return nil
	}
	return &Meter{of: m.durations(server), server: server, series: op.series(server)}
}

// Count counts one operation. Its span may be nil.
func (m *Meter) Count(took time.Duration, o Outcome, span *Span) {
	if m == nil {
		return
	}
	if failure := o.errorType(m.server); failure != "" {
		s := m.series
		s.failure = failure
		observe(m.of.observer(s, m.server), took, span)
		return
	}
	good := m.good.Load()
	if good == nil {
		found := m.of.observer(m.series, m.server)
		good = &found
		m.good.Store(good)
	}
	observe(*good, took, span)
}

func observe(o prometheus.Observer, took time.Duration, span *Span) {
	if span.Recording() && span.ref.flags&flagSampled != 0 {
		if e, ok := o.(prometheus.ExemplarObserver); ok {
			e.ObserveWithExemplar(took.Seconds(), prometheus.Labels{"trace_id": span.TraceID()})
			return
		}
	}
	o.Observe(took.Seconds())
}
