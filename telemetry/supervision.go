package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

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
// an earlier one. It is called at each collection, by several goroutines at once,
// and must not block.
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
		m.rejected.Add(context.Background(), 1, metric.WithAttributes(attribute.String(labelReason, reason)))
	}
}

// AlertSent counts what became of an alert of that event at one receiver. Both
// are words out of few.
func (t *Telemetry) AlertSent(event, outcome string) {
	if t == nil {
		return
	}
	if m := t.metrics.Load(); m != nil {
		m.alerts.Add(context.Background(), 1, metric.WithAttributes(attribute.String(labelEvent, event), attribute.String(labelOutcome, outcome)))
	}
}

// supervised returns what a collection sees, nil while there is no source.
func (t *Telemetry) supervised() *Supervision {
	read := t.supervision.Load()
	if read == nil {
		return nil
	}
	s := (*read)()
	return &s
}

// supervised makes the instruments that are read from a Supervision. Each
// collection reads one.
func (k *maker) supervised(read func() *Supervision) {
	w := supervisedWriter{
		state: k.gauge(upstreamState), availability: k.share(upstreamAvailability), breaker: k.gauge(breakerState),
		restarts: k.counted(upstreamRestarts), checks: k.counted(upstreamChecks), transitions: k.counted(breakerTransitions),
		queue: k.level(queueDepth), tools: k.level(catalogTools), sessions: k.level(sessionsActive),
	}
	k.observe(func(_ context.Context, to metric.Observer) error {
		if now := read(); now != nil {
			w.write(to, now)
		}
		return nil
	}, w.state, w.availability, w.breaker, w.restarts, w.checks, w.transitions, w.queue, w.tools, w.sessions)
}

// supervisedWriter has the instruments of a Supervision.
type supervisedWriter struct {
	state, breaker                metric.Int64ObservableGauge
	availability                  metric.Float64ObservableGauge
	restarts, checks, transitions metric.Int64ObservableCounter
	queue, tools, sessions        metric.Int64ObservableUpDownCounter
}

func (w *supervisedWriter) write(to metric.Observer, now *Supervision) {
	to.ObserveInt64(w.sessions, int64(now.Sessions))
	for i := range now.Upstreams {
		u := &now.Upstreams[i]
		name := attribute.String(AttrUpstream, bounded(u.Name))
		of := metric.WithAttributeSet(attribute.NewSet(name))
		with := func(key, value string) metric.MeasurementOption {
			return metric.WithAttributeSet(attribute.NewSet(name, attribute.String(key, value)))
		}
		oneOf := func(g metric.Int64ObservableGauge, is string, words []string) {
			for _, word := range words {
				v := int64(0)
				if word == is {
					v = 1
				}
				to.ObserveInt64(g, v, with(labelState, word))
			}
		}
		count := func(c metric.Int64ObservableCounter, n uint64, o metric.MeasurementOption) {
			to.ObserveInt64(c, int64(n), o) //nolint:gosec // nothing happens that often
		}
		oneOf(w.state, u.State, upstreamStates)
		oneOf(w.breaker, u.Breaker, breakerStates)
		count(w.restarts, u.Restarts, of)
		count(w.checks, u.Passed, with(labelOutcome, "pass"))
		count(w.checks, u.Failed, with(labelOutcome, "fail"))
		count(w.checks, u.Neutral, with(labelOutcome, "neutral"))
		count(w.transitions, u.Opened, with(labelState, "open"))
		count(w.transitions, u.HalfOpened, with(labelState, "half_open"))
		count(w.transitions, u.Closed, with(labelState, "closed"))
		if u.Availability != nil {
			to.ObserveFloat64(w.availability, *u.Availability, of)
		}
		to.ObserveInt64(w.queue, int64(u.Queued), of)
		to.ObserveInt64(w.tools, int64(u.Tools), of)
	}
}
