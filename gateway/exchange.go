package gateway

import (
	"context"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/router"
	"github.com/interlock-mcp/interlock/telemetry"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// exchange is one request of a client on its way to its answer.
type exchange struct {
	session *session
	// principal is who sent the request: the session's own, with what its
	// credential of this request allows.
	principal *policy.Principal
	view      *view
	catalog   *router.Catalog
	msg       *jsonrpc.Message // that in ask
	method    string
	out       outlet // where messages that belong to the request go
	header    traceHeader
	span      *telemetry.Span // the SERVER span, nil where there is none
	from      string          // the client's address, "" on stdio
	code      int32           // of the JSON-RPC error that it was answered with
	changed   bool            // policies made other arguments of those that the client sent
	// modern is what a client of 2026-07-28 said with the request; nil for one of
	// an older revision.
	modern *modernRequest
	begun  time.Time
	ended  time.Time // zero until that is known
	// traced, if not nil, has the request recorded, and gets the id of its trace.
	traced *string
	// cancel ends the request's context; the cause says why.
	cancel context.CancelCauseFunc
	key    string        // the id, among those in flight
	route  *router.Route // where it goes, nil until that is known
	record *record       // what policies did; nil while none was asked
	// executed is what is known of whether the upstream ran it, "" for what its answer
	// says.
	executed string

	// What a call of an upstream needs is part of it, so that it costs one
	// allocation in all.
	call  call
	ask   upstream.Call
	edits jsonrpc.Edits
}

// id is the client's request id as bytes.
func (x *exchange) id() []byte { return x.msg.ID.Of(x.msg.Raw) }

// text is the string at s in the request.
func (x *exchange) text(s jsonrpc.Span) string { return x.msg.Text(s) }

// kindOf returns the first byte of the value at s, 0 if it is absent: what kind
// of JSON value it is.
func (x *exchange) kindOf(s jsonrpc.Span) byte {
	if !s.Ok() {
		return 0
	}
	return x.msg.Raw[s.Start]
}

// serve answers one request. It blocks until the answer is known or the client
// cancelled, which gives the zero answer.
func (g *Gateway) serve(ctx context.Context, x *exchange) (a answer) {
	ctx, span := g.startServer(ctx, x)
	var out outcome
	defer func() {
		// One request's fault must not end the process, and everybody's with it.
		if fault := recover(); fault != nil {
			g.log.ErrorContext(ctx, "panic while serving a request", "method", x.method, "panic", fault, "stack", string(debug.Stack()))
			a, out = refused(errorOf(x.id(), jsonrpc.CodeInternal, "internal error: this is a defect of the gateway, and its log has the details", nil), jsonrpc.CodeInternal)
		}
		x.code = int32(out.Code) //nolint:gosec // codes are small
		g.capture.result(span.Span, x.method, a)
		span.End(out)
		if g.tel.Auditing() {
			g.audited(ctx, x, a, out)
		}
	}()
	a, out = g.dispatch(ctx, x)
	return a
}

func (g *Gateway) dispatch(ctx context.Context, x *exchange) (answer, outcome) {
	switch x.method {
	case "tools/call":
		return g.callNamed(ctx, x, router.Tools, (*router.Catalog).Tool)
	case "prompts/get":
		return g.callNamed(ctx, x, router.Prompts, (*router.Catalog).Prompt)
	case "resources/read":
		return g.readResource(ctx, x)
	case "completion/complete":
		return g.complete(ctx, x)
	case "tools/list":
		return g.list(ctx, x, router.Tools)
	case "prompts/list":
		return g.list(ctx, x, router.Prompts)
	case "resources/list":
		return g.list(ctx, x, router.Resources)
	case "resources/templates/list":
		return g.list(ctx, x, router.Templates)
	}
	if x.modern != nil {
		return g.dispatchModern(ctx, x)
	}
	switch x.method {
	case "ping":
		return resultOf(x.id(), []byte("{}")), outcome{}
	case "resources/subscribe":
		return g.subscribe(ctx, x)
	case "resources/unsubscribe":
		return g.unsubscribe(ctx, x)
	case "logging/setLevel":
		return g.setLevel(ctx, x)
	case "initialize":
		return refused(errorOf(x.id(), jsonrpc.CodeInvalidRequest, "invalid request: this session is initialized already", nil), jsonrpc.CodeInvalidRequest)
	}
	return g.vendor(ctx, x)
}

// refused pairs an error answer with what the span says of it.
func refused(a answer, code int) (answer, outcome) { return a, outcome{Code: code} }

// badParams is the answer to params that are not what the method asks for.
func (x *exchange) badParams(text string) (answer, outcome) {
	return refused(invalidParams(x.id(), text), jsonrpc.CodeInvalidParams)
}

// missingID is the fault of a request that has no id: MCP's notifications are
// known by their names, so anything else without an id was meant as a request,
// and its sender would wait for ever. Nil if there is no fault.
func missingID(m jsonrpc.Message) *jsonrpc.Error {
	if m.Kind != jsonrpc.Notification || strings.HasPrefix(m.MethodName(), "notifications/") {
		return nil
	}
	return &jsonrpc.Error{
		Code:    jsonrpc.CodeInvalidRequest,
		Message: "invalid request: " + clipName(m.MethodName()) + " needs an id",
	}
}

// notified handles a notification or a response from the client. Neither is
// answered. It does not wait for upstreams: told is done when they have what is
// for them.
func (g *Gateway) notified(s *session, m jsonrpc.Message, told *sync.WaitGroup) {
	if m.Kind == jsonrpc.Result || m.Kind == jsonrpc.Failure {
		s.answered(m, told)
		return
	}
	switch m.MethodName() {
	case "notifications/cancelled":
		s.cancelled(m)
	case "notifications/progress":
		g.progressed(s, m, told)
	case "notifications/roots/list_changed":
		g.rootsChanged(s, m, told)
	}
}

// rootsChanged passes the client's word on to the links it owns: only those
// were told its roots.
func (g *Gateway) rootsChanged(s *session, m jsonrpc.Message, told *sync.WaitGroup) {
	v := g.view.Load()
	for _, u := range v.order {
		if s.scope(u).Exclusive && g.sees(s, u.Name()) {
			g.notify(s, u, m, told)
		}
	}
}

// owner names the client to upstream links.
func (x *exchange) owner() string {
	if x.modern != nil {
		return x.modern.owner
	}
	return x.session.key
}
