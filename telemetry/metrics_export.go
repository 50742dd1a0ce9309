package telemetry

import (
	"context"
	"errors"
	"fmt"
	"os"

	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/stdout/stdoutmetric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// startMetrics begins to count if metrics are exported.
func (t *Telemetry) startMetrics(ctx context.Context, c OTLP) error {
	to, err := targetOf(signalMetrics, c)
	if err != nil || to.to == nowhere {
		return err
	}
	for _, name := range []string{"OTEL_METRIC_EXPORT_INTERVAL", "OTEL_METRIC_EXPORT_TIMEOUT"} {
		if err := checkNumber(name); err != nil {
			return err
		}
		if variable(name) == "0" {
			return fmt.Errorf("%s must be more than 0 milliseconds", name)
		}
	}
	inner, err := newMetricExporter(ctx, to)
	if err != nil {
		return err
	}
	e := &metricExporter{Exporter: inner, trouble: trouble{signal: signalMetrics, log: t.about.Log}}
	t.exporter.Store(e)
	return t.count(e)
}

func newMetricExporter(ctx context.Context, to target) (sdkmetric.Exporter, error) {
	switch {
	case to.to == toConsole:
		return stdoutmetric.New(stdoutmetric.WithWriter(os.Stderr)) //nolint:forbidigo // asked for by name, by an environment variable
	case to.protocol == GRPC:
		return otlpmetricgrpc.New(ctx, options(to, otlpmetricgrpc.WithEndpointURL, otlpmetricgrpc.WithHeaders)...)
	}
	return otlpmetrichttp.New(ctx, options(to, otlpmetrichttp.WithEndpointURL, otlpmetrichttp.WithHeaders)...)
}

// checkTemporality finds a value that the exporter would not take.
func checkTemporality() error {
	const name = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
	switch v := variable(name); v {
	case "", "cumulative", "delta", "lowmemory":
		return nil
	default:
		return fmt.Errorf("%s must be cumulative, delta or lowmemory, not %q", name, v)
	}
}

// metricExporter is another one whose errors go to our log.
type metricExporter struct {
	sdkmetric.Exporter
	trouble trouble
}

// Export never fails: what could be retried has been. What is lost of figures
// that grow comes with the next.
func (e *metricExporter) Export(ctx context.Context, m *metricdata.ResourceMetrics) error {
	if e.trouble.resting(1) {
		return nil
	}
	err := e.Exporter.Export(ctx, m)
	if !errors.Is(ctx.Err(), context.Canceled) { // else broken off by the shutdown, which exports once more
		e.trouble.came(1, err)
	}
	return nil
}

// Shutdown never fails either: the reader would print the error.
func (e *metricExporter) Shutdown(ctx context.Context) error {
	_ = e.Exporter.Shutdown(ctx)
	return nil
}
