package gateway

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/interlock-mcp/interlock/telemetry"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// lasting is a stream on which a client listens, as traces tell it: a span until it
// is there and one at its end. In between there is none, since a span that is open
// for hours is one that nobody sees.
type lasting struct {
	kind   string // one of the values of telemetry.AttrStream
	opened telemetry.Ref
	began  time.Time
}

// streamOpened tells of a stream that a client of s opened. made is the request that
// it goes on to answer, zero for none.
func (g *Gateway) streamOpened(kind string, s *session, from visitor, made telemetry.Ref) *lasting {
	l := &lasting{kind: kind, began: time.Now()}
	if !g.tel.Tracing() {
		return l
	}
	h := traceHeaderOf(from.request.Header)
	span := g.tel.Server(&telemetry.Operation{
		Span: telemetry.SpanStreamOpen, SessionID: s.key, ProtocolVersion: s.negotiated(), Transport: "tcp",
		ClientAddress:     hostOnly(from.request.RemoteAddr),
		HeaderTraceParent: h.Parent, HeaderTraceState: h.State, HeaderBaggage: h.Baggage,
		Began: l.began, Keep: g.tel.Keeps(l.began),
	})
	span.Set(telemetry.String(telemetry.AttrStream, kind))
	if !made.IsZero() {
		span.Set(telemetry.Bool(telemetry.AttrResumed, true))
		span.Link(made, linkedAs(telemetry.LinkResumed))
	}
	span.End(telemetry.Outcome{})
	l.opened = span.Ref()
	return l
}

// streamEnded tells of its end, if its beginning was told. how is one of the values
// of telemetry.AttrEnding, events how many messages it carried.
func (g *Gateway) streamEnded(l *lasting, how string, events int64) {
	if l.opened.IsZero() {
		return
	}
	now := time.Now()
	g.tel.Internal(telemetry.SpanStart{
		Name: telemetry.SpanStreamEnd, As: l.opened, Began: now,
		Links: []telemetry.Link{{To: l.opened, Attrs: []telemetry.Attr{linkedAs(telemetry.LinkOpened)}}},
		Attrs: []telemetry.Attr{
			telemetry.String(telemetry.AttrStream, l.kind), telemetry.String(telemetry.AttrEnding, how),
			telemetry.Int(telemetry.AttrStreamEvents, events), telemetry.Int(telemetry.AttrLasted, now.Sub(l.began).Milliseconds()),
		},
	}).End(telemetry.Outcome{})
}

// endingBy says how a stream of s ended that carry returned err for.
func (g *Gateway) endingBy(s *session, err error) string {
	s.mu.Lock()
	over := s.ended
	s.mu.Unlock()
	switch {
	case err == nil:
		return telemetry.EndingComplete
	case g.draining.Load():
		return telemetry.EndingShutdown
	case over:
		return telemetry.EndingSession
	case errors.Is(err, errReplaced):
		return telemetry.EndingReplaced
	case errors.Is(err, os.ErrDeadlineExceeded):
		return telemetry.EndingSlow
	}
	return telemetry.EndingClosed
}

// endingOf says how a subscriptions/listen ended that is served under ctx.
func (g *Gateway) endingOf(ctx context.Context) string {
	if ctx.Err() == nil || g.draining.Load() {
		return telemetry.EndingShutdown
	}
	return telemetry.EndingClosed
}

// startInitialize begins the SERVER span of a client's initialize.
func (g *Gateway) startInitialize(ctx context.Context, v *view, m *jsonrpc.Message, from visitor) span {
	if !g.tel.Watching() {
		return span{}
	}
	x := &exchange{session: new(session), view: v, catalog: v.catalog, msg: m, method: "initialize", begun: time.Now()}
	if r := from.request; r != nil {
		x.from, x.header = r.RemoteAddr, traceHeaderOf(r.Header)
	}
	_, s := g.startServer(ctx, x)
	return s
}

// initialized ends it, with the session that it began.
func (s span) initialized(of *session, version string) {
	s.Set(telemetry.String(telemetry.AttrSessionID, of.key), telemetry.String(telemetry.AttrProtocolVersion, version))
	s.End(outcome{})
}
