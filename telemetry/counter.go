package telemetry

import (
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// counter is an instrument whose series are numbers that grow.
type counter[K key[K]] struct {
	Instrument
	table[K, tally]
}

func newCounter[K key[K]](i Instrument) *counter[K] {
	return &counter[K]{Instrument: i, table: table[K, tally]{
		known: make(map[K]*tally),
		new:   func(a attribute.Set) *tally { return &tally{attributes: a} },
	}}
}

// tally is one series of a counter, safe for concurrent use.
type tally struct {
	attributes attribute.Set
	n          atomic.Int64
}

func (c *counter[K]) data(p *producer, now time.Time) (metricdata.Metrics, bool) {
	all := c.all()
	out := metricdata.Sum[int64]{Temporality: p.counters, IsMonotonic: true, DataPoints: make([]metricdata.DataPoint[int64], 0, len(all))}
	for _, t := range all {
		n, since := t.n.Load(), p.begun
		if p.counters == metricdata.DeltaTemporality {
			n, since = p.increase(t, n)
		}
		if n > 0 {
			out.DataPoints = append(out.DataPoints, metricdata.DataPoint[int64]{Attributes: t.attributes, StartTime: since, Time: now, Value: n})
		}
	}
	return metricdata.Metrics{Name: c.Name, Description: c.Tells, Unit: c.Unit, Data: out}, len(out.DataPoints) > 0
}
