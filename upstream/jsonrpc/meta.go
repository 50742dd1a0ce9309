package jsonrpc

import "slices"

// Member is a name and a JSON value to set in an object. Without a Value it is Text,
// as a string.
type Member struct {
	Name  string
	Value []byte
	Text  string
}

// appendValue appends the value as JSON.
func (x *Member) appendValue(b []byte) []byte {
	if x.Value == nil {
		return AppendString(b, x.Text)
	}
	return append(b, x.Value...)
}

// SetMeta sets members of params._meta in message m, which must be a request or
// a notification: a member that is there is replaced, others are inserted first
// in the object; a missing _meta or params is made, and one that is no object
// is replaced. A member that is set again takes its last value.
func (e *Edits) SetMeta(m *Message, members ...Member) {
	n := len(e.fresh)
	for _, x := range members {
		if at := m.metaMember(x.Name); at.Ok() {
			if x.Value == nil {
				x.Value = AppendString(make([]byte, 0, len(x.Text)+2), x.Text)
			}
			e.Replace(at, x.Value)
			continue
		}
		i := slices.IndexFunc(e.fresh, func(f Member) bool { return f.Name == x.Name })
		if i < 0 {
			if e.fresh == nil {
				e.fresh = make([]Member, 0, len(members))
			}
			e.fresh = append(e.fresh, x)
			continue
		}
		e.fresh = slices.Clone(e.fresh) // a copy of e may have it, too
		e.fresh[i] = x
		n = 0 // to be written anew
	}
	if len(e.fresh) == n {
		return
	}
	fresh := metaEdit(m, e.fresh, e.bared)
	before := e.made
	e.made = &fresh.new[0]
	for i, x := range e.list {
		if len(x.new) > 0 && &x.new[0] == before {
			e.list[i] = fresh
			return
		}
	}
	e.add(fresh)
}

// metaMember returns where m has a member of params._meta: for those that the
// scan records without looking.
func (m *Message) metaMember(name string) Span {
	switch name {
	case "progressToken":
		return m.MetaProgressToken
	case "traceparent":
		return m.TraceParent
	case "tracestate":
		return m.TraceState
	case "baggage":
		return m.Baggage
	case MetaPrefix + "protocolVersion":
		return m.MetaVersion
	case MetaPrefix + "clientCapabilities":
		return m.MetaCapabilities
	case MetaPrefix + "logLevel":
		return m.MetaLogLevel
	}
	at, _ := Lookup(m.Raw, m.Meta, name)
	return at
}

// metaEdit returns the edit that inserts members into m's params._meta, which, or
// whose params, may be the object that has no others left.
func metaEdit(m *Message, members []Member, bared Span) edit {
	isObject := func(s Span) bool { return s.Ok() && m.Raw[s.Start] == '{' }
	b := make([]byte, 0, 128)
	switch {
	case isObject(m.Meta) && bared == m.Meta:
		return edit{first(m.Meta), appendMembers(b, members)}
	case isObject(m.Meta):
		return edit{first(m.Meta), comma(appendMembers(b, members), m.Raw, m.Meta)}
	case m.Meta.Ok():
		return edit{m.Meta, append(appendMembers(append(b, '{'), members), '}')}
	case isObject(m.Params):
		b = append(appendMembers(append(b, `"_meta":{`...), members), '}')
		if bared != m.Params {
			b = comma(b, m.Raw, m.Params)
		}
		return edit{first(m.Params), b}
	case m.Params.Ok():
		return edit{m.Params, append(appendMembers(append(b, `{"_meta":{`...), members), "}}"...)}
	}
	b = append(appendMembers(append(b, `,"params":{"_meta":{`...), members), "}}"...)
	return edit{Span{m.Method.End, m.Method.End}, b}
}

// first returns the place before the first member of the object at s.
func first(s Span) Span { return Span{s.Start + 1, s.Start + 1} }

func appendMembers(b []byte, members []Member) []byte {
	for i := range members {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(AppendString(b, members[i].Name), ':')
		b = members[i].appendValue(b)
	}
	return b
}

// comma appends the comma that b needs when it is put first in the object at s.
func comma(b, raw []byte, s Span) []byte {
	sc := scanner{b: raw, i: int(s.Start) + 1}
	if sc.space(); sc.peek() == '}' {
		return b
	}
	return append(b, ',')
}
