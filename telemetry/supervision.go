package telemetry

import "github.com/prometheus/client_golang/prometheus"

// Supervision is what a gateway is like at one moment, for metrics that are read
// and not counted. A series is there for as long as its upstream is.
type Supervision struct {
	Upstreams []Supervised
	// Sessions are those of clients that are open.
	Sessions int
}

// Supervised is one upstream of a Supervision.
type Supervised struct {
	Name string
	// State is one of the seven states, Breaker one of the breaker's three.
	State, Breaker string
	// Restarts are starts that followed a failure.
	Restarts uint64
	// Passed, Failed and Neutral are probes by their outcome. A neutral one says
	// nothing of the server's health.
	Passed, Failed, Neutral uint64
	// Opened, HalfOpened and Closed are changes of the breaker by where they led.
	Opened, HalfOpened, Closed uint64
	// Availability is the share of checks that were healthy, 0 to 1, nil while
	// there were none.
	Availability *float64
	// Queued are calls that wait for a slot or a start.
	Queued int
	// Tools are those that clients are shown.
	Tools int
}

// The words of states, which are a series each.
var (
	upstreamStates = []string{"not_started", "starting", "running", "stopping", "stopped", "error", "unknown"}
	breakerStates  = []string{"closed", "half_open", "open"}
)

// Supervise makes read the source of the metrics of upstreams, in the place of
// an earlier one. It is called at each scrape, by several goroutines at once, and
// must not block.
func (t *Telemetry) Supervise(read func() Supervision) {
	if t != nil {
		t.supervision.Store(&read)
	}
}

// CallRejected counts a call that was refused without asking an upstream. reason
// is a word out of few.
func (t *Telemetry) CallRejected(reason string) {
	if t == nil {
		return
	}
	if m := t.metrics.Load(); m != nil {
		m.rejected.WithLabelValues(reason).Inc()
	}
}

// AlertSent counts what became of an alert of that event at one receiver. Both
// are words out of few.
func (t *Telemetry) AlertSent(event, outcome string) {
	if t == nil {
		return
	}
	if m := t.metrics.Load(); m != nil {
		m.alerts.WithLabelValues(event, outcome).Inc()
	}
}

// supervised reads a Supervision at each scrape.
type supervised struct {
	read func() *Supervision // nil while there is none
	state, restarts, checks, availability, breaker, transitions,
	queue, tools, sessions *prometheus.Desc
}

func newSupervised(read func() *Supervision) *supervised {
	of := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, append([]string{"interlock_upstream"}, labels...), nil)
	}
	return &supervised{
		read:         read,
		state:        of("interlock_upstream_state", "1 for the state that an upstream is in, 0 for the others.", "state"),
		restarts:     of("interlock_upstream_restarts_total", "Starts of an upstream that followed a failure."),
		checks:       of("interlock_upstream_checks_total", "Probes of an upstream by outcome: pass, fail, or neutral.", "outcome"),
		availability: of("interlock_upstream_availability", "The share of the last checks that were healthy, 0 to 1."),
		breaker:      of("interlock_breaker_state", "1 for the state that a circuit breaker is in, 0 for the others.", "state"),
		transitions:  of("interlock_breaker_transitions_total", "Changes of a circuit breaker by the state that they led to.", "state"),
		queue:        of("interlock_queue_depth", "Calls that wait for a slot or for a start."),
		tools:        of("interlock_catalog_tools", "Tools that clients are shown."),
		sessions:     prometheus.NewDesc("interlock_sessions_active", "Sessions of clients that are open.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (s *supervised) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		s.state, s.restarts, s.checks, s.availability, s.breaker, s.transitions, s.queue, s.tools, s.sessions,
	} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (s *supervised) Collect(to chan<- prometheus.Metric) {
	now := s.read()
	if now == nil {
		return
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	count := func(d *prometheus.Desc, v uint64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	oneOf := func(d *prometheus.Desc, name, is string, words []string) {
		for _, w := range words {
			v := 0.0
			if w == is {
				v = 1
			}
			gauge(d, v, name, w)
		}
	}
	gauge(s.sessions, float64(now.Sessions))
	for i := range now.Upstreams {
		u := &now.Upstreams[i]
		oneOf(s.state, u.Name, u.State, upstreamStates)
		oneOf(s.breaker, u.Name, u.Breaker, breakerStates)
		count(s.restarts, u.Restarts, u.Name)
		count(s.checks, u.Passed, u.Name, "pass")
		count(s.checks, u.Failed, u.Name, "fail")
		count(s.checks, u.Neutral, u.Name, "neutral")
		count(s.transitions, u.Opened, u.Name, "open")
		count(s.transitions, u.HalfOpened, u.Name, "half_open")
		count(s.transitions, u.Closed, u.Name, "closed")
		if u.Availability != nil {
			gauge(s.availability, *u.Availability, u.Name)
		}
		gauge(s.queue, float64(u.Queued), u.Name)
		gauge(s.tools, float64(u.Tools), u.Name)
	}
}
