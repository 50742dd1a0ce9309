package jsonrpc

import (
	"bytes"
	"strings"
)

// Parse scans one message from a client, strictly: one JSON document (RFC
// 8259) in valid UTF-8 with nothing before or after it but white space, nested
// at most MaxDepth deep; no duplicate key in the message, in params or in an
// object directly inside params; no key of the envelope in another case; an id
// that is a string or an integer. The returned error is nil or an *Error with
// the code JSON-RPC 2.0 section 5.1 asks for and the id where it could be read.
func Parse(raw []byte) (Message, error) {
	p := parser{scanner: scanner{b: raw}, strict: true}
	return p.parse()
}

// ParseServer scans one message from an upstream server. The envelope and, of
// requests and notifications, the params are read; a result or error is skipped
// structurally. The error, if any, is an *Error.
func ParseServer(raw []byte) (Message, error) {
	p := parser{scanner: scanner{b: raw}}
	return p.parse()
}

type parser struct {
	scanner
	m       Message
	strict  bool
	version Span
	// bad is the first fault that does not stop the scan, so that the id can
	// still be read and named in the answer.
	bad string
}

func (p *parser) note(fault string) {
	if p.bad == "" {
		p.bad = fault
	}
}

func (p *parser) parse() (Message, error) {
	p.m.Raw = p.b
	p.space()
	if p.i >= len(p.b) {
		return p.m, &Error{Code: CodeParse, Message: "parse error: empty body"}
	}
	if bytes.HasPrefix(p.b[p.i:], []byte("\xef\xbb\xbf")) {
		return p.m, &Error{Code: CodeParse, Message: "parse error: byte order mark before the message"}
	}
	if c := p.peek(); c != '{' {
		if _, err := p.value(0); err != nil {
			return p.m, p.parseError(err)
		}
		if err := p.end(); err != nil {
			return p.m, p.parseError(err)
		}
		what := "a message must be an object"
		if c == '[' {
			what = "batches are not accepted here"
		}
		return p.m, &Error{Code: CodeInvalidRequest, Message: "invalid request: " + what}
	}
	if err := p.envelope(); err != nil {
		return p.m, p.parseError(err)
	}
	if err := p.end(); err != nil {
		return p.m, p.parseError(err)
	}
	return p.m, p.classify()
}

func (p *parser) end() error {
	p.space()
	if p.i < len(p.b) {
		return p.fail("data after the message")
	}
	return nil
}

func (p *parser) parseError(err error) *Error {
	return &Error{Code: CodeParse, Message: "parse error: " + err.Error()}
}

func (p *parser) envelope() error {
	dup := keys{raw: p.b}
	return p.object(0, func(key Span) error {
		if dup.add(key) {
			p.note("duplicate key " + clip(p.b, key))
		}
		if p.strict && loneSurrogate(p.b, key) {
			return p.fail("lone surrogate in a key")
		}
		var at *Span
		switch string(key.Of(p.b)) {
		case `"jsonrpc"`:
			at = &p.version
		case `"id"`:
			at = &p.m.ID
		case `"method"`:
			at = &p.m.Method
		case `"params"`:
			return p.params()
		case `"result"`:
			at = &p.m.Result
		case `"error"`:
			at = &p.m.Error
		default:
			if p.strict {
				p.twisted(key)
			}
			_, err := p.value(1)
			return err
		}
		v, err := p.skip(at)
		if err == nil && !at.Ok() {
			*at = v
		}
		return err
	})
}

// skip scans the value of an envelope member: whole for most, by structure
// alone for what an upstream answers.
func (p *parser) skip(at *Span) (Span, error) {
	if !p.strict && (at == &p.m.Result || at == &p.m.Error) {
		return p.structure()
	}
	return p.value(1)
}

