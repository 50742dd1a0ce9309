package gateway

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/interlock-mcp/interlock/router"
	"github.com/interlock-mcp/interlock/telemetry"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// forwardModern carries the request of a client of 2026-07-28 to the upstream of
// the route and its answer back.
func (g *Gateway) forwardModern(ctx context.Context, x *exchange, c *call, u *upstream.Upstream, edits *jsonrpc.Edits) (answer, outcome) {
	if x.modern.head != nil && len(c.route.Headers) > 0 && x.method == "tools/call" {
		if bad := checkParamHeaders(x.modern.head, x.msg, c.route.Headers); bad != nil {
			return refused(errorOf(x.id(), bad.code, bad.text, bad.data), bad.code)
		}
	}
	still := u.Modern()
	if takesInput(x.method) && (x.msg.RequestState.Ok() || x.msg.InputResponses.Ok()) {
		state, fresh, bad := g.retried(x, c, still, edits)
		switch {
		case bad != nil:
			return bad.answer, bad.outcome
		case state.kind == stateParked:
			return g.resume(ctx, x, c.route, state)
		case state.kind == stateSignedIn && len(state.inner) > 0:
			if err := g.awaitOffer(ctx, c.route, g.signIns.offers.named(string(state.inner))); err != nil {
				return g.gaveUp(ctx, x, c.route, err)
			}
		}
		edits = fresh
	}
	if !still {
		x.modern.older = true
		edits = withEdits(edits)
		edits.Drop(x.msg.Raw, x.msg.Meta, metaOwn...)
		if x.modern.client.able.any() && takesInput(x.method) {
			return g.converseModern(ctx, x, c, u, edits)
		}
	}
	defer c.end()
	m, err := g.consulted(ctx, c, u, edits)
	switch {
	case err == nil:
		return g.modernAnswer(x, c.route, m, c.lacking())
	}
	return g.gaveUp(ctx, x, c.route, err)
}

// gaveUp answers a call that its upstream did not answer, if anybody wants to know, or
// asks for the sign-in that it needs.
func (g *Gateway) gaveUp(ctx context.Context, x *exchange, r *router.Route, err error) (answer, outcome) {
	if ctx.Err() != nil && errors.Is(context.Cause(ctx), err) {
		return g.aborted(x, r, err)
	}
	if a, ok := g.signInFirst(x, r, err); ok {
		return a, outcome{}
	}
	return g.failed(x, r, err)
}

// metaOwn is what a request of 2026-07-28 says of itself in _meta. A server of an
// older revision is spared it: one that speaks both would take the request for one
// of 2026-07-28.
var metaOwn = []string{
	jsonrpc.MetaPrefix + "protocolVersion", jsonrpc.MetaPrefix + "clientInfo",
	jsonrpc.MetaPrefix + "clientCapabilities", jsonrpc.MetaPrefix + "logLevel",
}

// takesInput reports whether requests of the method may be answered with what is
// required of the client (basic/patterns/mrtr, "Supported Requests").
func takesInput(method string) bool {
	return method == "tools/call" || method == "prompts/get" || method == "resources/read"
}

// verdict is an answer that is known already.
type verdict struct {
	answer
	outcome
}

// retried reads what a retry brings, and returns the edits that make of it what the
// upstream is to see. bad says why it is not to see it.
func (g *Gateway) retried(x *exchange, c *call, modern bool, edits *jsonrpc.Edits) (s requestState, _ *jsonrpc.Edits, bad *verdict) {
	if !x.msg.RequestState.Ok() {
		if !modern {
			edits = withEdits(edits)
			edits.Drop(x.msg.Raw, x.msg.Params, "inputResponses")
		}
		return s, edits, nil
	}
	s, err := g.stateOf(x)
	if err != nil || s.upstream != c.route.Upstream {
		a, o := x.staleState()
		return s, edits, &verdict{a, o}
	}
	x.span.Link(s.made, linkedAs(telemetry.LinkParked))
	switch s.kind {
	case statePassed:
		edits = withEdits(edits)
		edits.Replace(x.msg.RequestState, s.inner)
	case stateSignedIn:
		if key := declined(x); key != "" {
			a, o := g.declined(x, c.route)
			return s, edits, &verdict{a, o}
		}
		edits = withEdits(edits)
		edits.Drop(x.msg.Raw, x.msg.Params, "inputResponses", "requestState")
	}
	return s, edits, nil
}

func withEdits(e *jsonrpc.Edits) *jsonrpc.Edits {
	if e == nil {
		e = new(jsonrpc.Edits)
	}
	return e
}

// declined names the first input response that is not an acceptance, "" for none.
func declined(x *exchange) string {
	for key, at := range jsonrpc.Members(x.msg.Raw, x.msg.InputResponses) {
		if action, _ := jsonrpc.Lookup(x.msg.Raw, at, "action"); x.text(action) != "accept" {
			return key
		}
	}
	return ""
}

