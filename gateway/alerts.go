package gateway

import (
	"context"
	"log/slog"
	"time"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/gateway/alert"
	"github.com/interlock-mcp/interlock/telemetry"
	"github.com/interlock-mcp/interlock/upstream"
)

// outage is what was told of an upstream that should run and does not. It begins
// with the first failure of its own and lasts through all attempts to end it. What
// waits for a dependency has none.
type outage struct {
	on        bool              // it goes on; an operator's stop ends it, too
	since     time.Time         // when it, or the last one, began
	failure   *upstream.Failure // its last one, nil before
	told      bool              // alert.Error went out
	owed      bool              // alert.Error went out, of this one or an earlier, and alert.Recovered has not
	opened    bool              // alert.BreakerOpened went out, and alert.BreakerClosed has not
	exhausted bool              // alert.Exhausted went out
}

// changed takes note of a state and returns the alerts that it is worth. ended
// says that an outage ended without a recovery.
func (x *outage) changed(s *upstream.Status) (alerts []alert.Event, ended bool) {
	switch s.State {
	case upstream.Errored:
		if s.Failure.Stage == "dependency" {
			return nil, false
		}
		x.begin(s.Since)
		x.failure = s.Failure
		if !x.told {
			alerts = append(alerts, alert.Error)
		}
		if s.Exhausted && !x.exhausted {
			alerts = append(alerts, alert.Exhausted)
		}
		x.told, x.owed, x.exhausted = true, true, s.Exhausted
	case upstream.Starting:
		x.exhausted = x.exhausted && s.Exhausted // an operator's restart clears it
	case upstream.Stopping, upstream.Stopped:
		ended = x.on
		x.on, x.told, x.exhausted = false, false, false
		alerts = x.closed(s)
	case upstream.Running:
		alerts = x.closed(s)
		if x.owed {
			alerts = append(alerts, alert.Recovered)
		}
		x.on, x.told, x.owed, x.exhausted = false, false, false, false
	}
	return alerts, ended
}

// closed is alert.BreakerClosed, if that is news. An operator's restart resets
// the breaker, too, but only what comes of it is worth telling.
func (x *outage) closed(s *upstream.Status) []alert.Event {
	if !x.opened || s.Breaker != upstream.BreakerClosed {
		return nil
	}
	x.opened = false
	return []alert.Event{alert.BreakerClosed}
}

// begin begins an outage, unless one goes on.
func (x *outage) begin(at time.Time) {
	if !x.on {
		x.on, x.since, x.failure = true, at, nil
	}
}

// tripped takes note of a breaker that opened and reports whether that is news:
// an attempt that fails opens nothing that was closed.
func (x *outage) tripped(s *upstream.Status) bool {
	failed := s.State == upstream.Errored
	if x.opened || failed && s.Failure.Stage == "dependency" {
		return false
	}
	x.begin(time.Now())
	x.opened = true
	if failed { // the owner is about to say so
		x.failure = s.Failure
	}
	return true
}

// alertOf describes what happened to an upstream.
func alertOf(e alert.Event, s *upstream.Status, x *outage) alert.Alert {
	a := alert.Alert{Event: e, Upstream: s.Name, State: string(s.State), At: s.Since, Text: alertText(e, s, x)}
	if e == alert.BreakerOpened {
		a.At = time.Now() // the state may be older
	}
	if f := x.failure; f != nil {
		a.Stage, a.Reason = f.Stage, f.Message
	}
	if since := x.since; !since.IsZero() {
		a.DownSince = &since
	}
	return a
}

func alertText(e alert.Event, s *upstream.Status, x *outage) string {
	switch e {
	case alert.Error:
		return stateText(s)
	case alert.Exhausted:
		return "the restart attempts of " + s.Name + " are used up; from now on it is tried every 10 minutes: " + s.Failure.Message
	case alert.Recovered:
		return s.Name + " is running again after " + s.Since.Sub(x.since).Round(time.Second/10).String()
	case alert.BreakerOpened:
		return "the circuit breaker of " + s.Name + " opened: it gets no calls"
	case alert.BreakerClosed:
		if s.State != upstream.Running {
			return "the circuit breaker of " + s.Name + " closed: it was stopped"
		}
		return "the circuit breaker of " + s.Name + " closed: it gets calls again"
	}
	return s.Name + ": " + string(e)
}

// raise tells everybody of an alert: webhooks, traces, metrics and who follows
// the events. The log has it already, as a change of state or of tools. It does
// not block.
func (g *Gateway) raise(a alert.Alert) {
	a.Gateway = g.cfg.Load().Server.Name
	g.alerts.Send(a)
	g.tel.AlertSent(string(a.Event), "logged")
	span := g.tel.Internal(telemetry.SpanStart{Name: telemetry.SpanAlert, Attrs: []telemetry.Attr{telemetry.String(telemetry.AttrUpstream, a.Upstream)}})
	span.Event(telemetry.EventAlert+string(a.Event), telemetry.String(telemetry.AttrUpstream, a.Upstream), telemetry.String(telemetry.AttrState, a.State),
		telemetry.String(telemetry.AttrAlertReason, a.Reason), telemetry.String(telemetry.AttrAlertStage, a.Stage), telemetry.String(telemetry.AttrAlertText, a.Text))
	span.End(telemetry.Outcome{})
	g.exportAlert(telemetry.NewContext(context.Background(), span), &a)
	g.happened(admin.Event{At: a.At, Kind: "alert", Upstream: a.Upstream, Alert: string(a.Event), Stage: a.Stage, Text: a.Text})
}

// toolsChanged tells that an upstream's tools are others than before.
func (g *Gateway) toolsChanged(name string, d toolDiff) {
	level := slog.LevelInfo
	if len(d.changed) > 0 { // a tool that was looked at is another one now
		level = slog.LevelWarn
	}
	g.log.Log(context.Background(), level, "upstream tools changed", telemetry.EventName, telemetry.LogTools, "upstream", name,
		"added", d.added, "removed", d.removed, "changed", d.changed)
	text := name + " lists other tools: " + d.String()
	g.happened(admin.Event{Kind: "tools_changed", Upstream: name, Text: text})
	state := upstream.Unknown
	if u := g.set.Upstream(name); u != nil {
		state = u.Status().State
	}
	g.raise(alert.Alert{
		Event: alert.ToolChanged, Upstream: name, State: string(state), At: time.Now(),
		Text: text, Tools: alert.NewTools(d.added, d.removed, d.changed),
	})
}
