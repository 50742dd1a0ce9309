package gateway

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/interlock-mcp/interlock/router"
	"github.com/interlock-mcp/interlock/telemetry"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

var (
	errCancelled  = errors.New("cancelled by the client")
	errClientGone = errors.New("the client went away")
	errDraining   = errors.New("the gateway is shutting down")
)

// call is a request that an upstream answers. It is the upstream.Peer of that
// request: what the upstream sends on its behalf comes here.
type call struct {
	x       *exchange
	g       *Gateway
	route   *router.Route
	parked  *parked // for a client of 2026-07-28 that can be asked; else nil
	lacked  atomic.Pointer[string]
	waiting atomic.Int32    // questions that a person has not answered yet
	over    atomic.Bool     // the answer is known: what comes later is dropped
	sieve   *sieve          // nil where nobody looks at what servers send
	span    *telemetry.Span // its CLIENT span, nil where there is none; set before the call is made
	talk    atomic.Pointer[talk]
}

var errDuplicate = errors.New("duplicate id")

// begin enters a request among those in flight, so that the client can cancel
// it. The error is errDuplicate or errEnded.
func (s *session) begin(x *exchange) error {
	id := string(x.id())
	x.key = id
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return errEnded
	}
	if s.inFlight == nil {
		s.inFlight = make(map[string]*exchange)
	}
	if _, ok := s.inFlight[id]; ok {
		return errDuplicate
	}
	s.inFlight[id] = x
	return nil
}

// underWay returns the requests in flight.
func (s *session) underWay() []*exchange {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.inFlight) == 0 {
		return nil
	}
	return slices.Collect(maps.Values(s.inFlight))
}

// done takes the request out again, before its answer goes out: the client may
// use the id again then.
func (s *session) done(x *exchange) {
	if x.ended.IsZero() {
		x.ended = time.Now()
	}
	s.used.Store(x.ended.UnixNano()) // a long call is no idleness
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inFlight[x.key] == x {
		delete(s.inFlight, x.key)
	}
}

// turnedAway answers a request that begin refused.
func (g *Gateway) turnedAway(x *exchange, err error) answer {
	g.dismissed(x, refusedAs(jsonrpc.CodeInvalidRequest))
	if errors.Is(err, errDuplicate) {
		return errorOf(x.id(), jsonrpc.CodeInvalidRequest,
			"invalid request: a request with id "+clipName(string(x.id()))+" is in flight already", nil)
	}
	return errorOf(x.id(), jsonrpc.CodeInvalidRequest, "invalid request: the session has ended", nil)
}

// cancelled handles notifications/cancelled (basic/utilities/cancellation). An
// id that is not in flight is ignored, as the specification asks.
func (s *session) cancelled(m jsonrpc.Message) {
	id := m.RequestID.Of(m.Raw)
	if id == nil {
		return
	}
	s.mu.Lock()
	x := s.inFlight[string(id)]
	s.mu.Unlock()
	if x != nil {
		x.cancel(errCancelled)
	}
}

// forward carries the request to the upstream of the route and its answer back.
// edits change the request; name and uri are the caller's to replace.
func (g *Gateway) forward(ctx context.Context, x *exchange, r *router.Route, edits *jsonrpc.Edits) (answer, outcome) {
	u := x.view.upstreams[r.Upstream]
	if u == nil {
		return g.failed(x, r, &upstream.CallError{
			Upstream: r.Upstream, Reason: "removed", Text: "it is no longer configured", Executed: upstream.ExecutedNo,
		})
	}
	x.route = r
	c := &x.call
	c.x, c.g, c.route = x, g, r
	if x.modern != nil {
		return g.forwardModern(ctx, x, c, u, edits)
	}
	defer c.end()

	m, err := g.consulted(ctx, c, u, edits)
	switch {
	case err == nil:
	case ctx.Err() != nil && errors.Is(context.Cause(ctx), err):
		return g.aborted(x, r, err)
	default:
		return g.failed(x, r, err)
	}
	if u.Modern() {
		m = forLegacy(x.method, m)
	}
	return carried(m, x.id()), outcomeOf(x.method, m)
}

