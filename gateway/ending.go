package gateway

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/interlock-mcp/interlock/telemetry"
	"github.com/interlock-mcp/interlock/upstream"
)

// ending is how a client's session came to its end.
type ending struct {
	how string // one of the values of telemetry.AttrEnding
	// failure is the error.type of an end that nobody wanted, "" for one that somebody
	// did.
	failure string
}

// closedBy is the end of a session on a connection that ended with err.
func (g *Gateway) closedBy(err error) ending {
	e := ending{how: telemetry.EndingClosed}
	switch {
	case err == nil, errors.Is(err, io.EOF), errors.Is(err, context.Canceled):
	case errors.Is(err, errStuck):
		e.failure = "timeout"
	default:
		e.failure = "_OTHER" // the convention's word
	}
	if g.draining.Load() && e.failure == "" {
		e.how = telemetry.EndingShutdown
	}
	return e
}

// sessionOver counts a client's session that is over. One on which nobody ever said
// initialize was none, and one whose sealed id outlives the gateway is not over
// because that is.
func (g *Gateway) sessionOver(s *session, e ending) {
	s.mu.Lock()
	version, began, home, opened := s.version, s.began, s.home, s.opened
	s.mu.Unlock()
	if version == "" || e.how == telemetry.EndingShutdown && s.id != "" {
		return
	}
	of := telemetry.Session{
		Duration: time.Since(began), ErrorType: e.failure, Transport: "tcp", ProtocolVersion: version,
	}
	if _, ok := home.(*pipe); ok {
		of.Transport = "pipe"
	}
	g.tel.ServerSession(of)
	if opened.IsZero() { // nobody saw it begin
		return
	}
	g.tel.Internal(telemetry.SpanStart{
		Name: telemetry.SpanSessionEnd, As: opened, Links: []telemetry.Link{{To: opened, Attrs: []telemetry.Attr{linkedAs(telemetry.LinkOpened)}}},
		Attrs: []telemetry.Attr{
			telemetry.String(telemetry.AttrSessionID, s.key), telemetry.String(telemetry.AttrProtocolVersion, version),
			telemetry.String(telemetry.AttrTransport, of.Transport), telemetry.String(telemetry.AttrEnding, e.how),
			telemetry.Int(telemetry.AttrLasted, of.Duration.Milliseconds()),
		},
	}).End(telemetry.Outcome{ErrorType: e.failure})
}

// upstreamSessionOver counts a session with an upstream that is over.
func (g *Gateway) upstreamSessionOver(e upstream.SessionEnd) {
	of := telemetry.Session{
		Duration: e.Took, ErrorType: e.Reason, Transport: "pipe", ProtocolVersion: e.Version, Upstream: e.Upstream,
	}
	if e.Remote {
		of.Transport = "tcp"
	}
	g.tel.ClientSession(of)
}
