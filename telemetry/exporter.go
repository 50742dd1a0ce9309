package telemetry

import (
	"context"
	"os"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// newExporter returns what the spans go to, nil if nowhere.
func newExporter(ctx context.Context, c Config) (sdk.SpanExporter, error) {
	to, err := targetOf(signalTraces, c.OTLP)
	switch {
	case err != nil || to.to == nowhere:
		return nil, err
	case to.to == toConsole:
		return stdouttrace.New(stdouttrace.WithWriter(os.Stderr)) //nolint:forbidigo // asked for by name, by an environment variable
	case to.protocol == GRPC:
		return otlptracegrpc.New(ctx, options(to, otlptracegrpc.WithEndpointURL, otlptracegrpc.WithHeaders)...)
	}
	return otlptracehttp.New(ctx, options(to, otlptracehttp.WithEndpointURL, otlptracehttp.WithHeaders)...)
}

// exporter is another one whose errors go to our log.
type exporter struct {
	sdk.SpanExporter
	trouble trouble
}

// ExportSpans never fails: what could be retried has been.
func (e *exporter) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	e.trouble.export(len(spans), func() error { return e.SpanExporter.ExportSpans(ctx, spans) })
	return nil
}

// Shutdown never fails either: the provider would print the error.
func (e *exporter) Shutdown(ctx context.Context) error {
	_ = e.SpanExporter.Shutdown(ctx)
	return nil
}
