package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestOff(t *testing.T) {
	tel, err := Start(t.Context(), Defaults(), Resource{})
	if err != nil {
		t.Fatal(err)
	}
	for _, tel := range []*Telemetry{tel, nil} {
		if tel.Exporting() {
			t.Error("enabled")
		}
		ctx := t.Context()
		s := tel.Server(&Operation{Method: "ping", TraceParent: clients})
		if s != nil {
			t.Error("something is watched")
		}
		s.Event("x")
		s.Set(String("a", "b"))
		s.Link(s.Ref())
		s.End(Outcome{})
		if a, b, c := s.Inject(); a+b+c != "" {
			t.Error("something is injected")
		}
		tel.ServerSession(Session{})
		tel.ClientSession(Session{})
		if err := tel.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	}
}

// Where nothing is exported, what is not kept costs nothing: neither with no memory
// for traces nor when as many as are kept a second have been.
func TestOffAllocatesNothing(t *testing.T) {
	for _, keep := range []int{0, 200} {
		c := Defaults()
		c.Traces.Keep = keep
		tel, err := Start(t.Context(), c, Resource{})
		if err != nil {
			t.Fatal(err)
		}
		for spent := time.Now().Add(time.Hour); tel.Keeps(spent); { // the burst of an hour from now
			continue
		}
		if n := testing.AllocsPerRun(100, func() { call(tel) }); n != 0 {
			t.Errorf("keep %d: %v allocations", keep, n)
		}
	}
}

// call is what telemetry sees of one tools/call.
func call(tel *Telemetry) {
	began := time.Now()
	op := Operation{Method: "tools/call", Target: "files__read", TargetKind: Tool, Transport: "tcp", RequestID: "1", Began: began, Keep: tel.Keeps(began)}
	server := tel.Server(&op)
	op = Operation{Method: "tools/call", Target: "read", TargetKind: Tool, Transport: "pipe", Upstream: "files", Began: began}
	client := tel.Client(server, &op)
	client.Inject()
	client.End(Outcome{})
	server.End(Outcome{})
}

func BenchmarkCall(b *testing.B) {
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	defer collector.Close()
	for _, mode := range []string{"off", "metrics", "not sampled", "traces and metrics"} {
		b.Run(mode, func(b *testing.B) {
			c := Defaults()
			if mode != "off" && mode != "metrics" {
				c.OTLP.Endpoint = collector.URL
			}
			if mode == "not sampled" {
				c.Traces.Sample = 0
			}
			tel, err := Start(b.Context(), c, Resource{})
			if err != nil {
				b.Fatal(err)
			}
			if mode != "off" {
				tel.MetricsHandler()
			}
			b.ReportAllocs()
			for b.Loop() {
				call(tel)
			}
			b.StopTimer()
			_ = tel.Shutdown(context.Background())
		})
	}
}

func BenchmarkStart(b *testing.B) {
	for _, endpoint := range []string{"", "http://127.0.0.1:1"} {
		b.Run("endpoint="+endpoint, func(b *testing.B) {
			c := Defaults()
			c.OTLP.Endpoint = endpoint
			for b.Loop() {
				tel, err := Start(b.Context(), c, Resource{})
				if err != nil {
					b.Fatal(err)
				}
				tel.MetricsHandler()
				_ = tel.Shutdown(context.Background())
			}
		})
	}
}

