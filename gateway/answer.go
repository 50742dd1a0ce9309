package gateway

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// Codes of the errors that the gateway itself makes. They stay clear of what
// JSON-RPC 2.0 and MCP reserve (-32768 to -32000).
const (
	codeUnavailable = -33001 // the upstream was not asked
	codeUnanswered  = -33002 // the upstream was asked and did not answer
	codeDenied      = -33003 // a policy refused
	codeUnroutable  = -33004 // no upstream can be meant
	codeUnsupported = -33005 // the upstream lacks what was asked of it
	codeDraining    = -33006 // the gateway is shutting down
)

// codeUnsupportedVersion is MCP's UnsupportedProtocolVersionError (2026-07-28).
const codeUnsupportedVersion = -32022

// answer is a response to a client in up to three pieces, so that an upstream's
// bytes go out as they came around the client's own id. The zero answer means
// that nothing is sent: the client cancelled.
type answer struct{ head, id, tail []byte }

func (a answer) empty() bool { return a.head == nil }

func (a answer) size() int { return len(a.head) + len(a.id) + len(a.tail) }

// appendTo appends the whole answer to dst.
func (a answer) appendTo(dst []byte) []byte {
	return append(append(append(dst, a.head...), a.id...), a.tail...)
}

// bytes returns the answer in one piece, without a copy where it is one.
func (a answer) bytes() []byte {
	if a.id == nil && a.tail == nil {
		return a.head
	}
	return a.appendTo(make([]byte, 0, a.size()))
}

// first returns the first n bytes of the answer, or all of it.
func (a answer) first(n int) []byte {
	if n < len(a.head) {
		return a.head[:n]
	}
	b := append(make([]byte, 0, min(n, a.size())), a.head...)
	for _, piece := range [...][]byte{a.id, a.tail} {
		b = append(b, piece[:min(len(piece), n-len(b))]...)
	}
	return b
}

// carried is an upstream's response under the client's id.
func carried(m jsonrpc.Message, id []byte) answer {
	return answer{m.Raw[:m.ID.Start], id, m.Raw[m.ID.End:]}
}

func resultOf(id, result []byte) answer {
	return answer{head: jsonrpc.AppendResult(nil, id, result)}
}

func errorOf(id []byte, code int, text string, data []byte) answer {
	return answer{head: jsonrpc.AppendError(nil, id, code, text, data)}
}

func invalidParams(id []byte, text string) answer {
	return errorOf(id, jsonrpc.CodeInvalidParams, "invalid params: "+text, nil)
}

// fault is the machine-readable side of an error that the gateway made: the
// data of a JSON-RPC error, or _meta["interlock/error"] of a tool result.
type fault struct {
	Source       string `json:"source"`
	Reason       string `json:"reason"`
	Upstream     string `json:"upstream,omitempty"`
	Executed     string `json:"executed"`
	RetryAfterMs *int64 `json:"retryAfterMs,omitempty"`

	code int
	text string
}

// faultOf describes why a call got no answer.
func faultOf(up string, err error) fault {
	f := fault{Source: "gateway", Upstream: up, Executed: string(upstream.ExecutedNo), code: codeUnavailable}
	var call *upstream.CallError
	var denial *policy.Denial
	switch {
	case errors.As(err, &call):
		f.Reason, f.Executed = call.Reason, string(call.Executed)
		if call.Executed == upstream.ExecutedUnknown {
			f.code = codeUnanswered
		} else if call.Reason == "unsupported" {
			f.code = codeUnsupported
		}
		if call.RetryAfter > 0 {
			ms := call.RetryAfter.Milliseconds()
			f.RetryAfterMs = &ms
		}
		f.text = sentence("upstream "+strconv.Quote(up)+": "+call.Text, call)
	case errors.As(err, &denial):
		f.Reason, f.code = "denied", codeDenied
		f.text = denial.Error() + "."
		if denial.RetryAfter > 0 {
			ms := wholeMs(denial.RetryAfter).Milliseconds()
			f.RetryAfterMs = &ms
		}
	default:
		f.Reason, f.text = "internal", "the call could not be made: "+err.Error()
	}
	if denial == nil {
		return f
	}
	switch {
	case errors.As(err, new(*withheld)):
		f.Executed = "yes"
		f.text += " The request WAS executed; its answer is withheld."
	case errors.As(err, new(*halfway)):
		f.Executed = string(upstream.ExecutedUnknown)
		f.text += " It is UNKNOWN whether the request was executed."
	case up != "": // not a server's own request
		f.text += " The request was NOT executed."
	}
	if denial.RetryAfter > 0 {
		f.text += " Retry after " + wholeMs(denial.RetryAfter).String() + "."
	}
	return f
}

// wholeMs is a wait in whole milliseconds, at least one and never too short: who
// comes back after it must not be early.
func wholeMs(d time.Duration) time.Duration {
	return max(d+time.Millisecond-1, time.Millisecond).Truncate(time.Millisecond)
}

// sentence adds what a reader must know before acting again. It names facts
// only: a model that reads it must not be talked into a way around.
func sentence(what string, call *upstream.CallError) string {
	var b strings.Builder
	b.WriteString(strings.TrimRight(what, "."))
	if call.Executed == upstream.ExecutedNo {
		b.WriteString(". The request was NOT executed.")
	} else {
		b.WriteString(". It is UNKNOWN whether the request was executed.")
	}
	if call.RetryAfter > 0 {
		b.WriteString(" Retry after " + call.RetryAfter.Round(time.Millisecond).String() + ".")
	}
	return b.String()
}

func (f fault) json() []byte {
	b, err := json.Marshal(f)
	if err != nil { // strings and an integer always marshal
		panic(err)
	}
	return b
}

// asError is the fault as a JSON-RPC error.
func (f fault) asError(id []byte) answer { return errorOf(id, f.code, f.text, f.json()) }

// asToolResult is the fault as the result of a tool call, which is where models
// look for what went wrong (MCP 2025-11-25 server/tools, "Error Handling").
func (f fault) asToolResult(id []byte) answer {
	b := append([]byte(nil), `{"content":[{"type":"text","text":`...)
	b = jsonrpc.AppendString(b, f.text)
	b = append(b, `}],"isError":true,"_meta":{"interlock/error":`...)
	b = append(b, f.json()...)
	return resultOf(id, append(b, "}}"...))
}

// turnedAway is why a request is turned away while the gateway shuts down.
func turnedAway() fault {
	return fault{Source: "gateway", Reason: "shutdown", Executed: string(upstream.ExecutedNo), code: codeDraining, text: errDraining.Error()}
}

// clipName makes a name that a client sent fit to be repeated to it: quoted,
// escaped, and at most 128 bytes of it.
func clipName(s string) string {
	if len(s) > 128 {
		return strconv.QuoteToASCII(s[:128]) + "..."
	}
	return strconv.QuoteToASCII(s)
}
