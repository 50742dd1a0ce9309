package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Dropped returns how many things of each signal (traces, metrics, logs) that is
// exported did not reach the collector, since the start: spans, batches of metrics,
// lines.
func (t *Telemetry) Dropped() map[string]int64 {
	all := make(map[string]int64)
	if t == nil {
		return all
	}
	if t.queue != nil {
		all[string(signalTraces)] = t.uploader.trouble.losses.Load()
	}
	if t.logs != nil {
		all[string(signalLogs)] = t.logs.exporter.trouble.losses.Load()
	}
	if e := t.exporter.Load(); e != nil {
		all[string(signalMetrics)] = e.trouble.losses.Load()
	}
	return all
}

// dropped makes the instrument that is read from Dropped.
func (k *maker) dropped(read func() map[string]int64) {
	c := k.counted(telemetryDropped)
	k.observe(func(_ context.Context, to metric.Observer) error {
		for signal, n := range read() {
			to.ObserveInt64(c, n, metric.WithAttributes(attribute.String(labelSignal, signal)))
		}
		return nil
	}, c)
}