// ask makes the upstream's call under a span of its own.
func (g *Gateway) ask(ctx context.Context, c *call, u *upstream.Upstream, edits *jsonrpc.Edits) (jsonrpc.Message, error) {
	x := c.x
	if x.modern != nil && x.modern.older {
		g.levelFor(ctx, x, u)
	}
	span, trace := g.startClient(ctx, x)
	if trace.Parent != "" {
		edits = trace.inject(edits, x.msg)
	} else {
		trace = x.header // nothing is exported: what the client sent goes on as it came
	}
	uc := &x.ask
	uc.Scope = x.session.scope(u)
	uc.Method = x.method
	uc.Idempotent = x.method != "tools/call" || c.route.Idempotent
	uc.Cancel = x.cancel
	r := &uc.Request
	r.Edits, r.Owner, r.Peer = edits, x.owner(), c // the message is there
	r.TraceParent, r.TraceState, r.Baggage = trace.Parent, trace.State, trace.Baggage
	if c.parked != nil { // the request that it was made for may be answered before it
		uc.Cancel = c.parked.cancel
		r.Alone = true
	}
	if u.Modern() {
		x.tellWho(r)
		if x.changed { // they mirror what the client sent
			r.Params = nil
		}
	}
	seen := g.witness(u.Name(), span.Span) // not of the exchange, which most calls need no more of
	if seen != nil {
		uc.Witness = seen
	}
	uc.Begun = span.begun
	c.span = span.Span
	m, err := u.Call(ctx, uc)
	c.sum()
	seen.sum()
	if err != nil {
		span.ended = time.Now() // not the exchange's: that of a parked call may be over
		span.End(outcomeOfError(err))
		return m, err
	}
	span.ended = uc.Ended
	span.End(outcomeOf(x.method, m))
	return m, nil
}

// failed answers a call that its upstream did not answer.
func (g *Gateway) failed(x *exchange, r *router.Route, err error) (answer, outcome) {
	f := faultOf(r.Upstream, err)
	x.executed = f.Executed
	g.rejected(f)
	out := outcome{Type: f.Reason}
	if x.method == "tools/call" && x.modern != nil {
		return x.modernFault(f), out
	}
	if x.method == "tools/call" {
		return f.asToolResult(x.id()), out
	}
	out.Code = f.code
	return f.asError(x.id()), out
}

// aborted ends a call whose context ended: silently when the client wants no
// answer any more, with an honest one when the gateway gave up.
func (g *Gateway) aborted(x *exchange, r *router.Route, cause error) (answer, outcome) {
	e := &upstream.CallError{Upstream: r.Upstream, Executed: upstream.ExecutedUnknown, Err: cause}
	switch {
	case errors.Is(cause, errDraining):
		e.Reason, e.Text = "shutdown", "it was still working when the gateway shut down"
	case errors.Is(cause, errClientGone):
		// Should it come back after all, it finds out what became of its request.
		e.Reason, e.Text = "client_gone", "the request was cancelled, since its client was gone for too long"
	default:
		return answer{}, outcome{Type: "cancelled"}
	}
	a, _ := g.failed(x, r, e)
	return a, outcomeOfError(cause)
}

// Waiting implements upstream.Waiter: whether the call's clock rests.
func (c *call) Waiting() bool { return c.waiting.Load() > 0 }

// end drops what still comes for the call, and takes back its open questions.
func (c *call) end() {
	c.over.Store(true)
	c.x.session.withdraw(c)
}

// Notified implements upstream.Peer.
func (c *call) Notified(m jsonrpc.Message) {
	if c.over.Load() {
		return
	}
	if c.span.Recording() {
		c.note(m)
	}
	switch m.MethodName() {
	case "notifications/resources/updated": // for all who subscribed
		c.g.Notified(c.route.Upstream, c.x.session.scopeOf(c.x.view, c.route.Upstream), m)
		return
	}
	if c.sieve != nil {
		c.sieve.notified(c.recipient(), m, c.pass)
		return
	}
	c.pass(m)
}

// recipient is the client.
func (c *call) recipient() recipient {
	return recipient{c.x.view.upstreams[c.route.Upstream], c.route.Upstream, c.x.principal, c.x.sessionKey()}
}

// pass gives the client what the server said.
func (c *call) pass(m jsonrpc.Message) {
	if c.over.Load() {
		return
	}
	if c.x.modern != nil {
		c.notifiedModern(m)
		return
	}
	switch m.MethodName() {
	case "notifications/message":
		if c.x.session.wants(m) {
			c.x.out.send(m.Raw, optional)
		}
	case "notifications/progress":
		c.x.out.send(m.Raw, optional)
	default: // also what the gateway does not know: it came for this call
		c.x.out.send(m.Raw, needed)
	}
}

// Asked implements upstream.Peer.
func (c *call) Asked(q *upstream.Question) {
	if c.over.Load() {
		go refuse(q, "the call that this request belongs to has ended")
		return
	}
	if c.sieve != nil {
		c.sieve.asked(c.recipient(), q, c.put)
		return
	}
	c.put(q)
}

// put puts a question of the server to the client.
func (c *call) put(q *upstream.Question) {
	if c.over.Load() {
		go refuse(q, "the call that this request belongs to has ended")
		return
	}
	if c.x.modern != nil {
		c.askedModern(q)
		return
	}
	c.g.putTo(c.x.session, q, c.x.out, c, c.route.Upstream)
}

// scopeOf is scope for an upstream known by name; the zero scope if it is gone.
func (s *session) scopeOf(v *view, name string) upstream.Scope {
	if u := v.upstreams[name]; u != nil {
		return s.scope(u)
	}
	return upstream.Scope{}
}
