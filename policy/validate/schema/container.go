package schema

// evaluated is what of an array or object some schema has looked at (core 11).
type evaluated struct {
	all     bool
	upTo    int // elements before it
	indexes map[int]bool
	keys    map[string]bool
}

func (e *evaluated) merge(other *evaluated) {
	e.all = e.all || other.all
	e.upTo = max(e.upTo, other.upTo)
	for i := range other.indexes {
		e.index(i)
	}
	for k := range other.keys {
		e.key(k)
	}
}

func (e *evaluated) whole() {
	if e != nil {
		e.all = true
	}
}

func (e *evaluated) until(i int) {
	if e != nil {
		e.upTo = max(e.upTo, i)
	}
}

func (e *evaluated) index(i int) {
	if e == nil {
		return
	}
	if e.indexes == nil {
		e.indexes = map[int]bool{}
	}
	e.indexes[i] = true
}

func (e *evaluated) key(k string) {
	if e == nil {
		return
	}
	if e.keys == nil {
		e.keys = map[string]bool{}
	}
	e.keys[k] = true
}

func (r *run) array(n *node, v *value, at *place, in *scope, seen *evaluated) bool {
	ok := true
	element := func(sub *node, i int) bool {
		if r.check(sub, v.items[i], &place{at, "", i}, in, nil) {
			return true
		}
		ok = false
		return !r.enough()
	}
	switch {
	case n.minItems >= 0 && len(v.items) < n.minItems:
		ok = r.fail(at, "must have at least %d elements, not %d", n.minItems, len(v.items))
	case n.maxItems >= 0 && len(v.items) > n.maxItems:
		ok = r.fail(at, "must have at most %d elements, not %d", n.maxItems, len(v.items))
	}
	first := min(len(n.prefix), len(v.items))
	for i := range first {
		if !element(n.prefix[i], i) {
			return false
		}
	}
	seen.until(first)
	if n.items != nil {
		for i := first; i < len(v.items); i++ {
			if !element(n.items, i) {
				return false
			}
		}
		seen.whole()
	}
	if n.contains != nil && !r.contains(n, v, at, in, seen) {
		ok = false
	}
	if n.unique && !r.unique(v, at) {
		ok = false
	}
	if n.unevaluatedItems != nil && !seen.all && r.err == nil {
		for i := seen.upTo; i < len(v.items); i++ {
			if !seen.indexes[i] && !element(n.unevaluatedItems, i) {
				return false
			}
		}
		seen.whole()
	}
	return ok
}

func (r *run) contains(n *node, v *value, at *place, in *scope, seen *evaluated) bool {
	found := 0
	for i, item := range v.items {
		if r.whether(n.contains, item, &place{at, "", i}, in, nil) {
			found++
			seen.index(i)
		}
	}
	least := 1
	if n.minContains >= 0 {
		least = n.minContains
	}
	switch {
	case found < least:
		return r.fail(at, "must have at least %d elements that the schema describes, not %d", least, found)
	case n.maxContains >= 0 && found > n.maxContains:
		return r.fail(at, "must have at most %d elements that the schema describes, not %d", n.maxContains, found)
	}
	return true
}

func (r *run) unique(v *value, at *place) bool {
	first := make(map[string]int, len(v.items))
	for i, item := range v.items {
		key, err := item.canonical(nil)
		if err != nil {
			r.err = ErrTooMuch
		}
		if !r.spend(1 + len(key)/8) {
			return false
		}
		if j, there := first[string(key)]; there {
			return r.fail(at, "must not have equal elements, as %d and %d are", j, i)
		}
		first[string(key)] = i
	}
	return true
}

func (r *run) object(n *node, v *value, at *place, in *scope, seen *evaluated) bool {
	ok := true
	for _, name := range n.required {
		if v.of(name) == nil {
			if ok = r.fail(at, "must have the property %s", quoted(name)); r.enough() {
				return false
			}
		}
	}
	switch {
	case n.minProps >= 0 && len(v.members) < n.minProps:
		ok = r.fail(at, "must have at least %d properties, not %d", n.minProps, len(v.members))
	case n.maxProps >= 0 && len(v.members) > n.maxProps:
		ok = r.fail(at, "must have at most %d properties, not %d", n.maxProps, len(v.members))
	}
	if !r.spend(len(n.required) + len(n.dependentRequired) + len(n.dependentSchemas)) {
		return false
	}
	for i := range v.members {
		if !r.member(n, &v.members[i], at, in, seen) {
			if ok = false; r.enough() {
				return false
			}
		}
	}
	if !r.dependencies(n, v, at, in, seen) {
		if ok = false; r.enough() {
			return false
		}
	}
	if n.unevaluatedProperties != nil && !seen.all {
		for _, m := range v.members {
			if !seen.keys[m.key] && !r.extra(n.unevaluatedProperties, n, m, at, in) {
				ok = false
			}
		}
		seen.whole()
	}
	return ok
}

// member checks a member against all that says something of it directly.
func (r *run) member(n *node, m *member, at *place, in *scope, seen *evaluated) bool {
	ok, known := true, false
	below := &place{at, m.key, -1}
	if n.names != nil && !r.whether(n.names, &value{kind: text, text: m.key}, below, in, nil) {
		ok = r.fail(at, "must not have a property of the name %s", quoted(name(m.key)))
	}
	if sub := n.properties[m.key]; sub != nil {
		known = true
		if !r.check(sub, m.value, below, in, nil) {
			ok = false
		}
	}
	for _, p := range n.patterns {
		if r.spend(len(m.key)) && p.pattern.MatchString(m.key) {
			known = true
			if !r.check(p.node, m.value, below, in, nil) {
				ok = false
			}
		}
	}
	if !known && n.additional != nil {
		known = true
		if !r.extra(n.additional, n, *m, at, in) {
			ok = false
		}
	}
	if known && r.schema.tracked {
		seen.key(m.key)
	}
	return ok
}

// extra checks a member that n does not name against what is said of such.
func (r *run) extra(sub, n *node, m member, at *place, in *scope) bool {
	if !sub.never {
		return r.check(sub, m.value, &place{at, m.key, -1}, in, nil)
	}
	if r.quiet > 0 {
		return false
	}
	if meant := nearest(m.key, n.properties); meant != "" {
		return r.fail(at, "must not have the property %s: did you mean %s?", quoted(name(m.key)), quoted(meant))
	}
	return r.fail(at, "must not have the property %s", quoted(name(m.key)))
}

func (r *run) dependencies(n *node, v *value, at *place, in *scope, seen *evaluated) bool {
	ok := true
	for _, d := range n.dependentRequired {
		if v.of(d.property) == nil {
			continue
		}
		for _, name := range d.required {
			if v.of(name) == nil {
				ok = r.fail(at, "must have the property %s, since it has %s", quoted(name), quoted(d.property))
			}
		}
	}
	for _, d := range n.dependentSchemas {
		if v.of(d.property) != nil && !r.check(d.node, v, at, in, seen) {
			ok = false
		}
	}
	return ok
}
