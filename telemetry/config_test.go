package telemetry

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestValidate(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"defaults", func(*Config) {}, ""},
		{"https with a key", func(c *Config) {
			c.OTLP.Endpoint, c.OTLP.Headers = "https://x/otlp", map[string]Secret{"Authorization": "Bearer x"}
		}, ""},
		{"http to this machine with a key", func(c *Config) {
			c.OTLP.Endpoint, c.OTLP.Headers = "http://localhost:4318", map[string]Secret{"k": "x"}
		}, ""},
		{"http with a key", func(c *Config) {
			c.OTLP.Endpoint, c.OTLP.Headers = "http://x:4318", map[string]Secret{"k": "hunter2"}
		}, "otlp.endpoint: would send otlp.headers in the clear: use https://"},
		{"no URL", func(c *Config) { c.OTLP.Endpoint = "localhost:4318" }, "otlp.endpoint: must be a URL such as http://localhost:4318"},
		{"password", func(c *Config) { c.OTLP.Endpoint = "https://u:hunter2@x" }, "otlp.endpoint: may not hold a user or a password: use otlp.headers"},
		{"protocol", func(c *Config) { c.OTLP.Protocol = "http" }, `otlp.protocol: "http" is not one of http/protobuf, grpc`},
		{"signals", func(c *Config) { c.OTLP.Signals = []string{"logs", "metrics", "traces"} }, ""},
		{"no signal", func(c *Config) { c.OTLP.Signals = []string{"logs", "spans"} }, `otlp.signals.1: "spans" is not one of traces, metrics, logs`},
		{"header", func(c *Config) { c.OTLP.Headers = map[string]Secret{"k": "hunter2\r\n"} }, "otlp.headers.k: is not an HTTP header"},
		{"sample", func(c *Config) { c.Traces.Sample = 1.5 }, "traces.sample: must be between 0 and 1"},
		{"no trace is kept", func(c *Config) { c.Traces.Keep = 0 }, ""},
		{"keep", func(c *Config) { c.Traces.Keep = 10_001 }, "traces.keep: 10001 traces cannot be kept in memory: write 0 (none) to 10000, and name otlp.endpoint for more"},
		{"keep less than none", func(c *Config) { c.Traces.Keep = -1 }, "traces.keep: -1 traces cannot be kept in memory: write 0 (none) to 10000, and name otlp.endpoint for more"},
		{"capture", func(c *Config) { c.Traces.Capture = "all" }, `traces.capture: "all" is not one of none, redacted`},
		{"listen", func(c *Config) { c.Metrics.Listen = "9090" }, "metrics.listen: must be host:port"},
		{"level", func(c *Config) { c.Logs.Level = "INFO" }, `logs.level: "INFO" is not one of debug, info, warn, error`},
		{"format", func(c *Config) { c.Logs.Format = "" }, `logs.format: "" is not one of auto, text, json`},
		{"two", func(c *Config) { c.ServiceName, c.Logs.Format = "", "x" }, "service_name: must not be empty\nlogs.format: \"x\" is not one of auto, text, json"},
	} {
		c := Defaults()
		tc.change(&c)
		got := ""
		if err := c.Validate(); err != nil {
			got = err.Error()
		}
		if got != tc.want {
			t.Errorf("%s: want %q, got %q", tc.name, tc.want, got)
		}
	}
}

func TestSecret(t *testing.T) {
	s := Secret("hunter2")
	c := Config{OTLP: OTLP{Headers: map[string]Secret{"k": s}}}
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, out := range []string{fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %q %s", s, c, c, s, s), string(b)} {
		if strings.Contains(out, "hunter2") || !strings.Contains(out, "***") {
			t.Error(out)
		}
	}
	if string(s) != "hunter2" || Secret("").String() != "" {
		t.Error("the value is lost")
	}
}
