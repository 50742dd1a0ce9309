package telemetry

import (
	"context"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// Operation describes one MCP request as the semantic conventions for MCP want
// it told. Empty members are not told.
type Operation struct {
	// Method is the MCP method, e.g. tools/call.
	Method string
	// Target is the name of the tool or prompt (TargetKind says which): what
	// clients call it on the server's side, the upstream's own name on the
	// client's. A name that is in no catalog is passed as Other, so that clients
	// cannot invent any number of series.
	Target     string
	TargetKind string
	// URI is a resource's.
	URI string

	RequestID, SessionID, ProtocolVersion string

	Transport     string // pipe or tcp
	ServerAddress string
	ServerPort    int
	ClientAddress string
	// Upstream is the name of the upstream asked, on the client's side.
	Upstream string

	// Trace context (W3C) from params._meta, and from HTTP headers. With both,
	// the first is the parent and the second a link.
	TraceParent, TraceState, Baggage                   string
	HeaderTraceParent, HeaderTraceState, HeaderBaggage string
}

// Values of Operation.TargetKind, and the target that stands for any unknown.
const (
	Tool   = "tool"
	Prompt = "prompt"
	Other  = "_other"
)

// Outcome is how an operation ended. The zero value is success.
type Outcome struct {
	// ErrorType is a short word such as timeout, if there is one; else the two
	// below decide.
	ErrorType string
	// RPCCode is the code of the JSON-RPC error that was answered, 0 for none.
	RPCCode int
	// ToolError tells that the result of tools/call has isError.
	ToolError bool
	// Message goes with an error's status into the span.
	Message string
}

// errorType returns the error.type, "" if the operation did not fail as seen
// from its side. A client's own mistake is no failure of a server.
func (o Outcome) errorType(server bool) string {
	switch {
	case server && o.RPCCode != 0 && clientsFault(o.RPCCode):
		return ""
	case o.ErrorType != "":
		return o.ErrorType
	case o.RPCCode != 0:
		return strconv.Itoa(o.RPCCode)
	case o.ToolError:
		return "tool_error"
	}
	return ""
}

func clientsFault(code int) bool {
	return code == -32700 || code >= -32602 && code <= -32600 || code == -32002
}

// Span is an operation under way. A nil Span is one that nobody watches; all
// methods do nothing on it. It is safe for concurrent use.
type Span struct {
	span      trace.Span // nil when it is only counted
	telemetry *Telemetry
	start     time.Time
	server    bool
	metered   bool
	series    series
	ended     atomic.Bool
}

// Server begins the span of a client's request. It returns a context that
// Client and Inject know it by.
func (t *Telemetry) Server(ctx context.Context, op Operation) (context.Context, *Span) {
	if t == nil || t.tracer == nil && t.metrics.Load() == nil {
		return ctx, nil
	}
	return t.begin(ctx, &op, trace.SpanKindServer)
}

// Client begins the span of a request to an upstream, a child of what is in
// ctx.
func (t *Telemetry) Client(ctx context.Context, op Operation) (context.Context, *Span) {
	if t == nil || t.tracer == nil && t.metrics.Load() == nil {
		return ctx, nil
	}
	return t.begin(ctx, &op, trace.SpanKindClient)
}

// Internal begins a span for work of the gateway's own, such as "upstream
// start", a child of what is in ctx. kv are attributes: names and values.
func (t *Telemetry) Internal(ctx context.Context, name string, kv ...string) (context.Context, *Span) {
	if !t.Enabled() {
		return ctx, nil
	}
	ctx, span := t.tracer.Start(ctx, name, trace.WithAttributes(pairs(kv)...))
	return ctx, &Span{span: span, telemetry: t, start: time.Now()}
}

func (t *Telemetry) begin(ctx context.Context, from *Operation, kind trace.SpanKind) (context.Context, *Span) {
	op := *from // the caller's stays on its stack
	s := &Span{telemetry: t, start: time.Now(), server: kind == trace.SpanKindServer, metered: true}
	s.series = op.series(s.server)
	if t.tracer == nil {
		return ctx, s
	}
	options := append(make([]trace.SpanStartOption, 0, 3), trace.WithSpanKind(kind), trace.WithTimestamp(s.start))
	if s.server {
		var link trace.SpanContext
		if ctx, link = extract(ctx, &op); link.IsValid() {
			options = append(options, trace.WithLinks(trace.Link{SpanContext: link}))
		}
	}
	ctx, s.span = t.tracer.Start(ctx, op.name(), options...)
	if s.span.IsRecording() {
		s.span.SetAttributes(op.attributes()...)
	}
	return ctx, s
}

// series returns what a successful operation is counted under.
func (op *Operation) series(server bool) series {
	s := series{method: knownMethod(op.Method), transport: op.Transport}
	switch op.TargetKind {
	case Tool:
		s.tool = op.Target
	case Prompt:
		s.prompt = op.Target
	}
	if !server {
		s.upstream = op.Upstream
	}
	return s
}

// name is `{mcp.method.name} {target}`. A URI is no target: there are too many.
func (op *Operation) name() string {
	method := knownMethod(op.Method)
	if op.Target == "" || op.TargetKind != Tool && op.TargetKind != Prompt {
		return method
	}
	return method + " " + op.Target
}

func (op *Operation) attributes() []attribute.KeyValue {
	all := make([]attribute.KeyValue, 0, 14)
	add := func(key, value string) {
		if value != "" {
			all = append(all, attribute.String(key, strings.ToValidUTF8(value, "\ufffd")))
		}
	}
	add("mcp.method.name", op.Method)
	switch op.TargetKind {
	case Tool:
		add("gen_ai.tool.name", op.Target)
		if op.Method == "tools/call" {
			add("gen_ai.operation.name", "execute_tool")
		}
	case Prompt:
		add("gen_ai.prompt.name", op.Target)
	}
	add("mcp.resource.uri", op.URI)
	add("jsonrpc.request.id", op.RequestID)
	add("mcp.session.id", op.SessionID)
	add("mcp.protocol.version", op.ProtocolVersion)
	add("network.transport", op.Transport)
	add("server.address", op.ServerAddress)
	if op.ServerPort > 0 {
		all = append(all, attribute.Int("server.port", op.ServerPort))
	}
	add("client.address", op.ClientAddress)
	add("interlock.upstream", op.Upstream)
	return all
}

// Event records that something happened within the span, such as a retry. kv
// are attributes: names and values.
func (s *Span) Event(name string, kv ...string) {
	if s == nil || s.span == nil || !s.span.IsRecording() {
		return
	}
	s.span.AddEvent(name, trace.WithAttributes(pairs(kv)...))
}

// Set adds attributes: names and values.
func (s *Span) Set(kv ...string) {
	if s == nil || s.span == nil || !s.span.IsRecording() {
		return
	}
	s.span.SetAttributes(pairs(kv)...)
}

// Ref identifies the span, for Link. It is "" for a span that is not exported.
func (s *Span) Ref() string {
	if s == nil || s.span == nil || !s.span.SpanContext().IsSampled() {
		return ""
	}
	return traceParent(s.span.SpanContext())
}

// Link ties the span to another, given by its Ref, which it suffered from or
// caused. kv are attributes of the link.
func (s *Span) Link(ref string, kv ...string) {
	if s == nil || s.span == nil || !s.span.IsRecording() {
		return
	}
	if sc := parse(ref, ""); sc.IsValid() {
		s.span.AddLink(trace.Link{SpanContext: sc, Attributes: pairs(kv)})
	}
}

// End ends the span and counts the operation. Only the first call does.
func (s *Span) End(o Outcome) {
	if s == nil || s.ended.Swap(true) {
		return
	}
	took := time.Since(s.start)
	failure := o.errorType(s.server)
	if s.metered {
		s.series.failure = failure
		if m := s.telemetry.metrics.Load(); m != nil {
			m.observe(s, took)
		}
	}
	if s.span == nil {
		return
	}
	if s.span.IsRecording() {
		if o.RPCCode != 0 {
			s.span.SetAttributes(attribute.String("rpc.response.status_code", strconv.Itoa(o.RPCCode)))
		}
		if failure != "" {
			s.span.SetAttributes(attribute.String("error.type", failure))
			s.span.SetStatus(codes.Error, strings.ToValidUTF8(o.Message, "\ufffd"))
		}
	}
	s.span.End(trace.WithTimestamp(s.start.Add(took)))
}

func pairs(kv []string) []attribute.KeyValue {
	all := make([]attribute.KeyValue, 0, len(kv)/2)
	for i := 0; i+1 < len(kv); i += 2 {
		all = append(all, attribute.String(strings.Clone(kv[i]), strings.ToValidUTF8(strings.Clone(kv[i+1]), "\ufffd")))
	}
	return all
}

// knownMethod bounds what a client can make us count by.
func knownMethod(method string) string {
	switch method {
	case "initialize", "ping", "server/discover", "tools/list", "tools/call", "prompts/list", "prompts/get",
		"resources/list", "resources/templates/list", "resources/read", "resources/subscribe", "resources/unsubscribe",
		"completion/complete", "logging/setLevel", "sampling/createMessage", "elicitation/create", "roots/list",
		"subscriptions/listen", "tasks/get", "tasks/result", "tasks/list", "tasks/cancel", "tasks/update",
		"notifications/initialized", "notifications/cancelled", "notifications/progress", "notifications/message",
		"notifications/roots/list_changed", "notifications/tools/list_changed", "notifications/prompts/list_changed",
		"notifications/resources/list_changed", "notifications/resources/updated", "notifications/elicitation/complete":
		return method
	}
	return Other
}
