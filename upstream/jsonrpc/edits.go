package jsonrpc

// Edits is a set of splices to apply to one message. The zero value is empty
// and ready to use. Spans must not overlap; order of adding does not matter,
// except that insertions at one place keep the order they were added in.
type Edits struct {
	list []edit
	buf  [8]edit // enough for a call: id, name, progress token, trace context
}

type edit struct {
	at  Span
	new []byte
}

// Replace puts b in the place of the bytes at s. An absent span is ignored.
func (e *Edits) Replace(s Span, b []byte) {
	if s.Ok() {
		e.add(edit{s, b})
	}
}

// Insert puts b before the byte at offset at.
func (e *Edits) Insert(at int, b []byte) { e.add(edit{Span{at, at}, b}) }

// Delete removes the bytes at s.
func (e *Edits) Delete(s Span) { e.Replace(s, nil) }

// Empty reports whether there is nothing to change.
func (e *Edits) Empty() bool { return e == nil || len(e.list) == 0 }

// Clone returns a copy that can be added to without changing e. A nil e gives
// an empty set.
func (e *Edits) Clone() *Edits {
	c := new(Edits)
	if e != nil {
		c.list = append(c.buf[:0], e.list...)
	}
	return c
}

func (e *Edits) add(x edit) {
	if e.list == nil {
		e.list = e.buf[:0]
	}
	// Kept in order of place by insertion: the lists are a handful long.
	i := len(e.list)
	for i > 0 && e.list[i-1].at.Start > x.at.Start {
		i--
	}
	e.list = append(e.list, edit{})
	copy(e.list[i+1:], e.list[i:])
	e.list[i] = x
}

// Member is a name and a JSON value to set in an object.
type Member struct {
	Name  string
	Value []byte
}

// SetMeta sets members of params._meta in message m, which must be a request or
// a notification: a member that is there (by the spans m recorded) is replaced,
// others are inserted first in the object; a missing _meta or params is made.
// It may be called once for a set of edits. Only progressToken, traceparent,
// tracestate and baggage are replaced; any other name is inserted blindly.
func (e *Edits) SetMeta(m *Message, members ...Member) {
	var fresh []byte
	for _, x := range members {
		var at Span
		switch x.Name {
		case "progressToken":
			at = m.MetaProgressToken
		case "traceparent":
			at = m.TraceParent
		case "tracestate":
			at = m.TraceState
		case "baggage":
			at = m.Baggage
		}
		if at.Ok() {
			e.Replace(at, x.Value)
			continue
		}
		if len(fresh) > 0 {
			fresh = append(fresh, ',')
		}
		fresh = AppendString(fresh, x.Name)
		fresh = append(fresh, ':')
		fresh = append(fresh, x.Value...)
	}
	if len(fresh) == 0 {
		return
	}
	switch {
	case m.Meta.Ok():
		e.Insert(m.Meta.Start+1, comma(fresh, m.Raw, m.Meta))
	case m.Params.Ok():
		meta := append([]byte(`"_meta":{`), fresh...)
		meta = append(meta, '}')
		e.Insert(m.Params.Start+1, comma(meta, m.Raw, m.Params))
	default:
		b := append([]byte(`,"params":{"_meta":{`), fresh...)
		e.Insert(m.Method.End, append(b, "}}"...))
	}
}

// comma appends the comma that b needs when it is put first in the object at s.
func comma(b, raw []byte, s Span) []byte {
	for i := s.Start + 1; i < s.End; i++ {
		switch raw[i] {
		case ' ', '\t', '\n', '\r':
		case '}':
			return b
		default:
			return append(b, ',')
		}
	}
	return b
}

// Apply appends raw with the edits made to dst and returns it. dst must not
// alias raw.
func (e *Edits) Apply(dst, raw []byte) []byte {
	from := 0
	if e != nil {
		for _, x := range e.list {
			dst = append(dst, raw[from:x.at.Start]...)
			dst = append(dst, x.new...)
			from = x.at.End
		}
	}
	return append(dst, raw[from:]...)
}
