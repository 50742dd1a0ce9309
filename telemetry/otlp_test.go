package telemetry

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTarget(t *testing.T) {
	file := OTLP{Endpoint: "https://c.example/otlp", Protocol: HTTPProtobuf, Headers: map[string]Secret{"k": "v"}}
	plain := OTLP{Endpoint: "http://c.example:4317", Protocol: GRPC}
	only := func(c OTLP, signals ...string) OTLP { c.Signals = signals; return c }
	headers := map[string]string{"k": "v"}
	type env map[string]string
	for _, tc := range []struct {
		name   string
		signal signal
		file   OTLP
		env    env
		want   target
	}{
		{name: "nothing", signal: signalTraces},
		{"file", signalTraces, file, nil, target{to: toOTLP, protocol: HTTPProtobuf, endpoint: "https://c.example/otlp/v1/traces", headers: headers}},
		{"file, metrics", signalMetrics, file, nil, target{to: toOTLP, protocol: HTTPProtobuf, endpoint: "https://c.example/otlp/v1/metrics", headers: headers}},
		{"the path of another", signalLogs, OTLP{Endpoint: "http://c/a/v1/traces", Protocol: HTTPProtobuf}, nil, target{to: toOTLP, protocol: HTTPProtobuf, endpoint: "http://c/a/v1/logs"}},
		{"grpc", signalLogs, plain, nil, target{to: toOTLP, protocol: GRPC, endpoint: "http://c.example:4317/v1/logs"}},
		{"not among the signals", signalLogs, only(file, "traces", "metrics"), nil, target{}},
		{"among the signals", signalMetrics, only(plain, "traces", "metrics"), nil, target{to: toOTLP, protocol: GRPC, endpoint: "http://c.example:4317/v1/metrics"}},
		{"the general endpoint, not among the signals", signalLogs, only(OTLP{}, "traces"), env{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:1"}, target{}},
		{"an endpoint of its own, not among the signals", signalLogs, only(plain, "traces"), env{"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://x:1"}, target{to: toOTLP, protocol: GRPC}},
		{"the endpoint of another", signalLogs, OTLP{}, env{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://x:1"}, target{}},
		{"general variables", signalLogs, file, env{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:1", "OTEL_EXPORTER_OTLP_HEADERS": "a=b", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, target{to: toOTLP, protocol: GRPC}},
		{"variables of its own", signalLogs, plain, env{"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json", "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL": " http/protobuf "}, target{to: toOTLP, protocol: HTTPProtobuf, endpoint: "http://c.example:4317/v1/logs"}},
		{"blank variables", signalLogs, plain, env{"OTEL_EXPORTER_OTLP_ENDPOINT": " ", "OTEL_EXPORTER_OTLP_PROTOCOL": ""}, target{to: toOTLP, protocol: GRPC, endpoint: "http://c.example:4317/v1/logs"}},
		{"none", signalLogs, file, env{"OTEL_LOGS_EXPORTER": "none"}, target{}},
		{"none, and a broken endpoint", signalLogs, file, env{"OTEL_LOGS_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "x"}, target{}},
		{"none of another", signalTraces, plain, env{"OTEL_LOGS_EXPORTER": "none"}, target{to: toOTLP, protocol: GRPC, endpoint: "http://c.example:4317/v1/traces"}},
		{"console", signalLogs, file, env{"OTEL_LOGS_EXPORTER": "console"}, target{to: toConsole}},
		{"by name", signalLogs, OTLP{Protocol: GRPC}, env{"OTEL_LOGS_EXPORTER": "otlp"}, target{to: toOTLP, protocol: GRPC}},
		{"by name, not among the signals", signalLogs, only(plain, "traces"), env{"OTEL_LOGS_EXPORTER": "otlp"}, target{to: toOTLP, protocol: GRPC, endpoint: "http://c.example:4317/v1/logs"}},
		{"prometheus", signalMetrics, file, env{"OTEL_METRICS_EXPORTER": "prometheus"}, target{}},
		{"prometheus and otlp", signalMetrics, plain, env{"OTEL_METRICS_EXPORTER": "prometheus, otlp"}, target{to: toOTLP, protocol: GRPC, endpoint: "http://c.example:4317/v1/metrics"}},
		{"otlp and prometheus", signalMetrics, plain, env{"OTEL_METRICS_EXPORTER": "otlp,prometheus"}, target{to: toOTLP, protocol: GRPC, endpoint: "http://c.example:4317/v1/metrics"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for k, v := range tc.env {
				t.Setenv(k, v)
			}
			tc.want.signal = tc.signal
			got, err := targetOf(tc.signal, tc.file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(target{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A variable that says nothing once made the SDK print a line of its own, and go
// on without it: to its default endpoint, or without the key.
func TestVariablesThatSayNothing(t *testing.T) {
	notPEM := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(notPEM, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ name, value, want string }{
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "::bad", `OTEL_EXPORTER_OTLP_ENDPOINT must be a URL such as http://localhost:4318, not "::bad"`},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4317", "must be a URL"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://", "must be a URL"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://me:hunter2@host", "me:xxxxx@host"},
		{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://me:hunter2@ho st", `OTEL_EXPORTER_OTLP_METRICS_ENDPOINT must be a URL such as http://localhost:4318, not "***"`},
		{"OTEL_EXPORTER_OTLP_HEADERS", "a=b,authorization: hunter2", "part 2"},
		{"OTEL_EXPORTER_OTLP_METRICS_HEADERS", "a=hunter2%zz", "OTEL_EXPORTER_OTLP_METRICS_HEADERS"},
		{"OTEL_EXPORTER_OTLP_HEADERS", "x y=hunter2", "part 1"},
		{"OTEL_EXPORTER_OTLP_TIMEOUT", "10s", `OTEL_EXPORTER_OTLP_TIMEOUT must be a number of milliseconds, not "10s"`},
		{"OTEL_EXPORTER_OTLP_TIMEOUT", "99999999999999999", "may be 2147483647 milliseconds at most"},
		{"OTEL_EXPORTER_OTLP_TIMEOUT", "99999999999999999999", "may be 2147483647 milliseconds at most"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://me:hunter2@host", "may not hold a user or a password: use OTEL_EXPORTER_OTLP_HEADERS"},
		{"OTEL_EXPORTER_OTLP_HEADERS", "a=b,c=hunter2%0d%0aX: y", "part 2"},
		{"OTEL_EXPORTER_OTLP_COMPRESSION", "zstd", `OTEL_EXPORTER_OTLP_COMPRESSION must be gzip or none, not "zstd"`},
		{"OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere", "OTEL_EXPORTER_OTLP_CERTIFICATE: open /nowhere"},
		{"OTEL_EXPORTER_OTLP_CERTIFICATE", notPEM, "holds no certificate"},
		{"OTEL_EXPORTER_OTLP_CLIENT_KEY", "k.pem", "OTEL_EXPORTER_OTLP_CLIENT_KEY needs OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"},
		{"OTEL_EXPORTER_OTLP_METRICS_CLIENT_CERTIFICATE", "c.pem", "needs OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY"},
		{"OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", `protocol "http/json" is not one of http/protobuf, grpc`},
		{"OTEL_METRICS_EXPORTER", "zipkin", `OTEL_METRICS_EXPORTER must be otlp, console or none, not "zipkin"`},
		{"OTEL_METRICS_EXPORTER", "otlp,console", "may name one of"},
	} {
		t.Run(tc.name+"="+tc.value, func(t *testing.T) {
			t.Setenv(tc.name, tc.value)
			_, err := targetOf(signalMetrics, OTLP{Endpoint: "https://c", Protocol: HTTPProtobuf})
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("OTEL_METRIC_EXPORT_INTERVAL=0", func(t *testing.T) {
		t.Setenv("OTEL_METRIC_EXPORT_INTERVAL", "0")
		c := Defaults()
		c.OTLP.Endpoint = "http://127.0.0.1:1"
		if _, err := Start(t.Context(), c, Resource{}); err == nil || !strings.Contains(err.Error(), "OTEL_METRIC_EXPORT_INTERVAL must be more than 0") {
			t.Error(err)
		}
	})
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "service.instance.id=a,b=%zz")
	if _, err := Start(t.Context(), Defaults(), Resource{}); err == nil || !strings.Contains(err.Error(), "part 2") {
		t.Error(err)
	}
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "service.instance.id=a,broken")
	if _, err := Start(t.Context(), Defaults(), Resource{}); err == nil || !strings.Contains(err.Error(), "OTEL_RESOURCE_ATTRIBUTES must be name=value") {
		t.Error(err)
	}
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c.example")
	_, err := targetOf(signalLogs, OTLP{Endpoint: "https://c", Protocol: HTTPProtobuf, Headers: map[string]Secret{"k": "hunter2"}})
	if err == nil || !strings.Contains(err.Error(), "in the clear to http://c.example") {
		t.Error(err)
	}
}

// A queue of a hundred thousand million lines once took all the memory there is, and
// a delay of more than a Duration holds was one of nothing.
func TestVariablesOfBatches(t *testing.T) {
	for _, tc := range []struct {
		signal            signal
		name, value, want string
	}{
		{signalLogs, "OTEL_BLRP_MAX_QUEUE_SIZE", "99999999999", `OTEL_BLRP_MAX_QUEUE_SIZE must be a number from 1 to 1048576, not "99999999999"`},
		{signalLogs, "OTEL_BLRP_MAX_QUEUE_SIZE", "many", "from 1 to 1048576"},
		{signalLogs, "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "0", "from 1 to 1048576"},
		{signalLogs, "OTEL_BLRP_SCHEDULE_DELAY", "-1", "number of milliseconds"},
		{signalTraces, "OTEL_BSP_SCHEDULE_DELAY", "99999999999999999", "OTEL_BSP_SCHEDULE_DELAY may be 2147483647 milliseconds at most"},
		{signalTraces, "OTEL_BSP_EXPORT_TIMEOUT", "30s", "number of milliseconds"},
		{signalTraces, "OTEL_BSP_MAX_QUEUE_SIZE", "1e6", "from 1 to 1048576"},
	} {
		t.Run(tc.name+"="+tc.value, func(t *testing.T) {
			t.Setenv(tc.name, tc.value)
			_, err := targetOf(tc.signal, OTLP{Endpoint: "https://c", Protocol: HTTPProtobuf})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v", err)
			}
			t.Setenv("OTEL_"+strings.ToUpper(string(tc.signal))+"_EXPORTER", "console")
			if _, err := targetOf(tc.signal, OTLP{}); err == nil {
				t.Error("the console takes it")
			}
		})
	}
}
