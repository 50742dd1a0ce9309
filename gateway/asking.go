package gateway

import (
	"strconv"
	"time"

	"github.com/interlock-mcp/interlock/telemetry"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// asking is a server's request to a client as it is traced: a CLIENT span below that
// of the call which it belongs to, until it is answered, refused or taken back. Nil
// is one that nobody watches.
type asking struct {
	g     *Gateway
	op    telemetry.Operation
	begun time.Time
	span  *telemetry.Span // nil where it is only counted
	// around is a SERVER span for a question that belongs to no call; else nil.
	around *telemetry.Span
}

// startAsking begins to trace a request of an upstream that is put to a client of s.
// c is the call that it belongs to; without one it goes on with the trace that the
// server sent, if it sent one.
func (g *Gateway) startAsking(c *call, s *session, up string, m *jsonrpc.Message) *asking {
	if !g.tel.Watching() {
		return nil
	}
	a := &asking{g: g, begun: time.Now(), op: telemetry.Operation{
		Method: m.MethodName(), Upstream: up, Transport: "tcp", SessionID: s.key, ProtocolVersion: s.negotiated(),
	}}
	a.op.Began = a.begun
	if c == nil {
		if _, ok := s.outlet().(*pipe); ok {
			a.op.Transport = "pipe"
		}
		from := a.op
		from.TraceParent, from.TraceState, from.Baggage = m.Text(m.TraceParent), m.Text(m.TraceState), m.Text(m.Baggage)
		from.RequestID = string(m.ID.Of(m.Raw))
		from.Keep = g.tel.Keeps(a.begun)
		a.around = g.tel.Server(&from)
		a.span = g.tel.Client(a.around, &a.op)
		return a
	}
	if c.x.from == "" {
		a.op.Transport = "pipe"
	}
	if c.x.modern != nil {
		a.op.SessionID = ""
	}
	a.span = g.tel.Client(c.span, &a.op)
	return a
}

// under tells the id under which the client is asked. A client of 2026-07-28 is sent no
// request.
func (a *asking) under(id uint64) {
	if a != nil && a.span.Recording() {
		a.span.Set(telemetry.String(telemetry.AttrRequestID, strconv.FormatUint(id, 10)))
	}
}

// inject adds the question's trace context to what the client is sent, if there is
// an exporter. It reports whether it did.
func (a *asking) inject(e *jsonrpc.Edits, m *jsonrpc.Message) bool {
	if a == nil {
		return false
	}
	var t traceHeader
	if t.Parent, t.State, t.Baggage = a.span.Inject(); t.Parent == "" {
		return false
	}
	t.inject(e, m)
	return true
}

// end ends it. how is one of the values of telemetry.AttrQuestionOutcome.
func (a *asking) end(how string, o telemetry.Outcome) {
	if a == nil {
		return
	}
	now := time.Now()
	for _, s := range [...]*telemetry.Span{a.span, a.around} {
		s.Set(telemetry.String(telemetry.AttrQuestionOutcome, how))
		s.EndAt(now, o)
	}
	if a.g.tel.Counting() {
		a.g.tel.ClientMeter(a.op).Count(now.Sub(a.begun), o, a.span)
	}
}

// answered ends it with a response of the client.
func (a *asking) answered(m *jsonrpc.Message) {
	if a == nil {
		return
	}
	if m.Kind == jsonrpc.Failure {
		a.end(telemetry.OutcomeError, telemetry.Outcome{RPCCode: outcomeOf("", *m).Code})
		return
	}
	a.result(m.Raw, m.Result)
}

// result ends it with the result at s in raw.
func (a *asking) result(raw []byte, s jsonrpc.Span) {
	if a == nil {
		return
	}
	how := telemetry.OutcomeAnswered
	if a.op.Method == "elicitation/create" {
		at, _ := jsonrpc.Lookup(raw, s, "action")
		switch action := jsonrpc.Text(raw, at); action {
		case telemetry.OutcomeAccept, telemetry.OutcomeDecline, telemetry.OutcomeCancel:
			how = action
		}
	}
	a.end(how, telemetry.Outcome{})
}

// unanswered ends it without an answer.
func (a *asking) unanswered(how string) {
	if a == nil {
		return
	}
	failure := "cancelled"
	if how == telemetry.OutcomeUnreachable {
		failure = how
	}
	a.end(how, telemetry.Outcome{ErrorType: failure})
}

// notAsked tells the call's span of a question that the client is not asked.
func (c *call) notAsked(method, why string) {
	if c != nil && c.span.Recording() {
		c.span.Event(telemetry.EventQuestionRefused, telemetry.String(telemetry.AttrMethod, method), telemetry.String(telemetry.AttrRefusal, why))
	}
}

// linkedAs is the attribute of a link that says why it is there.
func linkedAs(why string) telemetry.Attr { return telemetry.String(telemetry.AttrLink, why) }

// outlet is where messages go that belong to no request, nil for nowhere.
func (s *session) outlet() outlet {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.home
}
