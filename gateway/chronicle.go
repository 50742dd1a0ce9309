package gateway

import (
	"errors"
	"strconv"

	"github.com/interlock-mcp/interlock/telemetry"
	"github.com/interlock-mcp/interlock/upstream"
)

// chronicle makes spans of what befalls upstreams. It is an upstream.Chronicle.
type chronicle struct{ tel *telemetry.Telemetry }

// newChronicle returns the one that writes to tel, nil if that keeps no traces.
func newChronicle(tel *telemetry.Telemetry) upstream.Chronicle {
	if !tel.Tracing() {
		return nil
	}
	return chronicle{tel}
}

// episode is a span as upstream knows it.
type episode struct {
	kind  upstream.EpisodeKind // "" for a call
	span  *telemetry.Span
	trace upstream.Trace
}

// Trace implements upstream.Mark.
func (e *episode) Trace() upstream.Trace { return e.trace }

// episodeOf is the Mark of a span, nil for none.
func episodeOf(kind upstream.EpisodeKind, s *telemetry.Span) upstream.Mark {
	if s.Ref().IsZero() {
		return nil
	}
	e := &episode{kind: kind, span: s}
	e.trace.Parent, e.trace.State, e.trace.Baggage = s.Inject()
	if n := len(e.trace.Parent); kind == upstream.EpisodeAsked && n > 2 {
		// That it was asked is told only if it failed. To a server that traces, too, it
		// is not sampled: else it would begin a trace of each ping.
		e.trace.Parent = e.trace.Parent[:n-2] + "00"
	}
	return e
}

// Begun implements upstream.Chronicle.
func (c chronicle) Begun(e upstream.Episode) upstream.Mark {
	s := telemetry.SpanStart{
		Name: e.Name, Began: e.At,
		Attrs: []telemetry.Attr{
			telemetry.String(telemetry.AttrUpstream, e.Upstream),
			telemetry.Int(telemetry.AttrGeneration, int64(e.Generation)), //nolint:gosec // starts are few
		},
	}
	for _, t := range e.Ties {
		s.Links = append(s.Links, linkOf(t))
	}
	switch e.Kind {
	case upstream.EpisodeStart:
		s.Name = telemetry.SpanStartUpstream
		s.Attrs = append(s.Attrs, telemetry.String(telemetry.AttrStartCause, e.Because), telemetry.Bool(telemetry.AttrRestart, e.Restart))
	case upstream.EpisodeStage:
		within, ok := e.Within.(*episode)
		if !ok {
			return nil
		}
		s.Parent = within.span
	case upstream.EpisodeStop:
		s.Name = telemetry.SpanStopUpstream
		s.Attrs = append(s.Attrs, telemetry.String(telemetry.AttrBecause, e.Because))
	case upstream.EpisodeBreaker:
		s.Name = telemetry.SpanBreaker
		s.Attrs = append(s.Attrs, telemetry.String(telemetry.AttrBreakerFrom, string(e.From)), telemetry.String(telemetry.AttrBreakerTo, string(e.To)))
	}
	span := c.tel.Internal(s)
	if e.Kind == upstream.EpisodeBreaker {
		span.EventAt(e.At, breakerEvent(e.To))
	}
	return episodeOf(e.Kind, span)
}

func breakerEvent(to upstream.BreakerState) string {
	switch to {
	case upstream.BreakerOpen:
		return telemetry.EventBreakerOpened
	case upstream.BreakerHalfOpen:
		return telemetry.EventBreakerHalfOpened
	}
	return telemetry.EventBreakerClosed
}

