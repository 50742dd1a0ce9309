package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/otlptranslator"
	"go.opentelemetry.io/contrib/instrumentation/runtime"
	promexporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdkexemplar "go.opentelemetry.io/otel/sdk/metric/exemplar"
	"go.opentelemetry.io/otel/sdk/resource"
)

// buckets are the convention's, in seconds.
var buckets = []float64{0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300}

// metrics is every instrument, and the two ways out: a registry that Prometheus
// scrapes, and an exporter that pushes, if there is one. Those that calls are
// counted by are our own, the rest the SDK's; both outputs have the same.
type metrics struct {
	handler http.Handler
	pushed  *sdkmetric.PeriodicReader // nil without an exporter

	server, client *operations
	policies       policyMetrics
	sessions       struct{ server, client metric.Float64Histogram }
	rejected       metric.Int64Counter
	alerts         metric.Int64Counter
	plugins        metric.Int64Counter
	signIns        metric.Int64Counter
	renewals       metric.Int64Counter
}

// metricsOptions say what newMetrics makes.
type metricsOptions struct {
	version  string
	resource *resource.Resource
	exporter sdkmetric.Exporter // nil for none
	log      *slog.Logger
	// read and process are the sources of what is not counted here. The first
	// returns nil while there is none.
	read    func() *Supervision
	process func() *Process
	dropped func() map[string]int64
}

// newMetrics makes them. With an exporter they own a goroutine, which shutdown
// ends.
func newMetrics(o metricsOptions) (*metrics, error) {
	m := &metrics{
		server:   &operations{histogram: newHistogram[series](serverDuration, buckets), server: true},
		client:   &operations{histogram: newHistogram[series](clientDuration, buckets)},
		policies: newPolicyMetrics(),
	}
	own := []instrument{m.server, m.client, m.policies.decisions, m.policies.durations}
	about := instrumentation.Scope{Name: scope, Version: o.version}
	begun := time.Now()

	registry := prometheus.NewRegistry()
	scraping := []promexporter.Option{
		promexporter.WithRegisterer(registry),
		promexporter.WithProducer(newProducer(own, about, begun, nil)),
		promexporter.WithTranslationStrategy(otlptranslator.UnderscoreEscapingWithSuffixes),
		promexporter.WithoutScopeInfo(),
	}
	if !labelled(o.resource) {
		scraping = append(scraping, promexporter.WithoutTargetInfo())
	}
	scraped, err := promexporter.New(scraping...)
	if err != nil {
		return nil, fmt.Errorf("the exporter for Prometheus: %w", err)
	}
	// The names that every dashboard for Go programs knows.
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.handler = promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		EnableOpenMetrics: true,
		ErrorHandling:     promhttp.ContinueOnError, // one bad series is no reason to see none
		ErrorLog:          &scrapeLog{log: o.log},
	})

	options := []sdkmetric.Option{
		sdkmetric.WithResource(o.resource),
		sdkmetric.WithReader(scraped),
		sdkmetric.WithCardinalityLimit(maxSeries),
		sdkmetric.WithExemplarFilter(sdkexemplar.AlwaysOffFilter), // ours have them
	}
	if o.exporter != nil {
		m.pushed = sdkmetric.NewPeriodicReader(o.exporter, sdkmetric.WithProducer(newProducer(own, about, begun, o.exporter.Temporality)))
		options = append(options, sdkmetric.WithReader(m.pushed))
	}
	provider := sdkmetric.NewMeterProvider(options...)
	if err := m.instruments(provider.Meter(scope, metric.WithInstrumentationVersion(o.version)), &o); err != nil {
		return nil, err
	}
	if err := runtime.Start(runtime.WithMeterProvider(provider)); err != nil {
		return nil, fmt.Errorf("metrics of the runtime: %w", err)
	}
	return m, nil
}

// labelled reports whether target_info can have the attributes of r for labels.
// The exporter prints what it thinks of those that cannot.
func labelled(r *resource.Resource) bool {
	var namer otlptranslator.LabelNamer
	for _, kv := range r.Attributes() {
		if label, err := namer.Build(string(kv.Key)); err != nil || strings.HasPrefix(label, "__") {
			return false
		}
	}
	return true
}

// instruments makes those of the SDK.
func (m *metrics) instruments(meter metric.Meter, o *metricsOptions) error {
	k := maker{meter: meter}
	m.sessions.server = k.histogram(serverSession, buckets)
	m.sessions.client = k.histogram(clientSession, buckets)
	m.rejected = k.counter(callsRejected)
	m.alerts = k.counter(alertsSent)
	m.plugins = k.counter(pluginRestarts)
	m.signIns = k.counter(signIns)
	m.renewals = k.counter(tokenRenewals)
	k.supervised(o.read)
	k.dropped(o.dropped)
	k.process(o.process)
	return k.err
}

func (m *metrics) operations(server bool) *operations {
	if server {
		return m.server
	}
	return m.client
}

// shutdown exports the last figures and ends the goroutine of the exporter. It
// blocks no longer than ctx. Scrapes are answered as before.
func (m *metrics) shutdown(ctx context.Context) {
	if m != nil && m.pushed != nil {
		_ = m.pushed.Shutdown(ctx) // figures that grow were told a minute ago
	}
}

// MetricsHandler serves the metrics to Prometheus, with exemplars when it asks
// for OpenMetrics. Operations are counted from its first call on, unless metrics
// are exported: then from the start. All calls return the same.
func (t *Telemetry) MetricsHandler() http.Handler {
	if t == nil {
		return http.NotFoundHandler()
	}
	if err := t.count(nil); err != nil { // a defect of ours, or of the library
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		})
	}
	return t.metrics.Load().handler
}

// count makes the metrics, the first time that it is called. The exporter may be
// nil.
func (t *Telemetry) count(e sdkmetric.Exporter) error {
	t.counting.Do(func() {
		m, err := newMetrics(metricsOptions{
			version: t.about.Version, resource: t.resource, exporter: e, log: t.about.Log, read: t.supervised, process: t.process, dropped: t.Dropped,
		})
		if err != nil {
			t.uncounted = err
			return
		}
		t.metrics.Store(m)
	})
	return t.uncounted
}

// Counting reports whether operations are counted.
func (t *Telemetry) Counting() bool { return t != nil && t.metrics.Load() != nil }
