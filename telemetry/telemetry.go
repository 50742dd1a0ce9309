package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/sdk/resource"
)

// scope is the instrumentation scope of all our spans.
const scope = "github.com/interlock-mcp/interlock"

// Resource says who exports.
type Resource struct {
	Version string
	// Log is told when something cannot be exported; nil for nobody. What is to be
	// exported is logged with Telemetry.Logger(Log).
	Log *slog.Logger
	// Stdout is where an audit to stdout goes; nil if that is somebody else's.
	Stdout io.Writer
}

// Telemetry is what Start set up. It is safe for concurrent use, and a nil one
// is one that does nothing.
type Telemetry struct {
	queue    *spanQueue              // nil when no trace is exported
	uploader *uploader               // the queue's
	ring     *ring                   // nil when none is kept
	open     underway                // requests that will be in it
	sheets   sync.Pool               // of *sheet, for spans
	sampler  sampler                 // of what is exported
	budget   budget                  // of what is kept
	metrics  atomic.Pointer[metrics] // nil until they are exported or MetricsHandler asks for them

	counting  sync.Once // makes metrics or uncounted
	uncounted error
	about     Resource
	resource  *resource.Resource

	exporter atomic.Pointer[metricExporter] // nil when no metrics are exported

	supervision atomic.Pointer[func() Supervision] // nil until Supervise
	own         atomic.Pointer[func() Process]     // nil until Watch

	logs  *logs     // nil when no lines are exported
	audit *auditLog // nil when none is written

	patience time.Duration // of Shutdown
}

// Start sets up what c and the OTEL_ variables ask for; the variables win. It
// reaches for no network: a collector that is down is noticed later, by the
// exporters' goroutines, and told to r.Log. The error is one of configuration.
func Start(ctx context.Context, c Config, r Resource) (*Telemetry, error) {
	t := &Telemetry{about: r, patience: shutdownTimeout}
	if err := t.start(ctx, c); err != nil {
		_ = t.Shutdown(ctx) // there is nothing to export yet
		return nil, err
	}
	return t, nil
}

func (t *Telemetry) start(ctx context.Context, c Config) (err error) {
	r := t.about
	if t.audit, err = openAudit(c.Audit.Path, r.Stdout, r.Log); err != nil {
		return err
	}
	if t.resource, err = newResource(ctx, c.ServiceName, r.Version); err != nil {
		return err
	}
	if off(os.Getenv("OTEL_SDK_DISABLED")) {
		return nil
	}
	if c.Traces.Keep > 0 {
		t.ring = newRing(c.Traces.Keep, keptBytes)
	}
	if t.sampler, err = newSampler(c.Traces.Sample); err != nil {
		return err
	}
	upload, err := newUploader(ctx, c.OTLP, t.resource, r)
	if err != nil {
		return fmt.Errorf("traces: %w", err)
	}
	if upload != nil {
		t.exportWith(upload)
	}
	if t.logs, err = newLogs(ctx, c, t.resource, r); err != nil {
		return fmt.Errorf("logs: %w", err)
	}
	if t.audit != nil && r.Log != nil { // what befalls it is worth to be told everywhere
		t.audit.log = t.Logger(r.Log)
	}
	// The last: its goroutine asks the others what they dropped.
	if err := t.startMetrics(ctx, c.OTLP); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	return nil
}

// exportWith begins to export spans with u.
func (t *Telemetry) exportWith(u *uploader) {
	t.queue = newSpanQueue(newBatchLimits(), u.upload, u.trouble.overflowed)
	t.uploader = u
}

// keptBytes bounds the traces in memory.
const keptBytes = 8 << 20

func off(v string) bool { return v == "true" || v == "TRUE" || v == "True" }

// Exporting reports whether traces are exported.
func (t *Telemetry) Exporting() bool { return t != nil && t.queue != nil }

// Tracing reports whether traces are exported or kept in memory.
func (t *Telemetry) Tracing() bool { return t != nil && (t.queue != nil || t.ring != nil) }

// Watching reports whether operations are traced or counted: when not, there is
// no need to describe them.
func (t *Telemetry) Watching() bool { return t.Tracing() || t != nil && t.metrics.Load() != nil }

// shutdownTimeout is what a collector may cost at the end at most.
const shutdownTimeout = 5 * time.Second

// Shutdown exports what is queued, ends the exporters' goroutines and closes the
// audit. It blocks no longer than ctx and five seconds. The error says what was lost.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	if t == nil {
		return nil
	}
	defer t.audit.close() //nolint:errcheck // each line was written when it came
	ctx, cancel := context.WithTimeout(ctx, t.patience)
	defer cancel()
	// Side by side: a collector that hangs takes all the time of each.
	var lines error
	var others sync.WaitGroup
	others.Go(func() { lines = t.logs.close(ctx) })
	others.Go(func() { t.metrics.Load().shutdown(ctx) })
	spans := t.closeSpans(ctx)
	others.Wait()
	return errors.Join(spans, lines)
}

func (t *Telemetry) closeSpans(ctx context.Context) error {
	if t.queue == nil {
		return nil
	}
	if err := errors.Join(t.queue.close(ctx), t.uploader.close(ctx)); err != nil {
		return fmt.Errorf("export the last spans: %w", err)
	}
	return nil
}
