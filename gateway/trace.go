package gateway

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/interlock-mcp/interlock/router"
	"github.com/interlock-mcp/interlock/telemetry"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// traceHeader is the W3C trace context of an HTTP request.
type traceHeader struct{ Parent, State, Baggage string }

// traceHeaderOf reads the context of an HTTP request. Of several traceparents none
// counts; several lines of the other two are one list (W3C Trace Context, sections
// 3.2 and 3.3; W3C Baggage, section 3.2).
func traceHeaderOf(h http.Header) (t traceHeader) {
	if all := h["Traceparent"]; len(all) == 1 {
		t.Parent = all[0]
	}
	if all := h["Tracestate"]; len(all) > 0 {
		t.State = strings.Join(all, ",")
	}
	if all := h["Baggage"]; len(all) > 0 {
		t.Baggage = strings.Join(all, ",")
	}
	return t
}

// inject adds the context to params._meta of the request.
func (t traceHeader) inject(e *jsonrpc.Edits, m *jsonrpc.Message) *jsonrpc.Edits {
	if e == nil {
		e = new(jsonrpc.Edits)
	}
	var room [3]jsonrpc.Member
	e.SetMeta(m, t.members(room[:0], m)...)
	return e
}

// members appends the context as members of the _meta of m.
func (t traceHeader) members(all []jsonrpc.Member, m *jsonrpc.Message) []jsonrpc.Member {
	if t.Parent != "" {
		all = append(all, jsonrpc.Member{Name: "traceparent", Text: t.Parent})
	}
	// A tracestate that came with another parent says nothing of this one.
	if t.State != "" || m.TraceState.Ok() {
		all = append(all, jsonrpc.Member{Name: "tracestate", Text: t.State})
	}
	if t.Baggage != "" {
		all = append(all, jsonrpc.Member{Name: "baggage", Text: t.Baggage})
	}
	return all
}

// outcome is how a request ended, as spans and metrics say it. The zero outcome
// is success.
type outcome struct {
	Type      string // error.type where no JSON-RPC code says it: timeout, ...
	Code      int    // of a JSON-RPC error
	ToolError bool   // the result of a tool has isError
}

// span is a telemetry span that knows the gateway's outcomes, and counts the
// operation, also where there is no trace.
type span struct {
	*telemetry.Span
	meter func(*Gateway, *exchange) *telemetry.Meter // nil when nothing is counted
	g     *Gateway
	x     *exchange
	begun time.Time
	ended time.Time // now, if it is zero
}

// End ends the span.
func (s span) End(o outcome) {
	if s.meter == nil && s.Span == nil {
		return
	}
	to := telemetry.Outcome{ErrorType: o.Type, RPCCode: o.Code, ToolError: o.ToolError}
	if s.ended.IsZero() {
		s.ended = time.Now()
		s.x.ended = s.ended
	}
	if s.meter != nil {
		s.meter(s.g, s.x).Count(s.ended.Sub(s.begun), to, s.Span)
	}
	s.EndAt(s.ended, to)
}

// meters count the calls of one route. asked describes the request to the upstream of
// one with a name, as far as it is the same for each.
type meters struct {
	server, client *telemetry.Meter
	asked          telemetry.Operation
}

// meters returns those of the route that x takes. They are kept with the view,
// since to look one up by all its labels costs more than to count.
func (g *Gateway) meters(x *exchange) *meters {
	if x.named() {
		return x.view.meters.of(meterKey{x.route, x.from != "", x.modern != nil, g.tel.Counting()}, func() *meters {
			to := clientOperation(x)
			return &meters{g.tel.ServerMeter(g.serverOperation(x)), g.tel.ClientMeter(to), to}
		})
	}
	m := &meters{server: g.tel.ServerMeter(g.serverOperation(x))}
	if x.route != nil {
		m.client = g.tel.ClientMeter(clientOperation(x))
	}
	return m
}

// named reports whether all requests of x's route are for one thing with a name.
func (x *exchange) named() bool {
	return x.route != nil && (x.method == "tools/call" || x.method == "prompts/get")
}

// meterTable holds the meters of routes that were called.
type meterTable struct {
	mu sync.RWMutex // guards m
	m  map[meterKey]*meters
}

