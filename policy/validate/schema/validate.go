package schema

import (
	"fmt"
	"unicode/utf8"
)

// maxDocument is how many values a document may consist of.
const maxDocument = 1_000_000

// Validate returns what is wrong with the JSON document, at most a few things. The
// error is ErrDocument or ErrTooMuch, and nothing is known then.
func (s *Schema) Validate(document []byte) ([]Fault, error) {
	v, err := decode(document, maxDocument)
	if err != nil {
		return nil, ErrDocument
	}
	r := &run{schema: s, steps: maxSteps}
	r.check(s.root, v, &place{}, nil, nil)
	if r.err != nil {
		return nil, r.err
	}
	return r.faults, nil
}

// run is one validation.
type run struct {
	schema *Schema
	steps  int // that are left
	depth  int
	// quiet is more than 0 while nobody asks what is wrong, but only whether.
	quiet  int
	faults []Fault
	deep   int   // how deep in the document the deepest fault is
	err    error // ends everything
}

// scope is the schema documents that led to a schema, the innermost first.
type scope struct {
	base string
	up   *scope
}

// spend counts work, and reports whether there may be more.
func (r *run) spend(n int) bool {
	if r.steps -= n; r.steps < 0 && r.err == nil {
		r.err = ErrTooMuch
	}
	return r.err == nil
}

// fail notes a fault. It returns false.
func (r *run) fail(at *place, format string, args ...any) bool {
	if r.quiet > 0 || r.err != nil {
		return false
	}
	if len(r.faults) < maxFaults {
		r.faults = append(r.faults, Fault{at.String(), fmt.Sprintf(format, args...)})
	}
	r.deep = max(r.deep, at.depth())
	return false
}

// enough reports whether nothing that could still be found matters.
func (r *run) enough() bool { return r.err != nil || r.quiet > 0 || len(r.faults) >= maxFaults }

// check reports whether v is valid. What of it was evaluated is added to seen,
// unless that is nil.
func (r *run) check(n *node, v *value, at *place, in *scope, seen *evaluated) bool {
	if !r.spend(1) || n.always {
		return r.err == nil
	}
	if n.never {
		return r.fail(at, "must not be there")
	}
	if r.depth++; r.depth > maxDepth {
		r.err = ErrTooMuch
	}
	defer func() { r.depth-- }()
	if in == nil || in.base != n.base {
		in = &scope{n.base, in}
	}
	own := seen
	if r.schema.tracked {
		own = new(evaluated)
	}
	ok := true
	for _, part := range []func(*node, *value, *place, *scope, *evaluated) bool{r.references, r.scalar, r.logic, r.container} {
		if r.err != nil {
			return false
		}
		if !part(n, v, at, in, own) {
			if ok = false; r.enough() {
				return false
			}
		}
	}
	if ok && seen != nil && r.schema.tracked {
		seen.merge(own)
	}
	return ok && r.err == nil
}

// whether is check without a word about what is wrong.
func (r *run) whether(n *node, v *value, at *place, in *scope, seen *evaluated) bool {
	r.quiet++
	defer func() { r.quiet-- }()
	return r.check(n, v, at, in, seen)
}

func (r *run) references(n *node, v *value, at *place, in *scope, seen *evaluated) bool {
	if n.ref != nil && !r.check(n.ref, v, at, in, seen) {
		return false
	}
	if n.dynamicRef == nil {
		return true
	}
	to := n.dynamicRef
	if n.dynamicName != "" { // core 8.2.3.2: the outermost that has it
		for s := in; s != nil; s = s.up {
			if outer := r.schema.dynamic[s.base+"#"+n.dynamicName]; outer != nil {
				to = outer
			}
		}
	}
	return r.check(to, v, at, in, seen)
}

// number returns the number of v, nil if it is none or too long, which ends all.
func (r *run) number(v *value) *number {
	if v.kind&anyNumber == 0 || r.err != nil {
		return nil
	}
	n, err := parseNumber(v.text)
	if err != nil {
		r.err = ErrTooMuch
		return nil
	}
	return n
}

// kind is the kind of v, in which 1.0 is an integer.
func (r *run) kind(v *value) kinds {
	if v.kind == fraction {
		if n := r.number(v); n != nil && n.whole() {
			return integer
		}
	}
	return v.kind
}

func (r *run) scalar(n *node, v *value, at *place, _ *scope, _ *evaluated) bool {
	if n.types != 0 {
		if k := r.kind(v); n.types&k == 0 {
			if k == fraction {
				k = anyNumber
			}
			return r.fail(at, "must be %s, not %s", n.types, k)
		}
	}
	ok := r.listed(n, v, at)
	if v.kind == text && !r.text(n, v.text, at) {
		ok = false
	}
	if v.kind&anyNumber == 0 || n.multipleOf == nil && n.minimum == nil && n.maximum == nil && n.above == nil && n.below == nil {
		return ok
	}
	x := r.number(v)
	if x == nil || !r.spend(len(x.text)) {
		return false
	}
	switch {
	case n.minimum != nil && x.compare(n.minimum) < 0:
		return r.fail(at, "must be at least %s", clip(n.minimum.text))
	case n.maximum != nil && x.compare(n.maximum) > 0:
		return r.fail(at, "must be at most %s", clip(n.maximum.text))
	case n.above != nil && x.compare(n.above) <= 0:
		return r.fail(at, "must be more than %s", clip(n.above.text))
	case n.below != nil && x.compare(n.below) >= 0:
		return r.fail(at, "must be less than %s", clip(n.below.text))
	case n.multipleOf != nil && !x.multipleOf(n.multipleOf):
		return r.fail(at, "must be a multiple of %s", clip(n.multipleOf.text))
	}
	return ok
}

