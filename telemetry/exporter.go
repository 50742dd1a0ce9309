package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// newExporter returns what OTEL_TRACES_EXPORTER asks for, else OTLP if there is
// an endpoint, else nil.
func newExporter(ctx context.Context, c Config) (sdk.SpanExporter, error) {
	switch os.Getenv("OTEL_TRACES_EXPORTER") {
	case "", "otlp":
	case "console": // autoexport's writes on stdout, which may be a client's
		return stdouttrace.New(stdouttrace.WithWriter(os.Stderr)) //nolint:forbidigo // asked for by name, by an environment variable
	default:
		e, err := autoexport.NewSpanExporter(ctx)
		if err == nil && autoexport.IsNoneSpanExporter(e) {
			return nil, nil
		}
		return e, err
	}
	if set("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == "" && c.OTLP.Endpoint == "" &&
		os.Getenv("OTEL_TRACES_EXPORTER") == "" {
		return nil, nil
	}
	if err := checkEndpoints(); err != nil {
		return nil, err
	}
	protocol := set("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
	if protocol == "" {
		protocol = c.OTLP.Protocol
	}
	switch protocol {
	case GRPC:
		return otlptracegrpc.New(ctx, options(c, otlptracegrpc.WithEndpointURL, otlptracegrpc.WithHeaders)...)
	case HTTPProtobuf:
		return otlptracehttp.New(ctx, options(c, otlptracehttp.WithEndpointURL, otlptracehttp.WithHeaders)...)
	}
	return nil, fmt.Errorf("protocol %q is not one of %s, %s", protocol, HTTPProtobuf, GRPC)
}

// checkEndpoints finds a variable that names no endpoint. The SDK prints what it
// thinks of it and goes on to its own default, where nobody looks for traces.
func checkEndpoints() error {
	for _, name := range []string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"} {
		v := os.Getenv(name)
		if v == "" {
			continue
		}
		if u, err := url.Parse(v); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return fmt.Errorf("%s must be a URL such as http://localhost:4318, not %q", name, redacted(v, u))
		}
	}
	return nil
}

// redacted is an endpoint as it may be shown: without its password.
func redacted(v string, u *url.URL) string {
	switch {
	case u != nil:
		return u.Redacted()
	case strings.Contains(v, "@"):
		return "***"
	}
	return v
}

// options are the exporter's, as far as no variable says otherwise: an option
// would win over a variable.
func options[O any](c Config, endpoint func(string) O, headers func(map[string]string) O) []O {
	var all []O
	if c.OTLP.Endpoint != "" && set("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == "" {
		all = append(all, endpoint(tracesURL(c.OTLP.Endpoint)))
	}
	if len(c.OTLP.Headers) > 0 && set("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS") == "" {
		plain := make(map[string]string, len(c.OTLP.Headers))
		for name, v := range c.OTLP.Headers {
			plain[name] = string(v)
		}
		all = append(all, headers(plain))
	}
	return all
}

func set(variables ...string) string {
	for _, v := range variables {
		if s := os.Getenv(v); s != "" {
			return s
		}
	}
	return ""
}

// tracesURL adds the path of the traces signal, as for
// OTEL_EXPORTER_OTLP_ENDPOINT. gRPC looks at no path.
func tracesURL(endpoint string) string {
	u, err := url.Parse(endpoint)
	if err != nil || strings.HasSuffix(u.Path, "/v1/traces") {
		return endpoint
	}
	return u.JoinPath("v1", "traces").String()
}

// logEvery is how often trouble with a collector is worth a line.
const logEvery = 10 * time.Minute

// exporter takes the errors of another one, so that they reach our log, and
// not too often, and never the global handler of the SDK, which prints.
type exporter struct {
	sdk.SpanExporter
	log *slog.Logger

	mu     sync.Mutex // guards what follows
	failed bool
	lost   int
	told   time.Time
}

// ExportSpans never fails: what could be retried has been.
func (e *exporter) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	err := e.SpanExporter.ExportSpans(ctx, spans)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.log == nil {
		return nil
	}
	now := time.Now()
	switch {
	case err != nil:
		e.lost += len(spans)
		if e.told.IsZero() || now.Sub(e.told) >= logEvery {
			e.log.Warn("traces cannot be exported", "error", err, "lost", e.lost)
			e.told, e.lost = now, 0
		}
		e.failed = true
	case e.failed:
		e.failed = false
		e.log.Info("traces are exported again", "lost", e.lost)
		e.lost = 0
	}
	return nil
}

// Shutdown never fails either: the provider would print the error.
func (e *exporter) Shutdown(ctx context.Context) error {
	_ = e.SpanExporter.Shutdown(ctx)
	return nil
}
