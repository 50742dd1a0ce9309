package telemetry_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/interlock-mcp/interlock/telemetry"
	"github.com/interlock-mcp/interlock/telemetry/telemetrytest"
)

// pushing starts a telemetry that exports to that endpoint. The function it
// returns ends it.
func pushing(t *testing.T, endpoint string, change func(*telemetry.Config), log *slog.Logger) (*telemetry.Telemetry, func()) {
	t.Helper()
	c := telemetry.Defaults()
	c.OTLP.Endpoint = endpoint
	if change != nil {
		change(&c)
	}
	tel, err := telemetry.Start(t.Context(), c, telemetry.Resource{Version: "1.2.3", Log: log})
	if err != nil {
		t.Fatal(err)
	}
	ended := false
	end := func() {
		if ended {
			return
		}
		ended = true
		if err := tel.Patient().Shutdown(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(end)
	return tel, end
}

var read = telemetry.Operation{Method: "tools/call", Target: "files__read", TargetKind: telemetry.Tool, Transport: "tcp"}

// byName are the metrics that came, by name.
func byName(all []*metrics.ResourceMetrics) map[string]*metrics.Metric {
	out := make(map[string]*metrics.Metric)
	for _, r := range all {
		for _, s := range r.ScopeMetrics {
			for _, m := range s.Metrics {
				out[m.Name] = m
			}
		}
	}
	return out
}

// What a collector gets is what Prometheus is shown: the same series, counted
// from the start, with the trace of a call beside its bucket.
func TestMetricsOverOTLP(t *testing.T) {
	c := telemetrytest.New(t)
	tel, end := pushing(t, c.URL, func(c *telemetry.Config) { c.OTLP.Signals = []string{"traces", "metrics"} }, nil)
	if !tel.Counting() {
		t.Fatal("nothing is counted before a scrape")
	}
	op := read
	s := tel.Server(&op)
	s.End(telemetry.Outcome{})
	m := tel.ServerMeter(op)
	m.Count(30*time.Millisecond, telemetry.Outcome{}, s)
	m.Count(2*time.Second, telemetry.Outcome{ToolError: true}, nil)
	tel.CallRejected("queue_full")
	end()
	got := byName(c.Metrics())
	h := got["mcp.server.operation.duration"].GetHistogram()
	if h == nil || h.AggregationTemporality != metrics.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE || len(h.DataPoints) != 2 {
		t.Fatalf("%v", h)
	}
	for _, p := range h.DataPoints {
		failed := false
		for _, kv := range p.Attributes {
			failed = failed || kv.Key == "error.type" && kv.Value.GetStringValue() == "tool_error"
			if kv.Key == "gen_ai.tool.name" && kv.Value.GetStringValue() != "files__read" {
				t.Error(kv)
			}
		}
		switch {
		case p.Count != 1 || len(p.ExplicitBounds) != 14 || len(p.BucketCounts) != 15 || p.StartTimeUnixNano == 0 || p.TimeUnixNano < p.StartTimeUnixNano:
			t.Errorf("%v", p)
		case failed && (p.GetSum() != 2 || p.BucketCounts[7] != 1 || len(p.Exemplars) != 0):
			t.Errorf("%v", p)
		case !failed && (p.GetSum() != 0.03 || p.BucketCounts[2] != 1 || len(p.Exemplars) != 1 || hex.EncodeToString(p.Exemplars[0].TraceId) != s.TraceID() ||
			hex.EncodeToString(p.Exemplars[0].SpanId) != s.SpanID() || p.Exemplars[0].GetAsDouble() != 0.03):
			t.Errorf("%v", p)
		}
	}
	for name, unit := range map[string]string{"mcp.server.operation.duration": "s", "interlock.calls.rejected": "{call}", "go.goroutine.count": "{goroutine}"} {
		if m := got[name]; m == nil || m.Unit != unit || m.Description == "" {
			t.Errorf("%s: %v", name, m)
		}
	}
	if n := len(c.Spans()); n != 1 {
		t.Errorf("%d spans", n)
	}
	for _, kv := range c.Metrics()[0].Resource.Attributes {
		if kv.Key == "service.name" && kv.Value.GetStringValue() != "interlock" {
			t.Error(kv)
		}
	}
}

// Some backends want what was counted since the last time.
func TestDifferencesOverOTLP(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta")
	t.Setenv("OTEL_METRIC_EXPORT_INTERVAL", "20")
	c := telemetrytest.New(t)
	tel, end := pushing(t, c.URL, func(c *telemetry.Config) { c.OTLP.Signals = []string{"metrics"} }, nil)
	// The reader of Prometheus is beside it, and wants sums.
	tel.MetricsHandler()
	m := tel.ServerMeter(read)
	total := func() (calls, decisions uint64) {
		for _, r := range c.Metrics() {
			got := byName([]*metrics.ResourceMetrics{r})
			for _, p := range got["mcp.server.operation.duration"].GetHistogram().GetDataPoints() {
				calls += p.Count
			}
			for _, p := range got["interlock.policy.decisions"].GetSum().GetDataPoints() {
				decisions += uint64(p.GetAsInt())
			}
		}
		return calls, decisions
	}
	for i := range uint64(3) {
		m.Count(time.Second, telemetry.Outcome{}, nil)
		tel.PolicyDecided(t.Context(), telemetry.PolicyDecision{Policy: "p", Phase: "before", Effect: "allow"})
		c.Wait("a difference", func() bool { calls, decisions := total(); return calls > i && decisions > i })
	}
	end()
	if calls, decisions := total(); calls != 3 || decisions != 3 {
		t.Errorf("%d calls, %d decisions", calls, decisions)
	}
	if h := byName(c.Metrics()[:1])["mcp.server.operation.duration"].GetHistogram(); h != nil &&
		h.AggregationTemporality != metrics.AggregationTemporality_AGGREGATION_TEMPORALITY_DELTA {
		t.Error(h.AggregationTemporality)
	}
}

// lines keeps what is logged.
type lines struct {
	bytes.Buffer
	first chan struct{} // closed at the first
}

func (l *lines) Write(b []byte) (int, error) {
	if l.Len() == 0 {
		defer close(l.first)
	}
	return l.Buffer.Write(b)
}

// A collector without metrics, such as Jaeger, costs one line; traces go on.
func TestCollectorWithoutMetrics(t *testing.T) {
	t.Setenv("OTEL_METRIC_EXPORT_INTERVAL", "20")
	c := telemetrytest.New(t)
	c.Answer("/v1/metrics", http.StatusNotFound)
	out := &lines{first: make(chan struct{})}
	tel, end := pushing(t, c.URL, func(c *telemetry.Config) { c.OTLP.Signals = []string{"traces", "metrics"} }, slog.New(slog.NewTextHandler(out, nil)))
	<-out.first
	op := read
	tel.Server(&op).End(telemetry.Outcome{})
	end()
	if said := out.String(); strings.Count(said, "\n") != 1 || !strings.Contains(said, "does not take this signal") || !strings.Contains(said, "leave metrics out of telemetry.otlp.signals") {
		t.Error(said)
	}
	asked := 0
	for _, r := range c.Requests() {
		if r.URL.Path == "/v1/metrics" {
			asked++
		}
	}
	if len(c.Spans()) != 1 || asked != 1 {
		t.Errorf("%d spans, %d exports of metrics", len(c.Spans()), asked)
	}
}

// grpcMetrics takes metrics over gRPC and hands them over.
type grpcMetrics struct {
	collector.UnimplementedMetricsServiceServer
	got chan *collector.ExportMetricsServiceRequest // capacity 1: one export is expected
	key chan []string                               // the same
}

func (r *grpcMetrics) Export(ctx context.Context, in *collector.ExportMetricsServiceRequest) (*collector.ExportMetricsServiceResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	r.got <- in
	r.key <- md.Get("x-key")
	return &collector.ExportMetricsServiceResponse{}, nil
}

func TestMetricsOverGRPC(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &grpcMetrics{got: make(chan *collector.ExportMetricsServiceRequest, 1), key: make(chan []string, 1)}
	server := grpc.NewServer()
	collector.RegisterMetricsServiceServer(server, r)
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	defer func() {
		server.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	tel, end := pushing(t, "http://"+l.Addr().String(), func(c *telemetry.Config) {
		c.OTLP.Protocol, c.OTLP.Headers, c.OTLP.Signals = telemetry.GRPC, map[string]telemetry.Secret{"x-key": "k1"}, []string{"metrics"}
	}, nil)
	tel.ServerMeter(read).Count(time.Second, telemetry.Outcome{}, nil)
	end()
	select {
	case in := <-r.got:
		if byName(in.ResourceMetrics)["mcp.server.operation.duration"] == nil {
			t.Error("calls are not among", in)
		}
		if key := <-r.key; len(key) != 1 || key[0] != "k1" {
			t.Error(key)
		}
	default:
		t.Error("nothing was exported")
	}
}
