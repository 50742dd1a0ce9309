package jsonrpc

import "iter"

// Members yields the members of the JSON object at s in raw: the unquoted key
// and the value's span. It stops at the first malformed byte. If s is not an
// object nothing is yielded.
func Members(raw []byte, s Span) iter.Seq2[string, Span] {
	return func(yield func(string, Span) bool) {
		if !s.Ok() || raw[s.Start] != '{' {
			return
		}
		sc := scanner{b: raw[:s.End], i: int(s.Start)}
		for more := sc.enter('}'); more; more = sc.more('}') {
			key, value, ok := sc.member()
			if !ok || !yield(Text(raw, key), value) {
				return
			}
		}
	}
}

// member scans a key, its colon and its value.
func (s *scanner) member() (key, value Span, ok bool) {
	key.Start = int32(s.i)
	if !s.str() {
		return key, value, false
	}
	key.End = int32(s.i)
	if !s.colon() {
		return key, value, false
	}
	value, ok = s.span()
	return key, value, ok
}

// Elements yields the spans of the elements of the JSON array at s in raw. It
// stops at the first malformed byte. If s is not an array nothing is yielded.
func Elements(raw []byte, s Span) iter.Seq[Span] {
	return func(yield func(Span) bool) {
		if !s.Ok() || raw[s.Start] != '[' {
			return
		}
		sc := scanner{b: raw[:s.End], i: int(s.Start)}
		for more := sc.enter(']'); more; more = sc.more(']') {
			value, ok := sc.span()
			if !ok || !yield(value) {
				return
			}
		}
	}
}

// Lookup follows path through nested objects from the value at s and returns
// the span of what is there; of duplicate keys the last. It is for rare fields;
// the frequent ones are in Fields.
func Lookup(raw []byte, s Span, path ...string) (Span, bool) {
	for _, key := range path {
		var found Span
		for k, v := range Members(raw, s) {
			if k == key {
				found = v
			}
		}
		if !found.Ok() {
			return Span{}, false
		}
		s = found
	}
	return s, s.Ok()
}

// Whole returns the span of all of raw less surrounding white space.
func Whole(raw []byte) Span {
	sc := scanner{b: raw}
	sc.space()
	end := len(raw)
	for end > sc.i && (raw[end-1] == ' ' || raw[end-1] == '\t' || raw[end-1] == '\n' || raw[end-1] == '\r') {
		end--
	}
	return Between(sc.i, end)
}

// Valid reports whether raw is one well-formed JSON document in valid UTF-8.
func Valid(raw []byte) bool {
	sc := scanner{b: raw}
	sc.space()
	return sc.value(0) && sc.end()
}

// EmptyObject reports whether the value at s is an object without members.
func EmptyObject(raw []byte, s Span) bool {
	if !s.Ok() || raw[s.Start] != '{' {
		return false
	}
	sc := scanner{b: raw[:s.End], i: int(s.Start) + 1}
	sc.space()
	return sc.peek() == '}'
}