// OTEL_ variables win over the file.
func TestVariables(t *testing.T) {
	for _, tc := range []struct {
		name   string
		env    map[string]string
		file   bool // an endpoint in the file
		spans  int
		errors bool
	}{
		{name: "file", file: true, spans: 1},
		{name: "nothing"},
		{name: "endpoint", env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "URL"}, spans: 1},
		{name: "endpoint of traces", env: map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "URL/v1/traces"}, spans: 1},
		{name: "endpoint over the file's", env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, file: true},
		{name: "none", env: map[string]string{"OTEL_TRACES_EXPORTER": "none"}, file: true},
		{name: "otlp", env: map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}, file: true, spans: 1},
		{name: "disabled", env: map[string]string{"OTEL_SDK_DISABLED": "true"}, file: true},
		{name: "sampler", env: map[string]string{"OTEL_TRACES_SAMPLER": "always_off"}, file: true},
		{name: "unknown exporter", env: map[string]string{"OTEL_TRACES_EXPORTER": "zipkin"}, file: true, errors: true},
		{name: "unknown protocol", env: map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, file: true, errors: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newReceiver(t)
			for k, v := range tc.env {
				t.Setenv(k, strings.Replace(v, "URL", r.URL, 1))
			}
			t.Setenv("OTEL_SERVICE_NAME", "mine")
			c := Defaults()
			if tc.file {
				c.OTLP.Endpoint = r.URL
				c.OTLP.Headers = map[string]Secret{"X-Key": "k1"}
			}
			tel, err := Start(t.Context(), c, Resource{Version: "1.2.3"})
			if tc.errors {
				if err == nil {
					t.Fatal("no error")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			s := tel.Server(&Operation{Method: "ping"})
			s.End(Outcome{})
			wait := time.Minute
			if tc.spans == 0 { // the endpoint may be one where nobody is
				wait = 100 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), wait)
			defer cancel()
			if err := tel.Patient().Shutdown(ctx); err != nil && tc.spans > 0 {
				t.Error(err)
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			if len(r.spans) != tc.spans {
				t.Fatalf("%d spans", len(r.spans))
			}
			if tc.spans == 0 {
				return
			}
			if r.resource["service.name"] != "mine" || r.resource["service.version"] != "1.2.3" {
				t.Error("resource", r.resource)
			}
			if p := r.requests[0].URL.Path; p != "/v1/traces" {
				t.Error("path", p)
			}
			if k := r.requests[0].Header.Get("X-Key"); tc.file && k != "k1" {
				t.Error("header", k)
			}
		})
	}
}

// A collector that accepts and never answers costs no call and at the end what
// Shutdown is given. Each try has an hour, so that a call, or a Shutdown, that
// waited for one would not return.
func TestHungCollector(t *testing.T) {
	for _, v := range []string{"OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_BSP_EXPORT_TIMEOUT"} {
		t.Setenv(v, "3600000")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, protocol := range []string{HTTPProtobuf, GRPC} {
		var out bytes.Buffer
		c := Defaults()
		c.OTLP.Endpoint, c.OTLP.Protocol = "http://"+l.Addr().String(), protocol
		tel, err := Start(t.Context(), c, Resource{Log: slog.New(slog.NewTextHandler(&out, nil))})
		if err != nil {
			t.Fatal(err)
		}
		for range 3000 { // more than the queue holds
			call(tel)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		if err := tel.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", protocol, err)
		}
		cancel()
	}
}

func TestLogger(t *testing.T) {
	for _, tc := range []struct {
		format   string
		terminal bool
		want     string // what the line begins with
	}{
		{"auto", false, `{"time":`},
		{"json", true, `{"time":`},
		{"text", false, `time=`},
		{"auto", true, "\x1b["},
		{"text", true, "\x1b["},
	} {
		var out bytes.Buffer
		c := Defaults()
		c.Logs.Level, c.Logs.Format = "warn", tc.format
		log := NewLogger(c, &out, tc.terminal)
		log.Info("no")
		log.With("a", 1).WithGroup("g").Warn("yes", "token", Secret("hunter2"), "name", "\x1b[31mred")
		if !strings.HasPrefix(out.String(), tc.want) || strings.Count(out.String(), "\n") != 1 {
			t.Errorf("%+v: %q", tc, out.String())
		}
		if strings.Contains(out.String(), "hunter2") || !strings.Contains(out.String(), "***") {
			t.Errorf("%+v: the secret shows: %q", tc, out.String())
		}
		if strings.Contains(out.String(), "\x1b[31mred") {
			t.Errorf("%+v: a value can colour the terminal: %q", tc, out.String())
		}
	}
}

// A line logged within a span says so.
func TestLoggerTrace(t *testing.T) {
	r := newReceiver(t)
	tel, _ := traced(t, r, nil)
	s := tel.Server(&Operation{Method: "ping", TraceParent: clients})
	ctx := NewContext(t.Context(), s)
	defer s.End(Outcome{})
	var out bytes.Buffer
	log := NewLogger(Defaults(), &out, false)
	log.InfoContext(ctx, "x")
	var line map[string]string
	if err := json.Unmarshal(out.Bytes(), &line); err != nil || line["trace_id"] != clients[3:35] || len(line["span_id"]) != 16 {
		t.Errorf("%v: %s", err, out.String())
	}
	out.Reset()
	log.Info("x")
	if strings.Contains(out.String(), "trace_id") {
		t.Error(out.String())
	}
}
