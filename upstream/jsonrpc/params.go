package jsonrpc

import "strings"

// params scans the value of params and records its members.
func (p *parser) params() bool {
	p.m.Params, p.m.Fields = Between(p.i, p.i), Fields{}
	f := &p.m.Fields
	if p.peek() != '{' {
		var ok bool
		p.m.Params, ok = p.carried(1)
		return ok
	}
	l := p.keys.open()
	for more := p.enter('}'); more; more = p.more('}') {
		key, ok := p.key(&l)
		if !ok {
			return false
		}
		switch string(key) {
		case `"name"`:
			ok = p.field(2, &f.Name, key, text)
		case `"arguments"`:
			ok = p.field(2, &f.Arguments, key, object)
		case `"_meta"`:
			ok = p.meta()
		case `"uri"`:
			ok = p.field(2, &f.URI, key, text)
		case `"cursor"`:
			ok = p.field(2, &f.Cursor, key, text|null)
		case `"level"`:
			ok = p.field(2, &f.Level, key, text)
		case `"ref"`:
			ok = p.field(2, &f.Ref, key, object)
		case `"requestId"`:
			ok = p.field(2, &f.RequestID, key, text|integer)
		case `"progressToken"`:
			ok = p.field(2, &f.ProgressToken, key, text|integer)
		case `"requestState"`:
			ok = p.field(2, &f.RequestState, key, anything)
		case `"inputResponses"`:
			ok = p.field(2, &f.InputResponses, key, anything)
		default:
			p.twin(key, "params.", "name", "arguments", "_meta", "uri", "cursor", "level", "ref", "requestId", "progressToken",
				"requestState", "inputResponses")
			_, ok = p.carried(2)
		}
		if !ok {
			return false
		}
	}
	p.keys.close(&l)
	p.m.Params.End = int32(p.i)
	return p.fault == ""
}

// meta scans the value of params._meta and records its members.
func (p *parser) meta() bool {
	f := &p.m.Fields
	if p.peek() != '{' {
		return p.field(2, &f.Meta, []byte(`"_meta"`), object)
	}
	f.Meta = Between(p.i, p.i)
	l := p.keys.open()
	for more := p.enter('}'); more; more = p.more('}') {
		key, ok := p.key(&l)
		if !ok {
			return false
		}
		switch string(key) {
		case `"progressToken"`:
			ok = p.field(3, &f.MetaProgressToken, key, text|integer)
		case `"traceparent"`:
			ok = p.field(3, &f.TraceParent, key, anything)
		case `"tracestate"`:
			ok = p.field(3, &f.TraceState, key, anything)
		case `"baggage"`:
			ok = p.field(3, &f.Baggage, key, anything)
		case `"io.modelcontextprotocol/protocolVersion"`:
			ok = p.field(3, &f.MetaVersion, key, anything)
		case `"io.modelcontextprotocol/clientCapabilities"`:
			ok = p.field(3, &f.MetaCapabilities, key, anything)
		case `"io.modelcontextprotocol/logLevel"`:
			ok = p.field(3, &f.MetaLogLevel, key, anything)
		default:
			p.twin(key, "params._meta.", "progressToken", "traceparent", "tracestate", "baggage",
				MetaPrefix+"protocolVersion", MetaPrefix+"clientCapabilities", MetaPrefix+"logLevel")
			_, ok = p.carried(3)
		}
		if !ok {
			return false
		}
	}
	p.keys.close(&l)
	f.Meta.End = int32(p.i)
	return p.fault == ""
}

// kinds is a set of kinds of JSON values.
type kinds uint8

const (
	text kinds = 1 << iota
	integer
	object
	null
	anything = 0xff
)

func (k kinds) String() string {
	switch k &^ null {
	case text:
		return "a string"
	case text | integer:
		return "a string or an integer"
	}
	return "an object"
}

// has reports whether the JSON value b is of one of the kinds.
func (k kinds) has(b []byte) bool {
	switch b[0] {
	case '"':
		return k&text != 0
	case '{':
		return k&object != 0
	case 'n':
		return k&null != 0
	}
	return k == anything || k&integer != 0 && isInteger(b)
}

// field scans a member of params or params._meta and records it at at. A null
// that is allowed counts as absent.
func (p *parser) field(depth int, at *Span, key []byte, want kinds) bool {
	v, ok := p.carried(depth)
	if !ok {
		return false
	}
	*at = v
	b := v.Of(p.b)
	switch {
	case b[0] == 'n' && want&null != 0 && want != anything:
		*at = Span{}
	case !p.strict:
	case p.lone > int(v.Start) && at != &p.m.Arguments:
		return p.halfPair(v)
	case !want.has(b):
		where := "params."
		if depth == 3 {
			where = "params._meta."
		}
		p.mistake(where + strings.Trim(string(key), `"`) + " must be " + want.String())
	}
	return true
}

// mistake notes the first field that is of the wrong kind.
func (p *parser) mistake(fault string) {
	if p.wrong == "" {
		p.wrong = fault
	}
}
