package jsonrpc

import (
	"bytes"
	"strconv"
)

// carried scans a value that is not read here. In a client's message the keys
// of its objects are checked all the same, as a policy may read them.
func (p *parser) carried(depth int) (Span, bool) {
	start := p.i
	var ok bool
	if p.strict {
		ok = p.unique(depth)
	} else {
		ok = p.value(depth)
	}
	return Between(start, p.i), ok
}

// unique is value with the keys of all objects checked.
func (p *parser) unique(depth int) bool {
	switch c := p.peek(); {
	case c != '{' && c != '[':
		return p.value(depth)
	case depth >= MaxDepth:
		return p.fail(deep)
	case c == '[':
		for more := p.enter(']'); more; more = p.more(']') {
			if !p.unique(depth + 1) {
				return false
			}
		}
		return p.fault == ""
	}
	l := p.keys.open()
	for more := p.enter('}'); more; more = p.more('}') {
		if _, ok := p.key(&l); !ok || !p.unique(depth+1) {
			return false
		}
	}
	p.keys.close(&l)
	return p.fault == ""
}

// key scans a key and its colon, and returns the key with its quotes and
// without needless escapes. In a client's message it is checked.
func (p *parser) key(l *level) ([]byte, bool) {
	start := p.i
	if !p.str() {
		return nil, false
	}
	at := Between(start, p.i)
	key, offset := p.keys.canonical(at, p.escaped > start)
	if p.strict {
		switch {
		case p.lone > start:
			return nil, p.halfPair(at)
		case p.nul > start:
			p.refuse("NUL in key " + quoted(key) + " at offset " + strconv.Itoa(start))
		}
		if p.keys.add(l, key, offset) {
			p.refuse("duplicate key " + quoted(key) + " at offset " + strconv.Itoa(start))
		}
	}
	return key, p.colon()
}

// halfPair is the fault of an escaped surrogate without its other half in a
// string at s that is read: readers turn it into different things.
func (p *parser) halfPair(s Span) bool {
	p.i = int(s.Start)
	return p.fail("half a surrogate pair in a string")
}

// refuse notes the first fault of the message as a whole.
func (p *parser) refuse(fault string) {
	if p.invalid == "" {
		p.invalid = fault
	}
}

// twin notes a key that some readers take for one of names: the same word in
// another case (Go's encoding/json, for one, folds them).
func (p *parser) twin(key []byte, where string, names ...string) {
	inner := key[1 : len(key)-1]
	for _, name := range names {
		// The Kelvin sign and the long s fold to one ASCII letter but are up to
		// three bytes long.
		if len(inner) >= len(name) && len(inner) <= 3*len(name) && bytes.EqualFold(inner, []byte(name)) {
			p.refuse("key " + quoted(key) + " must be written " + where + name)
		}
	}
}
