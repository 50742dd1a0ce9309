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
		sc := scanner{b: raw[:s.End], i: s.Start}
		_ = sc.object(0, func(key Span) error {
			v, err := sc.value(1)
			if err != nil {
				return err
			}
			if !yield(Text(raw, key), v) {
				return errStop
			}
			return nil
		})
	}
}

// Elements yields the spans of the elements of the JSON array at s in raw. It
// stops at the first malformed byte.
func Elements(raw []byte, s Span) iter.Seq[Span] {
	return func(yield func(Span) bool) {
		if !s.Ok() || raw[s.Start] != '[' {
			return
		}
		sc := scanner{b: raw[:s.End], i: s.Start + 1}
		sc.space()
		for sc.peek() != ']' {
			v, err := sc.value(1)
			if err != nil || !yield(v) {
				return
			}
			sc.space()
			if sc.peek() != ',' {
				return
			}
			sc.i++
			sc.space()
		}
	}
}

// Lookup follows path through nested objects from the value at s and returns
// the span of what is there. It is for rare fields; the frequent ones are in
// Fields.
func Lookup(raw []byte, s Span, path ...string) (Span, bool) {
	for _, key := range path {
		var found Span
		for k, v := range Members(raw, s) {
			if k == key {
				found = v
				break
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
	return Span{sc.i, end}
}

// Valid reports whether raw is one well-formed JSON document.
func Valid(raw []byte) bool {
	sc := scanner{b: raw}
	sc.space()
	if _, err := sc.value(0); err != nil {
		return false
	}
	sc.space()
	return sc.i == len(raw)
}

type stop struct{}

func (stop) Error() string { return "stopped" }

var errStop error = stop{}

// Batch splits the JSON-RPC batch (section 6) in raw into its messages. ok is
// false if raw is not an array. An empty or malformed array gives an *Error.
func Batch(raw []byte) (parts [][]byte, ok bool, err error) {
	w := Whole(raw)
	if !w.Ok() || raw[w.Start] != '[' {
		return nil, false, nil
	}
	sc := scanner{b: raw, i: w.Start}
	if _, err := sc.value(0); err != nil {
		return nil, true, &Error{Code: CodeParse, Message: "parse error: " + err.Error()}
	}
	sc.space()
	if sc.i != len(raw) {
		return nil, true, &Error{Code: CodeParse, Message: "parse error: data after the message"}
	}
	for s := range Elements(raw, w) {
		parts = append(parts, s.Of(raw))
	}
	if len(parts) == 0 {
		return nil, true, &Error{Code: CodeInvalidRequest, Message: "invalid request: empty batch"}
	}
	return parts, true, nil
}
