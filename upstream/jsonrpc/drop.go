package jsonrpc

// DropParams removes members of params from the message, each with its comma.
// Names that are absent are ignored. Edits of what is removed must not be added.
func (e *Edits) DropParams(m *Message, names ...string) {
	if !m.Params.Ok() || m.Raw[m.Params.Start] != '{' {
		return
	}
	sc := scanner{b: m.Raw[:m.Params.End], i: m.Params.Start}
	kept := 0 // the end of the last member that stays, 0 before the first
	cut := Span{}
	for more := sc.enter('}'); more; more = sc.more('}') {
		start := sc.i
		key, value, ok := sc.member()
		switch {
		case !ok:
			return
		case dropped(Text(m.Raw, key), names):
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
	}
}

func dropped(key string, names []string) bool {
	for _, name := range names {
		if key == name {
			return true
		}
	}
	return false
}
