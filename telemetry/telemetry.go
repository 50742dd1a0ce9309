package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// scope is the instrumentation scope of all our spans.
const scope = "github.com/interlock-mcp/interlock"

// Resource says who exports.
type Resource struct {
	Version string
	// Log is told when spans cannot be exported; nil for nobody.
	Log *slog.Logger
	// Stdout is where an audit to stdout goes; nil if that is somebody else's.
	Stdout io.Writer
}

// Telemetry is what Start set up. It is safe for concurrent use, and a nil one
// is one that does nothing.
type Telemetry struct {
	provider *sdk.TracerProvider // nil when no trace is exported
	exporter *exporter
	tracer   trace.Tracer            // nil when no trace is exported
	metrics  atomic.Pointer[metrics] // nil until MetricsHandler asks for them

	supervision atomic.Pointer[func() Supervision] // nil until Supervise

	audit *auditLog // nil when none is written
}

// Start sets up what c and the OTEL_ variables ask for; the variables win. It
// reaches for no network: a collector that is down is noticed later, by the
// exporter's goroutine, and told to r.Log. The error is one of configuration.
func Start(ctx context.Context, c Config, r Resource) (*Telemetry, error) {
	t := new(Telemetry)
	var err error
	if t.audit, err = openAudit(c.Audit.Path, r.Stdout, r.Log); err != nil {
		return nil, err
	}
	if off(os.Getenv("OTEL_SDK_DISABLED")) {
		return t, nil
	}
	inner, err := newExporter(ctx, c)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("traces: %w", err), t.audit.close())
	}
	if inner == nil {
		return t, nil
	}
	// Of what was found the variables come last, so that they win. The process's
	// arguments and owner are left out: they may be secret.
	res, err := resource.New(ctx,
		resource.WithTelemetrySDK(),
		resource.WithAttributes(attribute.String("service.name", c.ServiceName), attribute.String("service.version", r.Version)),
		resource.WithFromEnv())
	if err != nil && !errors.Is(err, resource.ErrPartialResource) {
		return nil, errors.Join(fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err), t.audit.close())
	}
	t.exporter = &exporter{SpanExporter: inner, trouble: trouble{signal: signalTraces, log: r.Log}}
	options := []sdk.TracerProviderOption{
		// The queue holds 2,048 spans and drops what comes then (OTEL_BSP_* change it).
		sdk.WithBatcher(t.exporter),
		sdk.WithResource(res),
	}
	if os.Getenv("OTEL_TRACES_SAMPLER") == "" {
		options = append(options, sdk.WithSampler(sdk.ParentBased(sdk.TraceIDRatioBased(c.Traces.Sample))))
	}
	t.provider = sdk.NewTracerProvider(options...)
	t.tracer = t.provider.Tracer(scope, trace.WithInstrumentationVersion(r.Version))
	return t, nil
}

func off(v string) bool { return v == "true" || v == "TRUE" || v == "True" }

// Enabled reports whether traces are exported.
func (t *Telemetry) Enabled() bool { return t != nil && t.tracer != nil }

// Watching reports whether operations are traced or counted: when not, there is
// no need to describe them.
func (t *Telemetry) Watching() bool { return t != nil && (t.tracer != nil || t.metrics.Load() != nil) }

// shutdownTimeout is what a collector may cost at the end at most.
const shutdownTimeout = 5 * time.Second

// Shutdown exports what is queued, ends the exporter's goroutine and closes the
// audit. It blocks no longer than ctx and five seconds. The error says that spans
// were lost.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	if t == nil {
		return nil
	}
	defer t.audit.close() //nolint:errcheck // each line was written when it came
	if t.provider == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, shutdownTimeout)
	defer cancel()
	err := t.provider.Shutdown(ctx)
	// When the time is up an export is still under way: this breaks it off.
	if ctx.Err() != nil {
		_ = t.exporter.SpanExporter.Shutdown(ctx)
	}
	if err != nil {
		return fmt.Errorf("export the last spans: %w", err)
	}
	return nil
}