// twisted notes a key that another reader could take for one of the envelope's:
// the same word in another case, or written with escapes.
func (p *parser) twisted(key Span) {
	t := Text(p.b, key)
	if strings.ContainsRune(t, 0) {
		p.note("NUL in key " + clip(p.b, key))
	}
	for _, k := range [...]string{"jsonrpc", "id", "method", "params", "result", "error"} {
		if strings.EqualFold(k, t) {
			p.note("key " + clip(p.b, key) + " must be written " + k)
		}
	}
}

// params scans the value of params and records its members.
func (p *parser) params() error {
	start := p.i
	if p.peek() != '{' {
		v, err := p.value(1)
		p.m.Params = v
		return err
	}
	dup := keys{raw: p.b}
	f := &p.m.Fields
	err := p.object(1, func(key Span) error {
		if p.strict && loneSurrogate(p.b, key) {
			return p.fail("lone surrogate in a key")
		}
		if dup.add(key) {
			p.note("duplicate key " + clip(p.b, key) + " in params")
		}
		var at *Span
		switch string(key.Of(p.b)) {
		case `"name"`:
			at = &f.Name
		case `"uri"`:
			at = &f.URI
		case `"arguments"`:
			at = &f.Arguments
		case `"cursor"`:
			at = &f.Cursor
		case `"level"`:
			at = &f.Level
		case `"ref"`:
			at = &f.Ref
		case `"requestId"`:
			at = &f.RequestID
		case `"progressToken"`:
			at = &f.ProgressToken
		case `"_meta"`:
			at = &f.Meta
		}
		v, err := p.member(at == &f.Meta)
		if err != nil {
			return err
		}
		if at != nil && !at.Ok() {
			*at = v
		}
		if p.strict && at != nil && p.b[v.Start] == '"' && loneSurrogate(p.b, v) {
			p.i = v.Start
			return p.fail("lone surrogate in a string")
		}
		return nil
	})
	p.m.Params = Span{start, p.i}
	return err
}

// member scans one member of params. An object is checked for duplicate keys;
// in _meta the keys that the gateway reads are recorded.
func (p *parser) member(meta bool) (Span, error) {
	if p.peek() != '{' {
		return p.value(2)
	}
	start := p.i
	dup := keys{raw: p.b}
	f := &p.m.Fields
	err := p.object(2, func(key Span) error {
		if p.strict && loneSurrogate(p.b, key) {
			return p.fail("lone surrogate in a key")
		}
		if dup.add(key) {
			p.note("duplicate key " + clip(p.b, key) + " inside params")
		}
		v, err := p.value(3)
		if err != nil || !meta {
			return err
		}
		var at *Span
		switch string(key.Of(p.b)) {
		case `"progressToken"`:
			at = &f.MetaProgressToken
		case `"traceparent"`:
			at = &f.TraceParent
		case `"tracestate"`:
			at = &f.TraceState
		case `"baggage"`:
			at = &f.Baggage
		default:
			return nil
		}
		if !at.Ok() {
			*at = v
		}
		return nil
	})
	return Span{start, p.i}, err
}

// classify decides the kind and applies the rules of JSON-RPC 2.0 sections 4
// and 5 as MCP narrows them.
func (p *parser) classify() error {
	m := &p.m
	idOK := m.ID.Ok() && validID(m.ID.Of(m.Raw))
	if p.strict && idOK && m.Raw[m.ID.Start] == '"' && loneSurrogate(m.Raw, m.ID) {
		return &Error{Code: CodeParse, Message: "parse error: lone surrogate in the id"}
	}
	refuse := func(why string) error {
		e := &Error{Code: CodeInvalidRequest, Message: "invalid request: " + why}
		if idOK {
			e.ID = m.ID.Of(m.Raw)
		}
		return e
	}
	if p.bad != "" && p.strict {
		return refuse(p.bad)
	}
	if string(p.version.Of(m.Raw)) != `"2.0"` && (p.strict || p.version.Ok()) {
		return refuse(`jsonrpc must be "2.0"`)
	}
	switch {
	case m.Method.Ok():
		return p.classifyCall(idOK, refuse)
	case m.Result.Ok() && m.Error.Ok():
		return refuse("both result and error")
	case m.Result.Ok():
		if !idOK {
			return refuse("a result needs an id that is a string or an integer")
		}
		m.Kind = Result
	case m.Error.Ok():
		if !idOK && string(m.ID.Of(m.Raw)) != "null" && m.ID.Ok() {
			return refuse("an error's id must be a string, an integer or null")
		}
		if m.Raw[m.Error.Start] != '{' {
			return refuse("error must be an object")
		}
		m.Kind = Failure
	default:
		return refuse("no method, result or error")
	}
	return nil
}

