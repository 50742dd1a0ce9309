package telemetry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/sdk/resource"
	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/interlock-mcp/interlock/telemetry/telemetrytest"
)

// logging starts a telemetry that exports lines to endpoint, and returns its logger,
// what that writes, and what ends it all.
func logging(t *testing.T, endpoint string, change func(*Config)) (tel *Telemetry, log *slog.Logger, out *bytes.Buffer, end func()) {
	t.Helper()
	c := Defaults()
	c.OTLP.Endpoint = endpoint
	if change != nil {
		change(&c)
	}
	out = new(bytes.Buffer)
	own := NewLogger(c, out, false)
	tel, err := Start(t.Context(), c, Resource{Version: "1.2.3", Log: own})
	if err != nil {
		t.Fatal(err)
	}
	return tel, tel.Logger(own), out, func() {
		t.Helper()
		if err := tel.Patient().Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

// records are all that came, with the resource and the scope of the last.
func records(all []*logspb.ResourceLogs) (out []*logspb.LogRecord, resource map[string]string, scope string) {
	for _, rl := range all {
		resource = attrs(rl.Resource.Attributes)
		for _, sl := range rl.ScopeLogs {
			scope = sl.Scope.Name + " " + sl.Scope.Version
			out = append(out, sl.LogRecords...)
		}
	}
	return out, resource, scope
}

func TestLogsAreExported(t *testing.T) {
	c := telemetrytest.New(t).TakeAnyName()
	tel, log, out, end := logging(t, c.URL, nil)
	span := tel.Server(&Operation{Method: "ping", TraceParent: clients})
	ctx := NewContext(t.Context(), span)
	log.With("upstream", "files").InfoContext(ctx, "one", EventName, "interlock.test", "token", Secret("hunter2"), "n", 3, "error", errors.New("no"))
	log.Debug("not wanted")
	log.WithGroup("g").Warn("two", "names", []string{"a", "b\xff"}, "k", "\xc3\x28")
	span.End(Outcome{})
	end()
	got, resource, scope := records(c.Logs())
	if len(got) != 2 {
		t.Fatalf("%d records", len(got))
	}
	if resource["service.name"] != "interlock" || resource["service.version"] != "1.2.3" || scope != "github.com/interlock-mcp/interlock 1.2.3" {
		t.Error(resource, scope)
	}
	one, two := got[0], got[1]
	if one.Body.GetStringValue() != "one" || one.SeverityText != "INFO" || one.SeverityNumber != 9 || one.EventName != "interlock.test" {
		t.Error(one)
	}
	if fmt.Sprintf("%x", one.TraceId) != clients[3:35] || fmt.Sprintf("%x", one.SpanId) != span.SpanID() || one.Flags&1 == 0 {
		t.Errorf("not of the span: %v", one)
	}
	a := attrs(one.Attributes)
	if a["upstream"] != "files" || a["token"] != "***" || a["n"] != "3ns" || a["exception.message"] != "no" {
		t.Error(a)
	}
	if _, ok := a[EventName]; ok {
		t.Error("the event's name is an attribute, too")
	}
	if len(two.TraceId) != 0 || two.SeverityText != "WARN" {
		t.Error(two)
	}
	// One text that is no UTF-8 once cost the whole batch.
	var names, k string
	for _, kv := range two.Attributes[0].Value.GetKvlistValue().Values {
		switch kv.Key {
		case "names":
			names = kv.Value.GetArrayValue().Values[1].GetStringValue()
		case "k":
			k = kv.Value.GetStringValue()
		}
	}
	if names != "b\ufffd" || k != "\ufffd(" {
		t.Errorf("%q %q", names, k)
	}
	if n := strings.Count(out.String(), "\n"); n != 2 || strings.Contains(out.String(), "hunter2") {
		t.Errorf("%d lines on stderr: %s", n, out)
	}
}

// What has no line on stderr is an event all the same, and of the level that is asked
// for.
func TestHappened(t *testing.T) {
	c := telemetrytest.New(t)
	tel, _, out, end := logging(t, c.URL, nil)
	at := time.Unix(1_700_000_000, 5)
	tel.Happened(t.Context(), at, slog.LevelWarn, "interlock.breaker.opened", "it opened", slog.String("upstream", "files"))
	tel.Happened(t.Context(), at, slog.LevelDebug, "interlock.not", "not wanted")
	end()
	got, _, _ := records(c.Logs())
	if len(got) != 1 || got[0].EventName != "interlock.breaker.opened" || got[0].TimeUnixNano != uint64(at.UnixNano()) ||
		got[0].SeverityText != "WARN" || attrs(got[0].Attributes)["upstream"] != "files" {
		t.Error(got)
	}
	if out.Len() != 0 {
		t.Error(out)
	}
}

// Where lines go nowhere, the logger is the one there was.
func TestLogsAreOff(t *testing.T) {
	for name, x := range map[string]struct {
		change   func(*Config)
		exporter string
	}{
		"no endpoint":        {func(c *Config) { c.OTLP.Endpoint = "" }, ""},
		"of other signals":   {func(c *Config) { c.OTLP.Signals = []string{"traces"} }, ""},
		"OTEL_LOGS_EXPORTER": {nil, "none"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("OTEL_LOGS_EXPORTER", x.exporter)
			tel, _, _, end := logging(t, "http://127.0.0.1:1", x.change)
			own := slog.New(slog.DiscardHandler)
			if tel.Logger(own) != own {
				t.Error("it is another")
			}
			tel.Happened(t.Context(), time.Now(), slog.LevelError, "x", "y")
			end()
		})
	}
	var none *Telemetry
	own := slog.New(slog.DiscardHandler)
	if none.Logger(own) != own {
		t.Error("it is another")
	}
	none.Happened(t.Context(), time.Now(), slog.LevelError, "x", "y")
}

// What is said of a collector that refuses is told once, on stderr alone: as a line to
// export it would be refused, too, and told again.
func TestTroubleOfLogsIsNoLine(t *testing.T) {
	for _, tc := range []struct {
		status int
		want   string
	}{
		{http.StatusNotFound, "the collector does not take this signal"},
		{http.StatusBadRequest, "telemetry cannot be exported"},
	} {
		c := telemetrytest.New(t)
		c.Answer("/v1/logs", tc.status)
		tel, log, out, end := logging(t, c.URL, nil)
		for i := range 5 {
			log.Info("line", "n", i)
			if err := tel.logs.provider.ForceFlush(t.Context()); err != nil {
				t.Error(err)
			}
		}
		end()
		asked := 0
		for _, r := range c.Requests() {
			if r.URL.Path == "/v1/logs" {
				asked++
			}
		}
		if want := map[int]int{http.StatusNotFound: 1, http.StatusBadRequest: 5}[tc.status]; asked != want {
			t.Errorf("%d: %d requests, want %d", tc.status, asked, want)
		}
		if n := strings.Count(out.String(), tc.want); n != 1 || strings.Count(out.String(), "\n") != 6 {
			t.Errorf("%d: %s", tc.status, out)
		}
		if !strings.Contains(out.String(), `"signal":"logs"`) {
			t.Errorf("%d: whose trouble it is is not told: %s", tc.status, out)
		}
	}
}

// A collector that accepts and never answers costs who logs nothing, and at the end
// what Shutdown is given; one that is not there as little.
func TestLogsToAHungCollector(t *testing.T) {
	for _, v := range []string{"OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_BLRP_EXPORT_TIMEOUT", "OTEL_BSP_EXPORT_TIMEOUT"} {
		t.Setenv(v, "3600000")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, protocol := range []string{HTTPProtobuf, GRPC} {
		tel, log, _, _ := logging(t, "http://"+l.Addr().String(), func(c *Config) { c.OTLP.Protocol = protocol })
		for range 3 * logQueue { // more than the queue holds
			log.Info("line")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		if err := tel.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", protocol, err)
		}
		cancel()
	}
}

// slow is an exporter that waits, and keeps what it got.
type slow struct {
	sdklog.Exporter
	entered chan struct{} // capacity 1: an export is under way
	proceed chan struct{} // closed when exports may end
	got     []int64       // attribute n of each, -1 without
}

func (s *slow) Export(_ context.Context, all []sdklog.Record) error {
	select {
	case s.entered <- struct{}{}:
	default:
	}
	<-s.proceed
	for i := range all {
		n := int64(-1)
		all[i].WalkAttributes(func(kv attribute.KeyValue) bool { n = kv.Value.AsInt64(); return true })
		s.got = append(s.got, n)
	}
	return nil
}

func (s *slow) ForceFlush(context.Context) error { return nil }
func (s *slow) Shutdown(context.Context) error   { return nil }

// The queue keeps the newest lines, and no more than it may. In a bubble no second passes,
// after which it would export fewer at once.
func TestLogQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{entered: make(chan struct{}, 1), proceed: make(chan struct{})}
		l := logsTo(s, Defaults(), resource.Empty(), Resource{})
		log := slog.New(l.handler)
		for range logBatch {
			log.Info("first")
		}
		<-s.entered
		for i := range 3 * logQueue {
			log.Info("line", "n", i)
		}
		close(s.proceed)
		if err := l.close(t.Context()); err != nil {
			t.Error(err)
		}
		if n := len(s.got); n != logBatch+logQueue || s.got[n-1] != 3*logQueue-1 {
			t.Errorf("%d lines, the last is %d", n, s.got[n-1])
		}
	})
}

