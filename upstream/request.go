package upstream

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// outgoing is one HTTP request to a remote, and has room for what is said to it.
type outgoing struct {
	method        string
	to            *place
	header        *header
	more          []field        // of this request alone; what cannot be sent is left out
	authorization string         // of a sign-in, "" for none
	raw           []byte         // the message that is its body, nil for none
	edits         *jsonrpc.Edits // what to change in raw, nil for nothing
	resp          response       // what was said to it last: here for want of an allocation
}

// header is the header of requests, made once for many. Nobody changes it.
type header struct {
	fields http.Header
	lines  []byte // as they are sent
}

func newHeader(h http.Header) *header {
	x := &header{fields: h}
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, v := range h[name] {
			x.lines = field{name, v}.appendTo(x.lines)
		}
	}
	return x
}

// place is where requests go on the remote.
type place struct {
	url  *url.URL
	line string // what follows the method: the target, and the Host
}

func newPlace(u *url.URL, host string) *place {
	if host == "" {
		host = u.Host
	}
	target := strings.ReplaceAll(u.RequestURI(), " ", "%20")
	return &place{url: u, line: " " + target + " HTTP/1.1\r\nHost: " + host + "\r\n"}
}

// field is one line of a header.
type field struct{ name, value string }

// plain reports whether the field can be sent (RFC 9110 section 5).
func (f field) plain() bool { return isToken(f.name) && isFieldValue(f.value) }

func (f field) appendTo(b []byte) []byte {
	b = append(b, f.name...)
	b = append(b, ": "...)
	b = append(b, f.value...)
	return append(b, "\r\n"...)
}

// isFieldValue reports whether s can be the value of a field (RFC 9110 section
// 5.5).
func isFieldValue[T string | []byte](s T) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// isToken reports whether s is a token (RFC 9110 section 5.6.2).
func isToken[T string | []byte](s T) bool {
	for i := range len(s) {
		if !tokens[s[i]] {
			return false
		}
	}
	return len(s) > 0
}

var tokens = func() (t [256]bool) {
	for c := '!'; c < 0x7f; c++ {
		t[c] = !strings.ContainsRune(`"(),/:;<=>?@[\]{}`, c)
	}
	return t
}()

// size is the length of the body.
func (q *outgoing) size() int { return q.edits.Size(q.raw) }

// appendHead appends all of the request that comes before its body, which is n
// bytes long.
func (q *outgoing) appendHead(b []byte, n int) []byte {
	b = append(b, q.method...)
	b = append(b, q.to.line...)
	b = append(b, q.header.lines...)
	if q.authorization != "" {
		b = field{"Authorization", q.authorization}.appendTo(b)
	}
	for _, f := range q.more {
		if f.plain() {
			b = f.appendTo(b)
		}
	}
	if q.raw != nil {
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, int64(n), 10)
		b = append(b, "\r\n"...)
	}
	return append(b, "\r\n"...)
}

// fields is the header of the request for net/http.
func (q *outgoing) fields() http.Header {
	h := q.header.fields
	if len(q.more) > 0 || q.authorization != "" {
		h = h.Clone()
	}
	if q.authorization != "" {
		h["Authorization"] = []string{q.authorization}
	}
	for _, f := range q.more {
		if f.plain() {
			h[http.CanonicalHeaderKey(f.name)] = []string{f.value}
		}
	}
	return h
}

// tracing returns the trace context of r as fields, appended to f.
func tracing(f []field, r *Request) []field {
	for _, x := range [...]field{{"Traceparent", r.TraceParent}, {"Tracestate", r.TraceState}, {"Baggage", r.Baggage}} {
		if x.value != "" {
			f = append(f, x)
		}
	}
	return f
}