func (p *parser) classifyCall(idOK bool, refuse func(string) error) error {
	m := &p.m
	if m.Raw[m.Method.Start] != '"' {
		return refuse("method must be a string")
	}
	if m.Result.Ok() || m.Error.Ok() {
		return refuse("method beside result or error")
	}
	if m.ID.Ok() && !idOK {
		return refuse("id must be a string or an integer")
	}
	if m.Params.Ok() && m.Raw[m.Params.Start] != '{' {
		e := &Error{Code: CodeInvalidParams, Message: "invalid params: params must be an object"}
		if idOK {
			e.ID = m.ID.Of(m.Raw)
		}
		return e
	}
	if m.Meta.Ok() && m.Raw[m.Meta.Start] != '{' {
		if p.strict {
			e := &Error{Code: CodeInvalidParams, Message: "invalid params: params._meta must be an object"}
			if idOK {
				e.ID = m.ID.Of(m.Raw)
			}
			return e
		}
		m.Meta = Span{}
	}
	m.Kind = Notification
	if m.ID.Ok() {
		m.Kind = Request
	}
	return nil
}

// validID reports whether b is a string or an integer, MCP's narrowing of
// JSON-RPC 2.0 section 4.
func validID(b []byte) bool {
	switch {
	case b[0] == '"':
		return true
	case b[0] == '-' || b[0] >= '0' && b[0] <= '9':
		return bytes.IndexAny(b, ".eE") < 0
	}
	return false
}

// clip names a key in an error without repeating more than 64 bytes of it.
func clip(raw []byte, key Span) string {
	b := key.Of(raw)
	if len(b) > 64 {
		return string(bytes.ToValidUTF8(b[:64], nil)) + `..."`
	}
	return string(b)
}

// structure skips one value by its brackets and strings alone: what is inside
// is carried, not judged.
func (s *scanner) structure() (Span, error) {
	start := s.i
	if c := s.peek(); c != '{' && c != '[' {
		return s.value(1)
	}
	var stack [MaxDepth/8 + 1]byte // one bit a level: object or array
	depth := 0
	for s.i < len(s.b) {
		switch c := s.b[s.i]; c {
		case '"':
			if err := s.skipString(); err != nil {
				return Span{}, err
			}
			continue
		case '{', '[':
			if depth >= MaxDepth {
				return Span{}, errDepth
			}
			if c == '{' {
				stack[depth>>3] |= 1 << (depth & 7)
			} else {
				stack[depth>>3] &^= 1 << (depth & 7)
			}
			depth++
		case '}', ']':
			depth--
			if (c == '}') != (stack[depth>>3]&(1<<(depth&7)) != 0) {
				return Span{}, s.fail("mismatched bracket")
			}
			if depth == 0 {
				s.i++
				return Span{start, s.i}, nil
			}
		}
		s.i++
	}
	return Span{}, s.fail("unterminated value")
}

func (s *scanner) skipString() error {
	s.i++
	for s.i < len(s.b) {
		q := bytes.IndexByte(s.b[s.i:], '"')
		if q < 0 {
			break
		}
		end := s.i + q
		n := 0
		for end-1-n >= s.i && s.b[end-1-n] == '\\' {
			n++
		}
		s.i = end + 1
		if n%2 == 0 {
			return nil
		}
	}
	s.i = len(s.b)
	return s.fail("unterminated string")
}