// grpcLogs is a collector of logs over gRPC that hands over what it gets.
type grpcLogs struct {
	collogs.UnimplementedLogsServiceServer
	got chan []string // capacity 1: one export is expected
}

func (r *grpcLogs) Export(ctx context.Context, in *collogs.ExportLogsServiceRequest) (*collogs.ExportLogsServiceResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	got := md.Get("x-key")
	all, _, _ := records(in.ResourceLogs)
	for _, x := range all {
		got = append(got, x.Body.GetStringValue())
	}
	r.got <- got
	return &collogs.ExportLogsServiceResponse{}, nil
}

func TestLogsOverGRPC(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &grpcLogs{got: make(chan []string, 1)}
	server := grpc.NewServer()
	collogs.RegisterLogsServiceServer(server, r)
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	defer func() {
		server.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	_, log, _, end := logging(t, "http://"+l.Addr().String(), func(c *Config) {
		c.OTLP.Protocol, c.OTLP.Signals = GRPC, []string{"logs"}
		c.OTLP.Headers = map[string]Secret{"x-key": "k1"}
	})
	log.Info("hello")
	end()
	select {
	case got := <-r.got:
		if fmt.Sprint(got) != "[k1 hello]" {
			t.Error(got)
		}
	default:
		t.Error("nothing was exported")
	}
}

// OTEL_ variables win over the bounds of ours.
func TestLogVariables(t *testing.T) {
	t.Setenv("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", "3")
	c := telemetrytest.New(t).TakeAnyName()
	_, log, _, end := logging(t, c.URL, nil)
	log.Info("x", "k", strings.Repeat("a", 10))
	end()
	got, _, _ := records(c.Logs())
	if len(got) != 1 || attrs(got[0].Attributes)["k"] != "aaa" {
		t.Error(got)
	}
	t.Setenv("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", "")
	_, log, _, end = logging(t, c.URL, nil)
	log.Info("x", "k", strings.Repeat("a", 3*logValue))
	end()
	got, _, _ = records(c.Logs())
	if k := attrs(got[1].Attributes)["k"]; len(k) != logValue {
		t.Error(len(k))
	}
}

// BenchmarkLog compares what a line costs with and without its export.
func BenchmarkLog(b *testing.B) {
	c := Defaults()
	own := NewLogger(c, new(discard), false)
	c.OTLP.Endpoint = "http://127.0.0.1:1"
	tel, err := Start(b.Context(), c, Resource{})
	if err != nil {
		b.Fatal(err)
	}
	for name, log := range map[string]*slog.Logger{"stderr": own, "exported": tel.Logger(own)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				log.Info("upstream state", "upstream", "files", "from", "starting", "to", "running", "generation", 7)
			}
		})
		b.Run(name+", not wanted", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				log.Debug("upstream state", "upstream", "files")
			}
		})
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	_ = tel.Shutdown(ctx)
}

type discard struct{}

func (*discard) Write(p []byte) (int, error) { return len(p), nil }
