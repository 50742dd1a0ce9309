package telemetry

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Config is the `telemetry` section. The zero
// value is not usable: start from Defaults. OTEL_ variables win over it.
type Config struct {
	ServiceName string  `koanf:"service_name"`
	OTLP        OTLP    `koanf:"otlp"`
	Traces      Traces  `koanf:"traces"`
	Metrics     Metrics `koanf:"metrics"`
	Logs        Logs    `koanf:"logs"`
	Audit       Audit   `koanf:"audit"`
}

// OTLP says where traces, metrics and logs go. An empty Endpoint sends none.
type OTLP struct {
	// Endpoint is a URL such as http://localhost:4318 (the signal's path is
	// added) or, for grpc, http://localhost:4317.
	Endpoint string            `koanf:"endpoint"`
	Protocol string            `koanf:"protocol"` // http/protobuf or grpc
	Headers  map[string]Secret `koanf:"headers"`
	// Signals are those that go there: traces, metrics, logs. None named is all.
	Signals []string `koanf:"signals"`
}

// Traces says what is traced.
type Traces struct {
	// Sample is the share of root traces kept, 0 to 1; a client's own decision
	// is followed.
	Sample float64 `koanf:"sample"`
	// Capture says whether the arguments and results of tools go into spans: none, or
	// redacted, which puts 4 KiB of each there, without what is known to be secret by its
	// name or its form. DANGER: what is private and looks like any other text (names,
	// addresses, mail, source code, a password in a sentence) is shown to whoever sees the
	// traces, in the backend and in `interlock traces`.
	Capture string `koanf:"capture"`
	// Keep is how many traces are kept in memory, for `interlock traces`, with a
	// backend or without: the last ones, 0 to 10000, in 8 MiB at most. 0 keeps none.
	Keep int `koanf:"keep"`
}

// maxKept is the most traces that are kept in memory.
const maxKept = 10_000

// Metrics names one more listener for /metrics, beside the admin listener.
type Metrics struct {
	Listen string `koanf:"listen"`
}

// Logs says what is logged to stderr and how.
type Logs struct {
	Level  string `koanf:"level"`  // debug, info, warn or error
	Format string `koanf:"format"` // auto (text on a terminal, else json), text or json
}

// The values of Traces.Capture.
const (
	CaptureNone     = "none"
	CaptureRedacted = "redacted"
)

// The protocols of OTLP.
const (
	HTTPProtobuf = "http/protobuf"
	GRPC         = "grpc"
)

// Defaults returns the configuration that is used when nothing is said.
func Defaults() Config {
	return Config{
		ServiceName: "interlock",
		OTLP:        OTLP{Protocol: HTTPProtobuf},
		Traces:      Traces{Sample: 1, Capture: CaptureNone, Keep: 200},
		Logs:        Logs{Level: "info", Format: "auto"},
	}
}

// FieldError is a fault of one key. Path is the key's path below `telemetry`.
type FieldError struct {
	Path []string
	Text string
}

func (e *FieldError) Error() string { return strings.Join(e.Path, ".") + ": " + e.Text }

// Validate returns every fault of c, joined, each a *FieldError. No text
// repeats a header's value.
func (c Config) Validate() error {
	var errs []error
	bad := func(text string, path ...string) { errs = append(errs, &FieldError{path, text}) }
	if c.ServiceName == "" {
		bad("must not be empty", "service_name")
	}
	if e := c.OTLP.Endpoint; e != "" {
		u, err := url.Parse(e)
		switch {
		case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
			bad("must be a URL such as http://localhost:4318", "otlp", "endpoint")
		case u.User != nil:
			bad("may not hold a user or a password: use otlp.headers", "otlp", "endpoint")
		case u.Scheme == "http" && len(c.OTLP.Headers) > 0 && !loopback(u.Hostname()):
			bad("would send otlp.headers in the clear: use https://", "otlp", "endpoint")
		}
	}
	if p := c.OTLP.Protocol; p != HTTPProtobuf && p != GRPC {
		bad(fmt.Sprintf("%q is not one of %s, %s", p, HTTPProtobuf, GRPC), "otlp", "protocol")
	}
	for i, word := range c.OTLP.Signals {
		if !slices.Contains(signals, signal(word)) {
			bad(fmt.Sprintf("%q is not one of traces, metrics, logs", word), "otlp", "signals", strconv.Itoa(i))
		}
	}
	for name, v := range c.OTLP.Headers {
		if name == "" || strings.ContainsAny(name, " \t\r\n:") || strings.ContainsAny(string(v), "\r\n") {
			bad("is not an HTTP header", "otlp", "headers", name)
		}
	}
	if s := c.Traces.Sample; !(s >= 0 && s <= 1) {
		bad("must be between 0 and 1", "traces", "sample")
	}
	if n := c.Traces.Keep; n < 0 || n > maxKept {
		bad(fmt.Sprintf("%d traces cannot be kept in memory: write 0 (none) to %d, and name otlp.endpoint for more", n, maxKept), "traces", "keep")
	}
	if m := c.Traces.Capture; m != CaptureNone && m != CaptureRedacted {
		bad(fmt.Sprintf("%q is not one of %s, %s", m, CaptureNone, CaptureRedacted), "traces", "capture")
	}
	if l := c.Metrics.Listen; l != "" {
		if _, port, err := net.SplitHostPort(l); err != nil || port == "" {
			bad("must be host:port", "metrics", "listen")
		}
	}
	if _, err := level(c.Logs.Level); err != nil {
		bad(fmt.Sprintf("%q is not one of debug, info, warn, error", c.Logs.Level), "logs", "level")
	}
	if f := c.Logs.Format; f != "auto" && f != "text" && f != "json" {
		bad(fmt.Sprintf("%q is not one of auto, text, json", f), "logs", "format")
	}
	return errors.Join(errs...)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// level reads one of the four words; nothing else, since slog also takes
// offsets such as info+2.
func level(word string) (slog.Level, error) {
	switch word {
	case "debug":
		return slog.LevelDebug, nil
	case "info":
		return slog.LevelInfo, nil
	case "warn":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	}
	return 0, fmt.Errorf("%q is not a level", word)
}
