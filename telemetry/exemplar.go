package telemetry

import (
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// exemplarEvery is how long the exemplar of a bucket stays at least: who looks at
// a bucket wants one trace of it, and calls by the thousand want no lock.
const exemplarEvery = time.Second

// exemplars are the last sampled spans of a distribution, one for each bucket.
type exemplars struct {
	mu    sync.Mutex // guards what the slots hold
	slots []exemplar
}

type exemplar struct {
	at    atomic.Int64 // Unix nanoseconds, 0 for none; written under the lock
	value float64
	trace traceID
	span  spanID
}

// example keeps s as the exemplar of bucket i if it is sampled and the one before
// is old enough.
func (d *distribution) example(i int, v float64, s *Span) {
	if s.rec == nil || s.ref.flags&flagSampled == 0 {
		return
	}
	e := d.exemplars.Load()
	if e == nil {
		d.exemplars.CompareAndSwap(nil, &exemplars{slots: make([]exemplar, len(d.counts))})
		e = d.exemplars.Load()
	}
	now, slot := s.began.Add(time.Duration(v*float64(time.Second))).UnixNano(), &e.slots[i] // the clock was read already
	if now-slot.at.Load() < int64(exemplarEvery) || !e.mu.TryLock() {
		return
	}
	defer e.mu.Unlock()
	if now-slot.at.Load() >= int64(exemplarEvery) { // nobody was faster
		slot.value, slot.trace, slot.span = v, s.ref.trace, s.ref.span
		slot.at.Store(now)
	}
}

// all returns what there is that is not older than since.
func (e *exemplars) all(since time.Time) []metricdata.Exemplar[float64] {
	if e == nil {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []metricdata.Exemplar[float64]
	for i := range e.slots {
		x := &e.slots[i]
		if at := x.at.Load(); at != 0 && at >= since.UnixNano() {
			t, s := x.trace, x.span
			all = append(all, metricdata.Exemplar[float64]{Time: time.Unix(0, at), Value: x.value, TraceID: t[:], SpanID: s[:]})
		}
	}
	return all
}