type meterKey struct {
	route  *router.Route
	tcp    bool
	modern bool
	counts bool // a Meter made before anybody counts is none
}

func (t *meterTable) of(k meterKey, make func() *meters) *meters {
	t.mu.RLock()
	m := t.m[k]
	t.mu.RUnlock()
	if m != nil {
		return m
	}
	m = make()
	t.mu.Lock()
	t.m[k] = m
	t.mu.Unlock()
	return m
}

func serverMeter(g *Gateway, x *exchange) *telemetry.Meter { return g.meters(x).server }
func clientMeter(g *Gateway, x *exchange) *telemetry.Meter { return g.meters(x).client }

// startServer begins the SERVER span of a client's request, and returns a context
// that carries it.
func (g *Gateway) startServer(ctx context.Context, x *exchange) (context.Context, span) {
	s := g.accept(x)
	if s.Span == nil {
		return ctx, s
	}
	if s.Recording() {
		g.learn(ctx, x)
		op := g.serverOperation(x)
		s.Describe(&op)
	}
	if own, ok := ctx.(*callContext); ok {
		own.span = s.Span
		return ctx, s
	}
	return telemetry.NewContext(ctx, s.Span), s
}

// accept begins that span. If it is recorded, it must be described before anybody else
// has it.
func (g *Gateway) accept(x *exchange) span {
	if !g.tel.Watching() {
		return span{}
	}
	s := span{g: g, x: x, begun: x.begun}
	if g.tel.Counting() {
		s.meter = serverMeter
	}
	keep := g.tel.Keeps(x.begun)
	if !keep && x.traced == nil && !g.tel.Exporting() {
		return s
	}
	m := x.msg
	op := telemetry.Operation{
		TraceParent: x.text(m.TraceParent), TraceState: x.text(m.TraceState), Baggage: x.text(m.Baggage),
		HeaderTraceParent: x.header.Parent, HeaderTraceState: x.header.State, HeaderBaggage: x.header.Baggage,
		Began: x.begun, Keep: keep, Force: x.traced != nil,
	}
	if s.Span = g.tel.Accept(&op); s.Span == nil {
		return s
	}
	if x.traced != nil {
		*x.traced = s.TraceID()
	}
	x.span = s.Span
	return s
}

// learn waits for the first lists if x names what none of them has, as the call
// itself would: its span is called by that name.
func (g *Gateway) learn(ctx context.Context, x *exchange) {
	known := true
	switch x.method {
	case "tools/call":
		_, known = x.catalog.Tool(x.text(x.msg.Name))
	case "prompts/get":
		_, known = x.catalog.Prompt(x.text(x.msg.Name))
	}
	if !known {
		g.awaitLists(ctx, x)
	}
}

func (g *Gateway) serverOperation(x *exchange) telemetry.Operation {
	m := x.msg
	op := telemetry.Operation{
		Method: x.method, RequestID: x.key, SessionID: x.session.key, ProtocolVersion: x.session.negotiated(),
		ClientAddress: hostOnly(x.from), Transport: "tcp",
	}
	if op.RequestID == "" { // it is not among those in flight
		op.RequestID = string(x.id())
	}
	if x.from == "" {
		op.Transport = "pipe"
	}
	if x.modern != nil {
		op.SessionID = "" // there is none
	}
	switch x.method {
	case "tools/call":
		op.TargetKind = telemetry.Tool
		op.Target = telemetry.Other
		if r, ok := x.catalog.Tool(x.text(m.Name)); ok {
			op.Target = r.Exposed
		}
	case "prompts/get":
		op.TargetKind = telemetry.Prompt
		op.Target = telemetry.Other
		if r, ok := x.catalog.Prompt(x.text(m.Name)); ok {
			op.Target = r.Exposed
		}
	case "resources/read", "resources/subscribe", "resources/unsubscribe":
		op.URI = toldURI(x.text(m.URI))
	}
	return op
}