// declined answers a call that needs a page to be visited which nobody wants to
// visit.
func (g *Gateway) declined(x *exchange, r *router.Route) (answer, outcome) {
	return g.failed(x, r, &upstream.CallError{
		Upstream: r.Upstream, Reason: "declined", Executed: upstream.ExecutedNo,
		Text: "it needs a page to be visited first, and that was declined",
	})
}

// modernAnswer makes of an upstream's answer one of 2026-07-28. lacking are the
// capabilities that the call would have needed, "" for none.
func (g *Gateway) modernAnswer(x *exchange, r *router.Route, m jsonrpc.Message, lacking string) (answer, outcome) {
	out := outcomeOf(x.method, m)
	if lacking != "" && (m.Kind == jsonrpc.Failure || out.ToolError) {
		return g.missingCapability(x, r, m, lacking)
	}
	if m.Kind == jsonrpc.Failure {
		return g.modernFailure(x, r, m, out)
	}
	switch kind := resultType(&m); kind {
	case "":
		return completed(&m, x.id(), x.method == "resources/read", x.view.serverInfo), out
	case resultInput:
		x.span.Set(telemetry.String(telemetry.AttrResultType, resultInput))
		x.executed = string(upstream.ExecutedUnknown)
		return g.passInput(x, r, m), out
	case resultTask:
		x.span.Set(telemetry.String(telemetry.AttrResultType, resultTask))
		g.tasks.remember(x, r.Upstream, m)
	}
	return carried(m, x.id()), out
}

// passInput passes on what a server of 2026-07-28 requires, with its state sealed:
// it comes back for this request of this client alone.
func (g *Gateway) passInput(x *exchange, r *router.Route, m jsonrpc.Message) answer {
	at, ok := jsonrpc.Lookup(m.Raw, m.Result, "requestState")
	if !ok {
		return carried(m, x.id())
	}
	s := x.stateFor(statePassed, r.Upstream, stateTTL)
	s.inner = at.Of(m.Raw)
	var e jsonrpc.Edits
	e.Replace(m.ID, x.id())
	e.Replace(at, jsonrpc.AppendString(nil, g.seal.sealState(s)))
	return answer{head: e.Apply(nil, m.Raw)}
}

// tell passes on what a server says on behalf of a request of 2026-07-28: progress
// if there is a token for it, log lines if a level was named.
func (x *exchange) tell(m jsonrpc.Message) {
	switch m.MethodName() {
	case "notifications/message":
		if l := x.modern.level; l != "" && levels[m.Text(m.Level)] >= levels[l] {
			x.out.send(m.Raw, optional)
		}
	case "notifications/progress":
		token := x.msg.MetaProgressToken.Of(x.msg.Raw)
		switch raw := m.Raw; {
		case token == nil:
		case bytes.Equal(token, m.ProgressToken.Of(raw)):
			x.out.send(raw, optional)
		default: // the token of the request that the call was made for
			var e jsonrpc.Edits
			e.Replace(m.ProgressToken, token)
			x.out.send(e.Apply(nil, raw), optional)
		}
	case "notifications/elicitation/complete", "notifications/cancelled":
	default: // also what the gateway does not know: it came for this call
		x.out.send(m.Raw, needed)
	}
}

// paramHeaders are the Mcp-Param-* headers of the request, for an upstream that
// they may mean something to; nil for none.
func (x *exchange) paramHeaders() http.Header {
	var h http.Header
	if x.modern == nil {
		return nil
	}
	for key, values := range x.modern.head {
		if strings.HasPrefix(key, headerParam) {
			if h == nil {
				h = make(http.Header)
			}
			h[key] = values
		}
	}
	return h
}

// tellWho adds what a link to a server of 2026-07-28 has to know of the client.
func (x *exchange) tellWho(r *upstream.Request) {
	s := x.session
	switch {
	case x.modern != nil && x.modern.older: // its server was of an older revision a moment ago
		r.Client = upstream.Client{Capabilities: s.client.raw, LogLevel: x.modern.level}
		return
	case x.modern != nil:
		r.Modern, r.Params = true, x.paramHeaders()
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r.Client = upstream.Client{Capabilities: s.client.raw, LogLevel: s.level}
}

// notifiedModern is Notified for a client of 2026-07-28.
func (c *call) notifiedModern(m jsonrpc.Message) {
	if c.parked != nil {
		c.parked.notified(m)
		return
	}
	c.x.tell(m)
}

// askedModern is Asked for a client of 2026-07-28. One that can be asked nothing
// has no parked call.
func (c *call) askedModern(q *upstream.Question) {
	if c.parked != nil {
		c.parked.asked(q)
		return
	}
	lacking := c.x.modern.client.able.lacking(&q.Message)
	if lacking == "" || !askable(q.Message.MethodName()) {
		go refuse(q, clipName(c.x.method)+" is no request that may ask the client for input")
		return
	}
	c.lacked.Store(&lacking)
	c.notAsked(q.Message.MethodName(), "the client declared no "+lacking)
	go unable(q, "what this asks for: it declared no "+lacking)
}

// lacking are the capabilities that the call would have needed, "" for none.
func (c *call) lacking() string {
	if p := c.lacked.Load(); p != nil {
		return *p
	}
	return ""
}
