package telemetry

import (
	"fmt"

	"go.opentelemetry.io/otel/metric"
)

// maker makes instruments of the SDK and keeps the first error.
type maker struct {
	meter metric.Meter
	err   error
}

func (k *maker) keep(i Instrument, err error) {
	if err != nil && k.err == nil {
		k.err = fmt.Errorf("metric %s: %w", i.Name, err)
	}
}

func (k *maker) histogram(i Instrument, bounds []float64) metric.Float64Histogram {
	h, err := k.meter.Float64Histogram(i.Name, metric.WithDescription(i.Tells), metric.WithUnit(i.Unit), metric.WithExplicitBucketBoundaries(bounds...))
	k.keep(i, err)
	return h
}

func (k *maker) counter(i Instrument) metric.Int64Counter {
	c, err := k.meter.Int64Counter(i.Name, metric.WithDescription(i.Tells), metric.WithUnit(i.Unit))
	k.keep(i, err)
	return c
}

// counted is a counter that is read, gauge and level are numbers that go up and
// down: a level adds up over gateways.
func (k *maker) counted(i Instrument) metric.Int64ObservableCounter {
	c, err := k.meter.Int64ObservableCounter(i.Name, metric.WithDescription(i.Tells), metric.WithUnit(i.Unit))
	k.keep(i, err)
	return c
}

func (k *maker) gauge(i Instrument) metric.Int64ObservableGauge {
	g, err := k.meter.Int64ObservableGauge(i.Name, metric.WithDescription(i.Tells), metric.WithUnit(i.Unit))
	k.keep(i, err)
	return g
}

func (k *maker) level(i Instrument) metric.Int64ObservableUpDownCounter {
	l, err := k.meter.Int64ObservableUpDownCounter(i.Name, metric.WithDescription(i.Tells), metric.WithUnit(i.Unit))
	k.keep(i, err)
	return l
}

// share and seconds are a gauge and a counter of fractions.
func (k *maker) share(i Instrument) metric.Float64ObservableGauge {
	g, err := k.meter.Float64ObservableGauge(i.Name, metric.WithDescription(i.Tells), metric.WithUnit(i.Unit))
	k.keep(i, err)
	return g
}

func (k *maker) seconds(i Instrument) metric.Float64ObservableCounter {
	c, err := k.meter.Float64ObservableCounter(i.Name, metric.WithDescription(i.Tells), metric.WithUnit(i.Unit))
	k.keep(i, err)
	return c
}

// observe has read called at each collection, once for all its instruments.
func (k *maker) observe(read metric.Callback, all ...metric.Observable) {
	if _, err := k.meter.RegisterCallback(read, all...); err != nil && k.err == nil {
		k.err = fmt.Errorf("metrics that are read: %w", err)
	}
}
