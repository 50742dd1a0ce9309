package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/contrib/bridges/otelslog"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/stdout/stdoutlog"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/sdk/resource"
)

// Bounds of what waits to be exported; OTEL_BLRP_* variables win. The queue drops
// the oldest lines when it is full.
const (
	logQueue  = 1024
	logBatch  = 256
	logValue  = 8 << 10 // letters of one attribute
	blrpQueue = "OTEL_BLRP_MAX_QUEUE_SIZE"
	blrpBatch = "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE"
	logLength = "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT"
)

// logs export what is logged. A goroutine sends the lines, which wait in a bounded
// queue: who logs never waits for a collector. A nil *logs exports nothing.
type logs struct {
	provider *sdklog.LoggerProvider
	exporter *logExporter
	handler  slog.Handler
}

// newLogs sets up what c and the OTEL_ variables ask for, nil if that is nothing. It
// reaches for no network. Trouble with the collector is told to r.Log, which must not
// be what is exported.
func newLogs(ctx context.Context, c Config, res *resource.Resource, r Resource) (*logs, error) {
	exporter, err := newLogExporter(ctx, c)
	if err != nil || exporter == nil {
		return nil, err
	}
	return logsTo(exporter, c, res, r), nil
}

// logsTo exports to exporter.
func logsTo(exporter sdklog.Exporter, c Config, res *resource.Resource, r Resource) *logs {
	least, err := level(c.Logs.Level)
	if err != nil {
		least = slog.LevelInfo
	}
	l := &logs{exporter: &logExporter{Exporter: exporter, trouble: trouble{signal: signalLogs, log: r.Log}}}
	var batch []sdklog.BatchProcessorOption
	if variable(blrpQueue) == "" {
		batch = append(batch, sdklog.WithMaxQueueSize(logQueue))
	}
	if variable(blrpBatch) == "" {
		batch = append(batch, sdklog.WithExportMaxBatchSize(logBatch))
	}
	options := []sdklog.LoggerProviderOption{
		sdklog.WithResource(res),
		sdklog.WithProcessor(logProcessor{sdklog.NewBatchProcessor(l.exporter, batch...)}),
	}
	if variable(logLength) == "" {
		options = append(options, sdklog.WithAttributeValueLengthLimit(logValue))
	}
	l.provider = sdklog.NewLoggerProvider(options...)
	l.handler = leveled{otelslog.NewHandler(scope, otelslog.WithLoggerProvider(l.provider), otelslog.WithVersion(r.Version)), least}
	return l
}

// newLogExporter returns what lines go to besides stderr, nil if nowhere.
func newLogExporter(ctx context.Context, c Config) (sdklog.Exporter, error) {
	to, err := targetOf(signalLogs, c.OTLP)
	switch {
	case err != nil || to.to == nowhere:
		return nil, err
	case to.to == toConsole:
		return stdoutlog.New(stdoutlog.WithWriter(os.Stderr)) //nolint:forbidigo // asked for by name, by an environment variable
	case to.protocol == GRPC:
		return otlploggrpc.New(ctx, options(to, otlploggrpc.WithEndpointURL, otlploggrpc.WithHeaders)...)
	}
	return otlploghttp.New(ctx, options(to, otlploghttp.WithEndpointURL, otlploghttp.WithHeaders)...)
}

// close exports what is queued and ends the goroutine. It blocks no longer than ctx;
// then the export that is under way is broken off.
func (l *logs) close(ctx context.Context) error {
	if l == nil {
		return nil
	}
	err := l.provider.Shutdown(ctx)
	l.exporter.breakOff()
	if err != nil {
		return fmt.Errorf("export the last lines of the log: %w", err)
	}
	return nil
}

// Logger returns a logger whose lines go where those of own go, and are exported: own
// itself if no lines are. Its lines of the level of telemetry.logs are exported,
// whatever the level of own is. own must write the collector's trouble nowhere but
// where people see it: give it to Start as Resource.Log.
func (t *Telemetry) Logger(own *slog.Logger) *slog.Logger {
	if t == nil || t.logs == nil {
		return own
	}
	return slog.New(slog.NewMultiHandler(own.Handler(), t.logs.handler))
}

// Happened exports an event for which there is no line: name is one of the Event
// constants, text says it in a sentence. It does not block.
func (t *Telemetry) Happened(ctx context.Context, at time.Time, level slog.Level, name, text string, attrs ...slog.Attr) {
	if t == nil || t.logs == nil || !t.logs.handler.Enabled(ctx, level) {
		return
	}
	r := slog.NewRecord(at, level, text, 0)
	r.AddAttrs(slog.String(EventName, name))
	r.AddAttrs(attrs...)
	_ = t.logs.handler.Handle(ctx, r) // the queue takes all that comes
}

// leveled is a handler that takes lines of one level and above.
type leveled struct {
	slog.Handler
	least slog.Level
}

func (h leveled) Enabled(_ context.Context, l slog.Level) bool { return l >= h.least }

func (h leveled) WithAttrs(attrs []slog.Attr) slog.Handler {
	return leveled{h.Handler.WithAttrs(attrs), h.least}
}

func (h leveled) WithGroup(name string) slog.Handler {
	return leveled{h.Handler.WithGroup(name), h.least}
}

// logExporter is another one whose errors go to stderr alone: what is logged of the
// export of lines must not be lines to export.
type logExporter struct {
	sdklog.Exporter
	trouble trouble
	cancel  atomic.Pointer[context.CancelFunc] // of the export under way
	over    atomic.Bool                        // one that begins now is broken off at once
}

// Export never fails: the SDK would print the error.
func (e *logExporter) Export(ctx context.Context, records []sdklog.Record) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	e.cancel.Store(&cancel)
	if e.over.Load() { // it was on its way here when the others were broken off
		cancel()
	}
	e.trouble.export(len(records), func() error { return e.Exporter.Export(ctx, records) })
	return nil
}

// breakOff ends the export under way, and all that come.
func (e *logExporter) breakOff() {
	e.over.Store(true)
	if cancel := e.cancel.Load(); cancel != nil {
		(*cancel)()
	}
}

// Shutdown never fails either.
func (e *logExporter) Shutdown(ctx context.Context) error {
	_ = e.Exporter.Shutdown(ctx)
	return nil
}