// listed checks enum and const.
func (r *run) listed(n *node, v *value, at *place) bool {
	if n.enum == nil && n.constant == "" {
		return true
	}
	key, err := v.canonical(nil)
	if err != nil {
		r.err = ErrTooMuch
	}
	if !r.spend(len(key) / 8) {
		return false
	}
	switch {
	case n.constant != "" && n.constant != string(key):
		return r.fail(at, "must be %s", n.constantText)
	case len(n.enum) == 1 && !n.enum[string(key)]:
		return r.fail(at, "must be %s", n.enumText)
	case n.enum != nil && !n.enum[string(key)]:
		return r.fail(at, "must be one of %s", n.enumText)
	}
	return true
}

func (r *run) text(n *node, s string, at *place) bool {
	ok := true
	if n.minLength >= 0 || n.maxLength >= 0 {
		switch length := utf8.RuneCountInString(s); {
		case n.minLength >= 0 && length < n.minLength:
			ok = r.fail(at, "must have at least %d characters, not %d", n.minLength, length)
		case n.maxLength >= 0 && length > n.maxLength:
			ok = r.fail(at, "must have at most %d characters, not %d", n.maxLength, length)
		}
	}
	if n.pattern != nil && r.spend(len(s)) && !n.pattern.MatchString(s) {
		return r.fail(at, "must match the pattern %s", quoted(n.pattern.String()))
	}
	return ok
}

func (r *run) logic(n *node, v *value, at *place, in *scope, seen *evaluated) bool {
	ok := true
	for _, sub := range n.allOf {
		if !r.check(sub, v, at, in, seen) {
			if ok = false; r.enough() {
				return false
			}
		}
	}
	if n.anyOf != nil {
		matched := false
		for _, sub := range n.anyOf { // all of them, for what they evaluate
			if r.whether(sub, v, at, in, seen) {
				if matched = true; !r.schema.tracked {
					break
				}
			}
		}
		if !matched {
			ok = r.none(n.anyOf, v, at, in)
		}
	}
	if n.oneOf != nil {
		matched := 0
		for _, sub := range n.oneOf {
			if r.whether(sub, v, at, in, seen) {
				matched++
			}
		}
		switch {
		case matched == 0:
			ok = r.none(n.oneOf, v, at, in)
		case matched > 1:
			ok = r.fail(at, "must match only one of %d alternatives, not %d", len(n.oneOf), matched)
		}
	}
	if n.not != nil && r.whether(n.not, v, at, in, nil) {
		ok = r.fail(at, "must not be what the schema excludes")
	}
	if n.condition != nil {
		then := n.orElse
		if r.whether(n.condition, v, at, in, seen) {
			then = n.then
		}
		if then != nil && !r.check(then, v, at, in, seen) {
			ok = false
		}
	}
	return ok
}

// none says that v matches none of the alternatives, and if one of them went
// further than the others, what it found. It returns false.
func (r *run) none(all []*node, v *value, at *place, in *scope) bool {
	if r.quiet > 0 || r.err != nil {
		return false
	}
	faults, deep := r.faults, r.deep
	var best []Fault
	var wanted kinds
	deepest, ties, typed := at.depth(), 0, true
	for _, sub := range all {
		r.faults, r.deep = nil, 0
		r.check(sub, v, at, in, nil)
		if r.err != nil {
			return false
		}
		switch {
		case r.deep > deepest:
			best, deepest, ties = r.faults, r.deep, 0
		case r.deep == deepest:
			ties++
		}
		wanted |= sub.types
		typed = typed && sub.types != 0 && sub.types&r.kind(v) == 0
	}
	r.faults, r.deep = faults, deep
	switch {
	case best != nil && ties == 0:
		r.faults = append(r.faults, best[:min(len(best), max(0, maxFaults-len(r.faults)))]...)
		r.deep = max(r.deep, deepest)
		return false
	case typed:
		return r.fail(at, "must be %s", wanted)
	}
	return r.fail(at, "must match one of %d alternatives", len(all))
}

// container checks arrays and objects, and at last what was not evaluated.
func (r *run) container(n *node, v *value, at *place, in *scope, seen *evaluated) bool {
	switch v.kind {
	case array:
		return r.array(n, v, at, in, seen)
	case object:
		return r.object(n, v, at, in, seen)
	}
	return true
}
