package telemetry

import (
	"strconv"
	"time"
)

// Operation describes one MCP request as the semantic conventions for MCP want
// it told. Empty members are not told.
type Operation struct {
	// Method is the MCP method, e.g. tools/call.
	Method string
	// Span is the name of the span of what is no request of MCP: then there is no
	// Method.
	Span string
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

	Began time.Time // now, if it is zero
	// Keep has a client's request kept in memory: what Keeps said. Force has it
	// exported, too, whatever the sampling says.
	Keep, Force bool
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

// Keeps reports whether the trace of a request that begins now is kept in memory:
// so many a second are. It is to be asked once for each.
func (t *Telemetry) Keeps(now time.Time) bool {
	return t != nil && t.ring != nil && t.budget.allow(now)
}

// Server begins the span of a client's request. It goes on with the client's
// trace, or begins one. Nil if nobody would see it, and nothing is exported that
// its context would have to be carried on for.
func (t *Telemetry) Server(op *Operation) *Span {
	s := t.Accept(op)
	s.Describe(op)
	return s
}

// Accept is the part of Server that needs op's trace context, Began, Keep and Force
// alone: most requests are not recorded, and need no more. If the span is, it must be
// told the rest by Describe, before anybody else has it.
func (t *Telemetry) Accept(op *Operation) *Span {
	if !t.Tracing() {
		return nil
	}
	began := op.Began
	if began.IsZero() {
		began = time.Now()
	}
	kept := t.ring != nil && (op.Keep || op.Force)
	if t.queue == nil && !kept {
		return nil
	}
	parent, header := op.context()
	ref := parent.ref
	switch {
	case ref.IsZero():
		ref = Ref{trace: newTraceID()}
		if t.sampler.root(ref.trace) {
			ref.flags = flagSampled
		}
	case t.sampler.below(parent):
		ref.flags |= flagSampled
	default:
		ref.flags &^= flagSampled
	}
	switch {
	case t.queue == nil:
		ref.flags = 0
	case op.Force:
		ref.flags |= flagSampled
	}
	s := t.span(ref, began, true, kept)
	s.tracestate, s.baggage = parent.state, op.bag()
	if !header.IsZero() {
		s.Link(header, String(AttrLink, LinkHeader))
	}
	return s
}

// Describe tells a span of Accept what its operation is.
func (s *Span) Describe(op *Operation) {
	if s.Recording() {
		op.write(s, KindServer)
	}
}

// Client begins the span of a request to an upstream, a child of parent. Without a
// parent there is none.
func (t *Telemetry) Client(parent *Span, op *Operation) *Span {
	if parent == nil || parent.rec == nil {
		return parent // its context serves as well
	}
	began := op.Began
	if began.IsZero() {
		began = time.Now()
	}
	s := parent.child(began)
	op.write(s, KindClient)
	return s
}

// write writes what is known of the operation.
func (op *Operation) write(s *Span, kind Kind) {
	r := s.rec
	target := op.Target
	if op.TargetKind != Tool && op.TargetKind != Prompt { // there are too many URIs
		target = ""
	}
	r.server = kind == KindServer
	name := op.Span
	if name == "" {
		name = knownMethod(op.Method)
	}
	r.begin(name, target, kind, s)
	b := r.sheet.b
	add := func(key, value string) {
		if value != "" {
			b = appendAttr(b, spanAttributes, String(key, value))
		}
	}
	add(AttrMethod, op.Method)
	switch op.TargetKind {
	case Tool:
		add(AttrTool, op.Target)
		if op.Method == "tools/call" {
			add(AttrOperation, executeTool)
		}
	case Prompt:
		add(AttrPrompt, op.Target)
	}
	add(AttrURI, op.URI)
	add(AttrRequestID, op.RequestID)
	add(AttrSessionID, op.SessionID)
	add(AttrProtocolVersion, op.ProtocolVersion)
	add(AttrTransport, op.Transport)
	add(AttrServerAddress, op.ServerAddress)
	if op.ServerPort > 0 {
		b = appendAttr(b, spanAttributes, Int(AttrServerPort, int64(op.ServerPort)))
	}
	add(AttrClientAddress, op.ClientAddress)
	add(AttrUpstream, op.Upstream)
	r.sheet.b = b
	if s.kept {
		s.t.open.begun(s)
	}
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
