package jsonrpc

import "bytes"

// classify decides the kind and applies the rules of JSON-RPC 2.0 sections 4
// and 5 as MCP narrows them.
func (p *parser) classify() *Error {
	m := &p.m
	p.shape()
	switch {
	case p.invalid != "":
		m.Kind = Invalid
		return &Error{Code: CodeInvalidRequest, Message: "invalid request: " + p.invalid, ID: p.answerable()}
	case p.wrong != "":
		m.Kind = Invalid
		return &Error{Code: CodeInvalidParams, Message: "invalid params: " + p.wrong, ID: p.answerable()}
	}
	return nil
}

// answerable returns the id an error is answered with: nil if there is none, or
// it is no id, or there are two of them.
func (p *parser) answerable() []byte {
	if id := p.m.ID.Of(p.b); validID(id) && p.ids == 1 {
		return id
	}
	return nil
}

// shape sets the message's kind by the members it has.
func (p *parser) shape() {
	m := &p.m
	id := m.ID.Of(m.Raw)
	if v := p.version.Of(m.Raw); string(v) != `"2.0"` && (p.strict || v != nil) {
		p.refuse(`jsonrpc must be "2.0"`)
	}
	switch {
	case m.Method.Ok():
		m.Kind = Notification
		if id != nil {
			m.Kind = Request
		}
		switch {
		case m.Raw[m.Method.Start] != '"':
			p.refuse("method must be a string")
		case m.Result.Ok() || m.Error.Ok():
			p.refuse("method beside result or error")
		case id != nil && !validID(id):
			p.refuse("id must be a string or an integer")
		}
		if m.Raw[m.Method.Start] == '"' {
			m.method = known[string(m.Raw[m.Method.Start+1:m.Method.End-1])]
		}
		p.paramsKind()
	case m.Result.Ok() && m.Error.Ok():
		p.refuse("both result and error")
	case m.Result.Ok():
		m.Kind = Result
		if !validID(id) {
			p.refuse("a result needs an id that is a string or an integer")
		}
	case m.Error.Ok():
		m.Kind = Failure
		if id != nil && string(id) != "null" && !validID(id) {
			p.refuse("an error's id must be a string, an integer or null")
		}
		if m.Raw[m.Error.Start] != '{' {
			p.refuse("error must be an object")
		}
	default:
		p.refuse("no method, result or error")
	}
}

// paramsKind checks that params is an object. A server's null is taken for none.
func (p *parser) paramsKind() {
	b := p.m.Params.Of(p.b)
	if b != nil && b[0] != '{' && (p.strict || string(b) != "null") {
		p.mistake("params must be an object")
	}
}

// validID reports whether b is a string or an integer, MCP's narrowing of
// JSON-RPC 2.0 section 4.
func validID(b []byte) bool {
	return len(b) > 0 && (b[0] == '"' || isInteger(b))
}

// isInteger reports whether the JSON value b is a number without a fraction or
// an exponent.
func isInteger(b []byte) bool {
	return (b[0] == '-' || b[0]-'0' <= 9) && !bytes.ContainsAny(b, ".eE")
}
