package jsonrpc

// Span is a half-open range of bytes [Start, End) in a message, of at most 2 GiB:
// a message has dozens. The zero Span means that the part is absent.
type Span struct{ Start, End int32 }

// Between returns the span from start to end.
func Between(start, end int) Span { return Span{int32(start), int32(end)} }

// Len returns how many bytes s covers.
func (s Span) Len() int { return int(s.End - s.Start) }

// Ok reports whether the part is present.
func (s Span) Ok() bool { return s.End > s.Start }

// Of returns the bytes of raw that s covers, or nil if s is absent. The result
// aliases raw.
func (s Span) Of(raw []byte) []byte {
	if !s.Ok() {
		return nil
	}
	return raw[s.Start:s.End:s.End]
}

// Kind says which of the JSON-RPC 2.0 message shapes a message has.
type Kind uint8

// The kinds of message, from JSON-RPC 2.0 sections 4, 4.1 and 5.
const (
	Invalid      Kind = iota
	Request           // method and id
	Notification      // method, no id
	Result            // id and result
	Failure           // id (possibly null) and error
)

func (k Kind) String() string {
	switch k {
	case Request:
		return "request"
	case Notification:
		return "notification"
	case Result:
		return "result"
	case Failure:
		return "error"
	default:
		return "invalid"
	}
}

// Message is one scanned message: its bytes, and where in them its parts are.
// A Message aliases Raw, which nobody may change afterwards; it may be copied
// and read from several goroutines.
type Message struct {
	Raw  []byte
	Kind Kind

	// Members of the envelope. Values include the quotes of a string.
	ID, Method, Params, Result, Error Span

	Fields
	Outcome

	method string // the method if it is a known one
}

// Fields are the spans of members inside params (only of requests and
// notifications) that MCP gives a meaning the gateway acts on. Values include
// the quotes of a string.
type Fields struct {
	// Direct members of params.
	Name, URI, Arguments, Cursor, Level, Ref, RequestID, ProgressToken, Meta Span

	// Members of params._meta.
	MetaProgressToken, TraceParent, TraceState, Baggage Span

	// What a request of 2026-07-28 says in place of a session: direct members of
	// params, and those of params._meta that begin with MetaPrefix.
	RequestState, InputResponses                Span
	MetaVersion, MetaCapabilities, MetaLogLevel Span
}

// Outcome are the spans of direct members of a server's result (only where
// ParseServer scanned it) that the gateway acts on: so that nobody has to search
// a long result for them. Of duplicate keys the last counts.
type Outcome struct {
	IsError, Structured Span // isError and structuredContent, of a tool's result

	// What 2026-07-28 adds: resultType, ttlMs, cacheScope, _meta.
	ResultType, TTL, CacheScope, ResultMeta Span
}

// MetaPrefix begins the names of MCP's own members of _meta, from 2026-07-28 on.
const MetaPrefix = "io.modelcontextprotocol/"

// MethodName returns the method as a string, "" for a response. It does not
// allocate for the methods that MCP defines.
func (m *Message) MethodName() string {
	if m.method != "" || !m.Method.Ok() {
		return m.method
	}
	return Text(m.Raw, m.Method)
}

// Text returns the string value at s unquoted, and "" if s is absent or is not
// a string.
func (m *Message) Text(s Span) string { return Text(m.Raw, s) }

// known interns method names, so that naming one costs no allocation.
var known = func() map[string]string {
	t := make(map[string]string)
	for _, s := range []string{
		"initialize", "ping", "notifications/initialized", "notifications/cancelled",
		"notifications/progress", "notifications/message", "notifications/roots/list_changed",
		"notifications/tools/list_changed", "notifications/prompts/list_changed",
		"notifications/resources/list_changed", "notifications/resources/updated",
		"notifications/elicitation/complete", "notifications/tasks/status",
		"tools/list", "tools/call", "prompts/list", "prompts/get", "resources/list",
		"resources/templates/list", "resources/read", "resources/subscribe",
		"resources/unsubscribe", "completion/complete", "logging/setLevel",
		"sampling/createMessage", "elicitation/create", "roots/list",
		"server/discover", "subscriptions/listen", "notifications/subscriptions/acknowledged",
		"tasks/get", "tasks/result", "tasks/list", "tasks/cancel", "tasks/update",
	} {
		t[s] = s
	}
	return t
}()
