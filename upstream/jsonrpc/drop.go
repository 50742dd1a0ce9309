package jsonrpc

import "slices"

// Drop removes members of the object at s in raw, each with its comma. Names that
// are absent are ignored. Edits of what is removed must not be added, and members
// that SetMeta adds are added after.
func (e *Edits) Drop(raw []byte, s Span, names ...string) {
	if !s.Ok() || raw[s.Start] != '{' {
		return
	}
	sc := scanner{b: raw[:s.End], i: int(s.Start)}
	kept := int32(0) // the end of the last member that stays, 0 before the first
	cut := Span{}
	for more := sc.enter('}'); more; more = sc.more('}') {
		start := int32(sc.i)
		key, value, ok := sc.member()
		switch {
		case !ok:
			return
		case named(raw, key, names):
			if !cut.Ok() {
				cut.Start = start
				if kept > 0 {
					cut.Start = kept // with the comma before it
				}
			}
			cut.End = value.End
			continue
		}
		if cut.Ok() {
			if kept == 0 {
				cut.End = start // with the comma after it
			}
			e.Delete(cut)
			cut = Span{}
		}
		kept = value.End
	}
	if cut.Ok() {
		e.Delete(cut)
		if kept == 0 {
			e.bared = s
		}
	}
}

// named reports whether the key at s is one of names. It allocates for unusual
// keys alone.
func named(raw []byte, s Span, names []string) bool {
	inner := raw[s.Start+1 : s.End-1]
	if !plain(inner) {
		return slices.Contains(names, Text(raw, s))
	}
	return slices.ContainsFunc(names, func(name string) bool { return string(inner) == name })
}
