package telemetry

import (
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// buckets are the convention's, in seconds.
var buckets = []float64{0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300}

// maxSeries is how many series each histogram has at most: names beyond are
// counted under Other.
const maxSeries = 4096

// metrics is the Prometheus registry, the histograms of the conventions for MCP
// and what we count ourselves, under the names that OpenTelemetry's exporter would give them.
type metrics struct {
	registry       *prometheus.Registry
	server, client durations
	serverSession  *prometheus.HistogramVec
	clientSession  *prometheus.HistogramVec
	rejected       *prometheus.CounterVec
	alerts         *prometheus.CounterVec
	policies       policyMetrics
	handler        http.Handler
}

// series is one combination of labels.
type series struct {
	method, tool, prompt, failure, transport, upstream string
}

// durations is a histogram whose series are looked up without allocating.
type durations struct {
	vec *prometheus.HistogramVec
	mu  sync.RWMutex
	// known are the series so far, guarded by mu.
	known map[series]prometheus.Observer
}

// newMetrics makes them; read is the source of those that are not counted here.
func newMetrics(read func() *Supervision) *metrics {
	m := &metrics{registry: prometheus.NewRegistry()}
	histogram := func(name, help string, labels ...string) *prometheus.HistogramVec {
		v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
		m.registry.MustRegister(v)
		return v
	}
	labels := []string{"mcp_method_name", "gen_ai_tool_name", "gen_ai_prompt_name", "error_type", "network_transport"}
	m.server.vec = histogram("mcp_server_operation_duration_seconds", "How long requests of clients took.", labels...)
	m.client.vec = histogram("mcp_client_operation_duration_seconds", "How long requests to upstreams took.",
		append(labels, "interlock_upstream")...)
	m.server.known = make(map[series]prometheus.Observer)
	m.client.known = make(map[series]prometheus.Observer)
	m.serverSession = histogram("mcp_server_session_duration_seconds", "How long sessions of clients lasted.",
		"error_type", "network_transport", "mcp_protocol_version")
	m.clientSession = histogram("mcp_client_session_duration_seconds", "How long sessions with upstreams lasted.",
		"error_type", "network_transport", "mcp_protocol_version", "interlock_upstream")
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		m.registry.MustRegister(v)
		return v
	}
	m.rejected = counter("interlock_calls_rejected_total", "Calls that were refused without asking an upstream.", "reason")
	m.alerts = counter("interlock_alerts_sent_total", "Alerts by event and by what became of them at one receiver.", "event", "outcome")
	m.policies = newPolicyMetrics(m.registry)
	m.registry.MustRegister(newSupervised(read))
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.handler = promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
	return m
}

// MetricsHandler serves the metrics to Prometheus, with exemplars when it asks
// for OpenMetrics. Operations are counted from its first call on; all calls
// return the same.
func (t *Telemetry) MetricsHandler() http.Handler {
	if t == nil {
		return http.NotFoundHandler()
	}
	if t.metrics.Load() == nil {
		t.metrics.CompareAndSwap(nil, newMetrics(func() *Supervision {
			read := t.supervision.Load()
			if read == nil {
				return nil
			}
			s := (*read)()
			return &s
		}))
	}
	return t.metrics.Load().handler
}

func (m *metrics) durations(server bool) *durations {
	if server {
		return &m.server
	}
	return &m.client
}

func (d *durations) observer(s series, server bool) prometheus.Observer {
	d.mu.RLock()
	o, ok := d.known[s]
	full := len(d.known) >= maxSeries
	d.mu.RUnlock()
	if ok {
		return o
	}
	if full {
		if s.tool != "" {
			s.tool = Other
		}
		if s.prompt != "" {
			s.prompt = Other
		}
		if s.failure != "" { // an upstream's own error codes
			s.failure = Other
		}
	}
	values := []string{s.method, s.tool, s.prompt, s.failure, s.transport}
	if !server {
		values = append(values, s.upstream)
	}
	o = d.vec.WithLabelValues(values...)
	d.mu.Lock()
	d.known[s] = o
	d.mu.Unlock()
	return o
}

// Session is one that ended: a client's, or one with an upstream.
type Session struct {
	Duration                              time.Duration
	ErrorType, Transport, ProtocolVersion string
	Upstream                              string // only of one with an upstream
}

// ServerSession counts a client's session that ended.
func (t *Telemetry) ServerSession(s Session) {
	if t == nil {
		return
	}
	if m := t.metrics.Load(); m != nil {
		m.serverSession.WithLabelValues(s.ErrorType, s.Transport, s.ProtocolVersion).Observe(s.Duration.Seconds())
	}
}

// ClientSession counts a session with an upstream that ended.
func (t *Telemetry) ClientSession(s Session) {
	if t == nil {
		return
	}
	if m := t.metrics.Load(); m != nil {
		m.clientSession.WithLabelValues(s.ErrorType, s.Transport, s.ProtocolVersion, s.Upstream).Observe(s.Duration.Seconds())
	}
}

// Counting reports whether operations are counted.
func (t *Telemetry) Counting() bool { return t != nil && t.metrics.Load() != nil }
