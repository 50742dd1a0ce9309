package gateway

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/gateway/alert"
	"github.com/interlock-mcp/interlock/upstream"
)

// observer is told by the owners of upstreams what happens to them, and makes
// events and figures of it. None of its methods blocks.
type observer struct {
	g *Gateway

	mu   sync.Mutex // guards seen and all in it
	seen map[string]*observed
}

// observed is what is remembered of one upstream.
type observed struct {
	state    upstream.State // the last one it changed to
	blocked  bool           // in error for a dependency alone
	restarts uint64
	probes   struct{ passed, failed, neutral uint64 }
	breaker  struct{ opened, halfOpened, closed uint64 }
	outage   outage
}

func newObserver(g *Gateway) *observer {
	return &observer{g: g, seen: make(map[string]*observed)}
}

// of returns what is known of an upstream. o.mu is held.
func (o *observer) of(name string) *observed {
	x := o.seen[name]
	if x == nil {
		x = &observed{state: upstream.NotStarted}
		o.seen[name] = x
	}
	return x
}

// keep forgets the upstreams that are not among ups, once they have ended.
func (o *observer) keep(ups []*upstream.Upstream) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.seen) <= len(ups) {
		return
	}
	there := make(map[string]bool, len(ups))
	for _, u := range ups {
		there[u.Name()] = true
	}
	for name, x := range o.seen {
		if !there[name] && (x.state == upstream.Stopped || x.state == upstream.NotStarted) {
			delete(o.seen, name)
			o.g.alerts.Forget(name)
		}
	}
}

// StateChanged implements upstream.Observer.
func (o *observer) StateChanged(s upstream.Status) {
	from, alerts, end := o.moved(&s)
	e := admin.Event{
		At: s.Since, Kind: "state", Upstream: s.Name, From: string(from), To: string(s.State),
		Generation: s.Generation, Text: stateText(&s),
	}
	if s.State == upstream.Errored {
		e.Stage = s.Failure.Stage
	}
	o.g.happened(e)
	for _, a := range alerts {
		o.g.raise(a)
	}
	if end != nil {
		end(s.Name)
	}
}

// moved remembers the state that an upstream is in and returns the one before, the
// alerts that the change is worth, and what to tell of their end, nil for nothing. All
// of that is of one moment: who was removed is forgotten as soon as it is known to have
// stopped.
func (o *observer) moved(s *upstream.Status) (from upstream.State, alerts []alert.Alert, end func(name string)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	x := o.of(s.Name)
	if s.State == upstream.Starting && x.state == upstream.Errored && !x.blocked {
		x.restarts++
	}
	from, x.state = x.state, s.State
	x.blocked = s.State == upstream.Errored && s.Failure.Stage == "dependency"
	events, over := x.outage.changed(s)
	for _, e := range events {
		alerts = append(alerts, alertOf(e, s, &x.outage))
	}
	switch {
	case s.State == upstream.Stopped && o.g.set.Upstream(s.Name) == nil: // the end of one that was removed
		delete(o.seen, s.Name)
		end = o.g.alerts.Forget
	case over:
		end = o.g.alerts.Over
	}
	return from, alerts, end
}

// BreakerChanged implements upstream.Observer.
func (o *observer) BreakerChanged(name string, from, to upstream.BreakerState) {
	o.mu.Lock()
	x := &o.of(name).breaker
	switch to {
	case upstream.BreakerOpen:
		x.opened++
	case upstream.BreakerHalfOpen:
		x.halfOpened++
	case upstream.BreakerClosed:
		x.closed++
	}
	o.mu.Unlock()
	o.g.happened(admin.Event{
		Kind: "breaker", Upstream: name, From: string(from), To: string(to),
		Text: "the circuit breaker of " + name + " is " + breakerText(to),
	})
	u := o.g.set.Upstream(name)
	if to != upstream.BreakerOpen || u == nil { // that it closed comes with a state
		return
	}
	s := u.Status()
	o.mu.Lock()
	out := &o.of(name).outage
	news := out.tripped(&s)
	a := alertOf(alert.BreakerOpened, &s, out)
	o.mu.Unlock()
	if news {
		o.g.raise(a)
	}
}

// StageBegan implements upstream.Observer.
func (o *observer) StageBegan(name string, generation uint64, stage string) {
	o.g.happened(admin.Event{
		Kind: "start_stage", Upstream: name, Generation: generation, Stage: stage, Text: name + stageText(stage),
	})
}

// Probed implements upstream.Observer.
func (o *observer) Probed(name string, _ time.Duration, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	x := &o.of(name).probes
	switch {
	case err == nil:
		x.passed++
	case errors.Is(err, upstream.ErrNeutral):
		x.neutral++
	default:
		x.failed++
	}
}

// Listed implements upstream.Observer.
func (o *observer) Listed(name string, before, after *upstream.Inventory) {
	if before == nil {
		return
	}
	if d := compareTools(before.Tools, after.Tools); !d.empty() {
		o.g.toolsChanged(name, d)
	}
}

// stateText says a state in a sentence.
func stateText(s *upstream.Status) string {
	switch s.State {
	case upstream.Running:
		if s.PID != 0 {
			return fmt.Sprintf("%s is running, pid %d", s.Name, s.PID)
		}
	case upstream.Stopping:
		return s.Name + " is stopping: " + s.Because
	case upstream.Stopped:
		how := s.Because
		if s.LastStop != "" {
			how += " (" + string(s.LastStop) + ")"
		}
		return s.Name + " is stopped: " + how
	case upstream.Errored:
		return s.Name + " is in error at stage " + s.Failure.Stage + ": " + s.Failure.Message + retryText(s)
	}
	return s.Name + " is " + string(s.State)
}

// retryText says what recovery is about to do.
func retryText(s *upstream.Status) string {
	wait := s.NextRetry.Sub(s.Since).Round(100 * time.Millisecond)
	switch {
	case s.Failure.Stage == "dependency":
		return "; it starts by itself when that recovers"
	case s.NextRetry.IsZero():
		return "; it is not restarted by itself"
	case s.Exhausted:
		return fmt.Sprintf("; its attempts are used up, the next try is in %v", wait)
	case wait <= 0:
		return "; it is restarted at once"
	}
	return fmt.Sprintf("; the next try is in %v", wait)
}

func breakerText(s upstream.BreakerState) string {
	if s == upstream.BreakerHalfOpen {
		return "half open"
	}
	return string(s)
}

// stageText follows the name of an upstream.
func stageText(stage string) string {
	switch stage {
	case "dependencies":
		return " waits for what it depends on"
	case "spawn":
		return " is reached for"
	case "handshake":
		return " is there, and its handshake is made"
	case "probe":
		return " is probed"
	case "list":
		return " is asked what it offers"
	}
	return ": " + stage
}
