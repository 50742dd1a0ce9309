package telemetry

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// producer gives the instruments of our own to one reader of the SDK, as
// differences where its exporter wants those.
type producer struct {
	of                   []instrument
	scope                instrumentation.Scope
	begun                time.Time
	histograms, counters metricdata.Temporality

	mu    sync.Mutex // guards what follows: the state of differences
	last  time.Time
	reads map[*distribution]reading
	sums  map[*tally]int64
}

// instrument is a histogram or a counter.
type instrument interface {
	// data returns what was counted until now, and false if that is nothing.
	data(p *producer, now time.Time) (metricdata.Metrics, bool)
}

// newProducer makes one for a reader with that selector, nil for cumulative.
func newProducer(of []instrument, s instrumentation.Scope, begun time.Time, temporality metric.TemporalitySelector) *producer {
	if temporality == nil {
		temporality = metric.DefaultTemporalitySelector
	}
	return &producer{
		of: of, scope: s, begun: begun, last: begun,
		histograms: temporality(metric.InstrumentKindHistogram), counters: temporality(metric.InstrumentKindCounter),
		reads: make(map[*distribution]reading), sums: make(map[*tally]int64),
	}
}

// Produce implements metric.Producer.
func (p *producer) Produce(context.Context) ([]metricdata.ScopeMetrics, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	all := make([]metricdata.Metrics, 0, len(p.of))
	for _, i := range p.of {
		if m, some := i.data(p, now); some {
			all = append(all, m)
		}
	}
	p.last = now
	return []metricdata.ScopeMetrics{{Scope: p.scope, Metrics: all}}, nil
}

// difference returns what d counted since it was last asked for, and when that
// was. p.mu is held.
func (p *producer) difference(d *distribution, now reading) (reading, time.Time) {
	before := p.reads[d]
	p.reads[d] = now
	return now.minus(before), p.last
}

// increase is difference for counters.
func (p *producer) increase(t *tally, now int64) (int64, time.Time) {
	before := p.sums[t]
	p.sums[t] = now
	return now - before, p.last
}