// Ended implements upstream.Chronicle.
func (c chronicle) Ended(m upstream.Mark, o upstream.Ending) {
	e := m.(*episode)
	for _, t := range o.Ties {
		l := linkOf(t)
		e.span.Link(l.To, l.Attrs...)
	}
	out := telemetry.Outcome{ErrorType: o.Stage, Message: o.Err}
	switch e.kind {
	case upstream.EpisodeStart:
		e.span.Set(telemetry.String(telemetry.AttrStartOutcome, startOutcome(&o)), telemetry.String(telemetry.AttrBecause, o.Abandoned))
		if o.PID != 0 {
			e.span.Set(telemetry.Int(telemetry.AttrProcess, int64(o.PID)))
		}
	case upstream.EpisodeStop:
		e.span.Set(telemetry.String(telemetry.AttrStopHow, string(o.How)))
		if o.Err != "" {
			out.ErrorType = string(o.How)
		}
	case upstream.EpisodeAsked:
		if o.Err == "" {
			return // it is not told
		}
	}
	e.span.EndAt(o.At, out)
}

// startOutcome is how a start ended: the state that it led to, or abandoned.
func startOutcome(o *upstream.Ending) string {
	switch {
	case o.Abandoned != "":
		return telemetry.StartAbandoned
	case o.Err != "":
		return telemetry.StartFailed
	}
	return telemetry.StartRunning
}

// linkOf makes a link of a tie. One to nothing leads to no span.
func linkOf(t upstream.Tie) telemetry.Link {
	l := telemetry.Link{Attrs: []telemetry.Attr{telemetry.String(telemetry.AttrLink, string(t.How))}}
	if e, ok := t.To.(*episode); ok {
		l.To = e.span.Ref()
	}
	return l
}

// witness writes into the CLIENT span of a call what befalls the call. It is an
// upstream.Witness.
type witness struct {
	tel      *telemetry.Telemetry
	upstream string
	span     *telemetry.Span
	id       uint64 // that the request was last sent under, 0 while it was not
}

// witness returns the one of a call with that CLIENT span, nil if nobody will see the
// span.
func (g *Gateway) witness(upstream string, span *telemetry.Span) *witness {
	if !span.Recording() {
		return nil
	}
	return &witness{tel: g.tel, upstream: upstream, span: span}
}

// sum tells the span what is known only at its end: a request may be sent more than
// once, each time under another id.
func (w *witness) sum() {
	if w != nil && w.id != 0 {
		w.span.Set(telemetry.String(telemetry.AttrRequestID, strconv.FormatUint(w.id, 10)))
	}
}

// Sent implements upstream.Witness.
func (w *witness) Sent(id uint64) { w.id = id }

// Event implements upstream.Witness.
func (w *witness) Event(kind string) { w.span.Event(kind) }

// Waited implements upstream.Witness: a wait is a span of its own.
func (w *witness) Waited(d upstream.Delay) {
	s := telemetry.SpanStart{
		Name: telemetry.SpanQueueWait, Parent: w.span, Began: d.Began,
		Attrs: []telemetry.Attr{telemetry.String(telemetry.AttrUpstream, w.upstream), telemetry.String(telemetry.AttrWaitReason, string(d.For))},
	}
	if d.Start != nil {
		l := linkOf(upstream.Tie{How: upstream.WaitedFor, To: d.Start})
		s.Links = []telemetry.Link{l} // the long bar explains itself,
		w.span.Link(l.To, l.Attrs...) // and of the call one sees what it suffered from
	}
	w.tel.Internal(s).EndAt(d.Over, w.outcome(d.Err))
}

// outcome is how a wait ended.
func (w *witness) outcome(err error) telemetry.Outcome {
	var refused *upstream.CallError
	switch {
	case err == nil:
		return telemetry.Outcome{}
	case errors.As(err, &refused):
		return telemetry.Outcome{ErrorType: refused.Reason, Message: refused.Text}
	}
	return telemetry.Outcome{ErrorType: outcomeOfError(err).Type}
}

// Tied implements upstream.Witness.
func (w *witness) Tied(t upstream.Tie) {
	l := linkOf(t)
	w.span.Link(l.To, l.Attrs...)
}

// Mark implements upstream.Witness.
func (w *witness) Mark() upstream.Mark { return episodeOf("", w.span) }