// startClient begins the CLIENT span of a request to an upstream, and returns the
// trace context to send with it: none when nothing is exported, so that what the
// client sent passes as it is.
func (g *Gateway) startClient(ctx context.Context, x *exchange) (span, traceHeader) {
	if !g.tel.Watching() {
		return span{}, traceHeader{}
	}
	s := span{g: g, x: x, begun: time.Now()}
	if g.tel.Counting() {
		s.meter = clientMeter
	}
	parent := telemetry.FromContext(ctx)
	if parent == nil {
		return s, traceHeader{}
	}
	if parent.Recording() {
		var op telemetry.Operation
		if x.named() {
			op = g.meters(x).asked
		} else {
			op = clientOperation(x)
		}
		op.Began = s.begun
		if u := x.view.upstreams[x.route.Upstream]; u != nil {
			op.ProtocolVersion = u.Version()
		}
		s.Span = g.tel.Client(parent, &op)
	} else {
		s.Span = parent
	}
	var t traceHeader
	t.Parent, t.State, t.Baggage = s.Inject()
	return s, t
}

// clientOperation describes the call of x's route, but for the version of the
// protocol: a server may speak another after a restart.
func clientOperation(x *exchange) telemetry.Operation {
	r := x.route
	op := telemetry.Operation{Method: x.method, Upstream: r.Upstream, Transport: "pipe"}
	u := x.view.upstreams[r.Upstream]
	if u == nil {
		return op
	}
	cfg := u.Config()
	if cfg.Kind() != upstream.Stdio {
		op.Transport = "tcp"
		if at, err := url.Parse(cfg.URL); err == nil {
			op.ServerAddress = at.Hostname()
			op.ServerPort, _ = strconv.Atoi(at.Port())
		}
	}
	switch x.method {
	case "tools/call":
		op.TargetKind, op.Target = telemetry.Tool, r.Target
	case "prompts/get":
		op.TargetKind, op.Target = telemetry.Prompt, r.Target
	case "resources/read", "resources/subscribe", "resources/unsubscribe":
		op.URI = toldURI(r.Target)
	}
	return op
}

// requesting returns a context under which what an upstream is asked on behalf of x,
// besides its call, has a CLIENT span. r is where it goes.
func (g *Gateway) requesting(ctx context.Context, x *exchange, r *router.Route) context.Context {
	parent := telemetry.FromContext(ctx)
	if parent == nil {
		return ctx
	}
	return upstream.WithRequester(ctx, func(method string) (t upstream.Trace, w upstream.Witness, ended func(jsonrpc.Message, error)) {
		op := clientOperation(&exchange{view: x.view, route: r, method: method})
		op.Began = time.Now()
		span := g.tel.Client(parent, &op)
		t.Parent, t.State, t.Baggage = span.Inject()
		seen := g.witness(r.Upstream, span)
		if seen != nil {
			w = seen
		}
		return t, w, func(m jsonrpc.Message, err error) {
			seen.sum()
			out := outcomeOf(method, m)
			if server, ok := errors.AsType[*upstream.ServerError](err); ok {
				out = outcome{Code: server.Code}
			} else if err != nil {
				out = outcomeOfError(err)
			}
			span.End(telemetry.Outcome{ErrorType: out.Type, RPCCode: out.Code})
		}
	})
}

// outcomeOf reads from an answer how the request ended. Of a tool's result it
// looks for isError only, without decoding the rest.
func outcomeOf(method string, m jsonrpc.Message) outcome {
	if m.Kind == jsonrpc.Failure {
		at, _ := jsonrpc.Lookup(m.Raw, m.Error, "code")
		code, _ := strconv.Atoi(string(at.Of(m.Raw)))
		return outcome{Code: code}
	}
	return outcome{ToolError: method == "tools/call" && string(m.IsError.Of(m.Raw)) == "true"}
}

// outcomeOfError is the outcome of a call that got no answer.
func outcomeOfError(err error) outcome {
	var call *upstream.CallError
	switch {
	case errors.As(err, &call):
		return outcome{Type: call.Reason}
	case errors.Is(err, errParkTime):
		return outcome{Type: "timeout"}
	case errors.Is(err, errDraining):
		return outcome{Type: "shutdown"}
	case errors.Is(err, errCancelled), errors.Is(err, errClientGone), errors.Is(err, errEnded):
		return outcome{Type: "cancelled"}
	}
	return outcome{Type: "_OTHER"}
}
