package gateway

import (
	"fmt"
	"sync"
	"time"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/upstream"
)

// observer is told by the owners of upstreams what happens to them, and makes
// events of it. None of its methods blocks.
type observer struct {
	g *Gateway

	mu    sync.Mutex                // guards state
	state map[string]upstream.State // the last one of each that changed its state
}

func newObserver(g *Gateway) *observer {
	return &observer{g: g, state: make(map[string]upstream.State)}
}

// StateChanged implements upstream.Observer.
func (o *observer) StateChanged(s upstream.Status) {
	from := o.moved(s.Name, s.State)
	e := admin.Event{
		At: s.Since, Kind: "state", Upstream: s.Name, From: string(from), To: string(s.State),
		Generation: s.Generation, Text: stateText(&s),
	}
	if s.State == upstream.Errored {
		e.Stage = s.Failure.Stage
	}
	o.g.happened(e)
}

// moved remembers the state that an upstream is in and returns the one before.
func (o *observer) moved(name string, to upstream.State) (from upstream.State) {
	gone := o.g.set.Upstream(name) == nil && to != upstream.Stopping
	o.mu.Lock()
	defer o.mu.Unlock()
	from, ok := o.state[name]
	if !ok {
		from = upstream.NotStarted
	}
	o.state[name] = to
	if gone { // it was removed, and this is its end
		delete(o.state, name)
	}
	return from
}

// BreakerChanged implements upstream.Observer.
func (o *observer) BreakerChanged(name string, from, to upstream.BreakerState) {
	o.g.happened(admin.Event{
		Kind: "breaker", Upstream: name, From: string(from), To: string(to),
		Text: "the circuit breaker of " + name + " is " + breakerText(to),
	})
}

// StageBegan implements upstream.Observer.
func (o *observer) StageBegan(name string, generation uint64, stage string) {
	o.g.happened(admin.Event{
		Kind: "start_stage", Upstream: name, Generation: generation, Stage: stage, Text: name + stageText(stage),
	})
}

// Probed implements upstream.Observer.
func (o *observer) Probed(string, time.Duration, error) {}

// Listed implements upstream.Observer.
func (o *observer) Listed(name string, before, after *upstream.Inventory) {
	if before == nil {
		return
	}
	if d := compareTools(before.Tools, after.Tools); !d.empty() {
		o.g.happened(admin.Event{Kind: "tools_changed", Upstream: name, Text: name + " lists other tools: " + d.String()})
	}
}

// stateText says a state in a sentence.
func stateText(s *upstream.Status) string {
	switch s.State {
	case upstream.Running:
		if s.PID != 0 {
			return fmt.Sprintf("%s is running, pid %d", s.Name, s.PID)
		}
	case upstream.Stopped:
		if s.LastStop != "" {
			return fmt.Sprintf("%s is stopped (%s)", s.Name, s.LastStop)
		}
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
		return " is reached for, and its handshake made"
	case "probe":
		return " is probed"
	case "list":
		return " is asked what it offers"
	}
	return ": " + stage
}
