package upstream

import (
	"context"
	"log/slog"
	"time"
)

// show replaces the phase by a copy that change has changed, and tells all who
// care. Only the owner calls it.
func (u *Upstream) show(change func(p *phase)) {
	old := u.phase.Load()
	p := *old
	change(&p)
	s := &p.status
	if s.State != old.status.State {
		s.Since = time.Now()
	}
	if s.State != old.status.State && old.status.State == Starting {
		p.stages = closed(p.stages, s.Since)
	}
	if s.State != Running {
		p.link, s.Started = nil, time.Time{}
	}
	s.Breaker = u.breakerShown(s.State, old.status.Breaker)
	u.retell(old, &p)
	if *s == old.status && p.link == old.link && p.order == old.order && p.held == old.held && p.spawned == old.spawned && (p.finding.err == nil) == (old.finding.err == nil) {
		u.phase.Store(&p) // nothing that anybody waits for
		return
	}
	p.changed = make(chan struct{})
	u.phase.Store(&p)
	close(old.changed)
	u.set.phaseChanged(u)

	seen := u.Status()
	seen.State = s.State
	if s.Breaker != old.status.Breaker {
		u.set.o.Observer.BreakerChanged(u.name, old.status.Breaker, s.Breaker)
	}
	if s.State != old.status.State {
		u.set.o.Observer.StateChanged(seen)
		u.log(&old.status, s)
		u.outage(s.State)
		if old.status.State == Running {
			u.set.lost(u)
		}
	}
}

// breakerShown is the breaker's state as an operator sees it; was is how it was
// shown before.
func (u *Upstream) breakerShown(s State, was BreakerState) BreakerState {
	switch {
	case s == Errored:
		return BreakerOpen
	case u.breaker.gate.Load() != 0:
		return BreakerClosed
	case s == Starting:
		return BreakerHalfOpen
	case s == Stopping: // an order ended the attempt, which tells nothing
		return was
	}
	return BreakerOpen
}

// eventName is the attribute of a line that names an event, as OpenTelemetry does.
const eventName = "event.name"

func (u *Upstream) log(old, s *Status) {
	attrs := []any{
		slog.String(eventName, "interlock.upstream.state"), //nolint:sloglint // OpenTelemetry's name
		slog.String("upstream", u.name), slog.String("from", string(old.State)), slog.String("to", string(s.State)),
		slog.Uint64("generation", s.Generation),
	}
	level := slog.LevelInfo
	switch s.State {
	case Running:
		attrs = append(attrs, slog.Int("pid", s.PID))
	case Stopped:
		attrs = append(attrs, slog.String("how", string(s.LastStop)), slog.String("because", s.Because))
	case Errored:
		level = slog.LevelWarn
		attrs = append(attrs, slog.String("stage", s.Failure.Stage), slog.String("error", s.Failure.Message), slog.Int("attempts", s.Attempts), slog.Bool("exhausted", s.Exhausted))
	}
	u.set.o.Log.Log(context.Background(), level, "upstream state", attrs...)
}
