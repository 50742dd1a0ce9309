package telemetrytest

import (
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	coltraces "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/protobuf/proto"
)

// Collector takes traces, metrics and logs. It is safe for concurrent use.
type Collector struct {
	// URL is the endpoint to configure: without the path of a signal.
	URL string

	t testing.TB

	mu      sync.Mutex // guards the rest
	changed chan struct{}
	status  map[string]int // answered instead of 200, by path
	asked   []*http.Request
	spans   []*Span
	metrics []*metrics.ResourceMetrics
	logs    []*logs.ResourceLogs
	free    bool // of the names
}

// New starts a collector that lasts until the test ends. Then what came must be
// documented: see Names.
func New(t testing.TB) *Collector {
	t.Helper()
	c := &Collector{t: t, changed: make(chan struct{}), status: make(map[string]int)}
	t.Cleanup(c.check) // last
	srv := httptest.NewServer(http.HandlerFunc(c.serve))
	srv.Config.SetKeepAlivesEnabled(false)
	t.Cleanup(srv.Close)
	c.URL = srv.URL
	return c
}

// TakeAnyName has the test send what is not documented.
func (c *Collector) TakeAnyName() *Collector {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.free = true
	return c
}

// check holds what came against the names that are documented.
func (c *Collector) check() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.free {
		return
	}
	n, err := ReadNames()
	if err != nil {
		c.t.Error(err)
		return
	}
	told := make(map[string]bool)
	tell := func(faults []string) {
		for _, fault := range faults {
			if !told[fault] {
				told[fault] = true
				c.t.Errorf("%s (see the top of telemetry/names.go)", fault)
			}
		}
	}
	for _, s := range c.spans {
		tell(n.Faults(s))
	}
	for _, r := range c.metrics {
		for _, s := range r.ScopeMetrics {
			for _, m := range s.Metrics {
				tell(n.MetricFaults(m))
			}
		}
	}
	for _, r := range c.logs {
		for _, s := range r.ScopeLogs {
			for _, l := range s.LogRecords {
				tell(n.LogFaults(l))
			}
		}
	}
}

// Answer has requests to a path, such as /v1/logs, answered with that status and
// thrown away; http.StatusOK has them kept again.
func (c *Collector) Answer(path string, status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status[path] = status
}

// Requests returns the requests so far, those that were refused too. Their bodies
// are read.
func (c *Collector) Requests() []*http.Request {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.asked)
}

// Metrics returns what came of metrics, in the order in which it came.
func (c *Collector) Metrics() []*metrics.ResourceMetrics {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.metrics)
}

// Logs returns what came of logs, in the order in which it came.
func (c *Collector) Logs() []*logs.ResourceLogs {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.logs)
}

// Wait blocks until ok is true, which it asks after each request. It fails the
// test if the test's context ends first, or two minutes do.
func (c *Collector) Wait(what string, ok func() bool) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 2*time.Minute)
	defer cancel()
	for {
		c.mu.Lock()
		changed := c.changed
		c.mu.Unlock()
		if ok() {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			c.t.Fatalf("the collector waits for %s", what)
		}
	}
}

func (c *Collector) serve(w http.ResponseWriter, r *http.Request) {
	body, err := unpacked(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	defer func() { close(c.changed); c.changed = make(chan struct{}) }()
	c.asked = append(c.asked, r)
	if status := c.status[r.URL.Path]; status != 0 && status != http.StatusOK {
		w.WriteHeader(status)
		return
	}
	switch {
	case strings.HasSuffix(r.URL.Path, "/v1/traces"):
		in := new(coltraces.ExportTraceServiceRequest)
		if err = proto.Unmarshal(body, in); err == nil {
			c.spans = append(c.spans, spansOf(in.ResourceSpans)...)
		}
	case strings.HasSuffix(r.URL.Path, "/v1/metrics"):
		in := new(colmetrics.ExportMetricsServiceRequest)
		if err = proto.Unmarshal(body, in); err == nil {
			c.metrics = append(c.metrics, in.ResourceMetrics...)
		}
	case strings.HasSuffix(r.URL.Path, "/v1/logs"):
		in := new(collogs.ExportLogsServiceRequest)
		if err = proto.Unmarshal(body, in); err == nil {
			c.logs = append(c.logs, in.ResourceLogs...)
		}
	default:
		http.NotFound(w, r)
		return
	}
	if err != nil {
		c.t.Errorf("%s got what is no OTLP: %v", r.URL.Path, err)
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// unpacked is the body of a request, which may be gzip.
func unpacked(r *http.Request) ([]byte, error) {
	if r.Header.Get("Content-Encoding") != "gzip" {
		return io.ReadAll(r.Body)
	}
	z, err := gzip.NewReader(r.Body)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}
