package jsonrpc

import (
	"bytes"
	"math"
)

// Parse scans one message from a client, strictly: one JSON document (RFC 8259)
// in valid UTF-8 with nothing before or after it but white space, nested at most
// MaxDepth deep; in no object a duplicate key or one that holds a NUL or half a
// surrogate pair; no key that the gateway reads in another case; an id that is a
// string or an integer; what is recorded of params of the kind that MCP gives
// it.
//
// The error is nil or an *Error with the code that JSON-RPC 2.0 section 5.1 asks
// for: CodeParse for what is not JSON, CodeInvalidRequest for what is not a
// message, CodeInvalidParams, with the path, for a field of the wrong kind. Its
// ID is set where it could be read without doubt.
func Parse(raw []byte) (Message, error) {
	p := parser{scanner: scanner{b: raw}, keys: keys{raw: raw}, strict: true}
	e := p.parse()
	if e != nil {
		return p.m, e
	}
	return p.m, nil
}

// ParseServer scans one message from an upstream server. The envelope and, of
// requests and notifications, the params are read; a result or error is checked
// for its grammar but for what its strings hold. Duplicate keys are tolerated
// and the last one counts, as it does for whoever reads the message next; but a
// key of the envelope in another case is refused, since readers differ on it, and
// so is a second method, params, result or error: policies look at one.
//
// The error is nil or an *Error; its ID then says which call was answered badly.
func ParseServer(raw []byte) (Message, error) {
	p := parser{scanner: scanner{b: raw}, keys: keys{raw: raw}}
	e := p.parse()
	if e != nil {
		return p.m, e
	}
	return p.m, nil
}

type parser struct {
	scanner
	keys   keys
	m      Message
	strict bool

	version Span
	ids     int // how many keys say id

	// Faults that do not stop the scan, so that the id can still be read and
	// named in the answer: the first one of the message, of a field's kind.
	invalid, wrong string
}

func (p *parser) parse() *Error {
	p.m.Raw = p.b
	if int64(len(p.b)) > math.MaxInt32 {
		return &Error{Code: CodeInvalidRequest, Message: "invalid request: longer than 2 GiB"}
	}
	p.space()
	if p.peek() != '{' {
		return p.noObject()
	}
	if !p.envelope() || !p.end() {
		return &Error{Code: CodeParse, Message: "parse error: " + p.err()}
	}
	return p.classify()
}

// noObject says what is wrong with a document that does not begin as a message.
func (p *parser) noObject() *Error {
	if p.i >= len(p.b) {
		return &Error{Code: CodeParse, Message: "parse error: empty body"}
	}
	if bytes.HasPrefix(p.b[p.i:], []byte("\xef\xbb\xbf")) {
		return &Error{Code: CodeParse, Message: "parse error: byte order mark before the message"}
	}
	array := p.peek() == '['
	switch {
	case !p.value(0) || !p.end():
		return &Error{Code: CodeParse, Message: "parse error: " + p.err()}
	case array:
		return &Error{Code: CodeInvalidRequest, Message: "invalid request: batches are not accepted here"}
	}
	return &Error{Code: CodeInvalidRequest, Message: "invalid request: a message must be an object"}
}

func (p *parser) envelope() bool {
	l := p.keys.open()
	for more := p.enter('}'); more; more = p.more('}') {
		key, ok := p.key(&l)
		if !ok || !p.member(key) {
			return false
		}
	}
	return p.fault == ""
}

// member scans the value of a member of the envelope.
func (p *parser) member(key []byte) (ok bool) {
	switch string(key) {
	case `"id"`:
		p.ids++
		p.m.ID, ok = p.span()
		if ok && p.strict && p.lone > int(p.m.ID.Start) {
			return p.halfPair(p.m.ID)
		}
	case `"method"`:
		p.once(p.m.Method, "method")
		p.m.Method, ok = p.span()
		if ok && p.strict && p.lone > int(p.m.Method.Start) {
			return p.halfPair(p.m.Method)
		}
	case `"jsonrpc"`:
		p.version, ok = p.span()
	case `"params"`:
		p.once(p.m.Params, "params")
		ok = p.params()
	case `"result"`:
		p.once(p.m.Result, "result")
		p.m.Result, ok = p.result()
	case `"error"`:
		p.once(p.m.Error, "error")
		p.m.Error, ok = p.answer()
	default:
		p.twin(key, "", "jsonrpc", "id", "method", "params", "result", "error")
		_, ok = p.carried(1)
	}
	return ok
}

// once refuses a key that was there before, at s. Of a client's message that is said
// of any key.
func (p *parser) once(s Span, key string) {
	if s.Ok() && !p.strict {
		p.refuse("duplicate key " + key)
	}
}

// answer scans a result or an error: from a server only for its grammar.
func (p *parser) answer() (Span, bool) {
	p.lax = !p.strict
	s, ok := p.carried(1)
	p.lax = false
	return s, ok
}

// result is answer for a result. Of a server's it notes what there is of Outcome.
func (p *parser) result() (s Span, ok bool) {
	p.m.Outcome = Outcome{}
	if p.strict || p.peek() != '{' {
		return p.answer()
	}
	s.Start = int32(p.i)
	p.lax = true
	for more := p.enter('}'); more; more = p.more('}') {
		key := Span{Start: int32(p.i)}
		if !p.str() {
			return s, false
		}
		key.End = int32(p.i)
		if !p.colon() {
			return s, false
		}
		at := p.i
		if !p.value(2) {
			return s, false
		}
		if to := p.m.Outcome.member(p.b, key); to != nil {
			*to = Between(at, p.i)
		}
	}
	p.lax = false
	s.End = int32(p.i)
	return s, p.fault == ""
}

// member returns where the member with a key belongs, nil for nowhere.
func (o *Outcome) member(raw []byte, key Span) *Span {
	name := raw[key.Start+1 : key.End-1]
	if bytes.IndexByte(name, '\\') >= 0 && len(name) < 128 {
		name = []byte(Text(raw, key))
	}
	switch string(name) {
	case "isError":
		return &o.IsError
	case "structuredContent":
		return &o.Structured
	case "resultType":
		return &o.ResultType
	case "ttlMs":
		return &o.TTL
	case "cacheScope":
		return &o.CacheScope
	case "_meta":
		return &o.ResultMeta
	}
	return nil
}
