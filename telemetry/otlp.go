package telemetry

import (
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
)

// signal is one kind of what OTLP carries, in the word of telemetry.otlp.signals.
type signal string

const (
	signalTraces  signal = "traces"
	signalMetrics signal = "metrics"
	signalLogs    signal = "logs"
)

var signals = []signal{signalTraces, signalMetrics, signalLogs}

// Where a signal goes besides what is there anyway: the ring, /metrics, stderr.
const (
	nowhere   = ""
	toOTLP    = "otlp"
	toConsole = "console" // stderr: stdout may be a client's
)

// target is where one signal is exported to. What is empty in it is said by an
// OTEL_ variable, which the library of the exporter reads itself, or is its
// default.
type target struct {
	signal   signal
	to       string // nowhere, toOTLP or toConsole
	protocol string // HTTPProtobuf or GRPC
	endpoint string // a URL with the signal's path
	headers  map[string]string
}

// targetOf returns where s goes as c and the OTEL_ variables say; the variables
// win. The error names the variable that is wrong, and shows none of its secrets.
func targetOf(s signal, c OTLP) (target, error) {
	t := target{signal: s}
	to, err := s.exporter()
	if err != nil {
		return t, err
	}
	switch {
	case to == "none" || to == "prometheus":
		return t, nil
	case to == toConsole:
		t.to = toConsole
		return t, s.checkQueue()
	case to == toOTLP: // asked for by name: without an endpoint it is the library's default
	case variable(s.own("ENDPOINT")) != "":
	case !c.sends(s) || variable(general("ENDPOINT")) == "" && c.Endpoint == "":
		return t, nil
	}
	t.to = toOTLP
	if err := s.checkVariables(); err != nil {
		return t, err
	}
	t.protocol = s.variable("PROTOCOL")
	if t.protocol == "" {
		t.protocol = c.Protocol
	}
	if t.protocol != HTTPProtobuf && t.protocol != GRPC {
		return t, fmt.Errorf("protocol %q is not one of %s, %s", t.protocol, HTTPProtobuf, GRPC)
	}
	elsewhere := s.variable("ENDPOINT")
	if elsewhere == "" && c.Endpoint != "" {
		t.endpoint = s.url(c.Endpoint)
	}
	if len(c.Headers) > 0 && s.variable("HEADERS") == "" {
		if u, err := url.Parse(elsewhere); err == nil && u.Scheme == "http" && !loopback(u.Hostname()) {
			return t, fmt.Errorf("telemetry.otlp.headers would be sent in the clear to %s: use https://, or give the headers in %s",
				u.Redacted(), general("HEADERS"))
		}
		t.headers = make(map[string]string, len(c.Headers))
		for name, v := range c.Headers {
			t.headers[name] = string(v)
		}
	}
	return t, nil
}

// options are those of an exporter, as far as no variable says otherwise: an
// option would win over a variable.
func options[O any](t target, endpoint func(string) O, headers func(map[string]string) O) []O {
	var all []O
	if t.endpoint != "" {
		all = append(all, endpoint(t.endpoint))
	}
	if t.headers != nil {
		all = append(all, headers(t.headers))
	}
	return all
}

// sends reports whether the configuration wants s sent to its endpoint.
func (c OTLP) sends(s signal) bool {
	return len(c.Signals) == 0 || slices.Contains(c.Signals, string(s))
}

// exporter returns what OTEL_TRACES_EXPORTER, or that of the signal, asks for: ""
// for nothing, else otlp, console, none, or prometheus, which is there anyway and
// may stand beside another.
func (s signal) exporter() (string, error) {
	name := "OTEL_" + strings.ToUpper(string(s)) + "_EXPORTER"
	found := ""
	for word := range strings.SplitSeq(variable(name), ",") {
		word = strings.TrimSpace(word)
		switch {
		case word == "":
		case word == "prometheus" && s == signalMetrics:
			if found == "" {
				found = word
			}
		case word != toOTLP && word != toConsole && word != "none":
			return "", fmt.Errorf("%s must be otlp, console or none, not %q", name, word)
		case found != "" && found != "prometheus" && found != word:
			return "", fmt.Errorf("%s may name one of otlp, console and none, not %q", name, variable(name))
		default:
			found = word
		}
	}
	return found, nil
}

// own is the name of a variable of this signal alone, general that of one for all.
func (s signal) own(what string) string {
	return "OTEL_EXPORTER_OTLP_" + strings.ToUpper(string(s)) + "_" + what
}

func general(what string) string { return "OTEL_EXPORTER_OTLP_" + what }

// variable returns the value of the signal's own variable, else of the general
// one.
func (s signal) variable(what string) string {
	if v := variable(s.own(what)); v != "" {
		return v
	}
	return variable(general(what))
}

// variable reads a variable as the exporters do.
func variable(name string) string { return strings.TrimSpace(os.Getenv(name)) }

// url adds the path of the signal, as for OTEL_EXPORTER_OTLP_ENDPOINT. An
// endpoint that has the path of a signal already, as some vendors give it, is
// taken for the collector's. gRPC looks at no path.
func (s signal) url(endpoint string) string {
	u, err := url.Parse(endpoint)
	if err != nil {
		return endpoint
	}
	for _, other := range signals {
		if base, ok := strings.CutSuffix(u.Path, "/v1/"+string(other)); ok {
			u.Path = base
			break
		}
	}
	return u.JoinPath("v1", string(s)).String()
}
