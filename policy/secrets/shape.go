package secrets

import (
	"regexp/syntax"
	"unicode/utf8"
)

// shape is which bytes may stand at the first places of what a pattern matches. To
// look at it takes a hundredth of what it takes to try the pattern, and it is enough
// for nearly all places where there is no more than a keyword.
type shape []*[256]bool

// maxShape is how many places are looked at.
const maxShape = 24

// newShape works out the shape of a pattern: at each place what is possible there
// after anything that was possible before.
func newShape(pattern string) shape {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil
	}
	prog, err := syntax.Compile(re.Simplify())
	if err != nil {
		return nil
	}
	var s shape
	for states := []uint32{uint32(prog.Start)}; len(s) < maxShape; {
		set, next, over := oneStep(prog, states)
		if over { // a match may end here
			break
		}
		s = append(s, set)
		states = next
	}
	return s
}

// oneStep returns the bytes that may come next, in whatever state, and the states
// after them. over is true if none need come, or if one could be the part of a
// longer character.
func oneStep(prog *syntax.Prog, states []uint32) (set *[256]bool, next []uint32, over bool) {
	set = new([256]bool)
	seen := make([]bool, len(prog.Inst))
	for len(states) > 0 {
		pc := states[len(states)-1]
		states = states[:len(states)-1]
		if seen[pc] {
			continue
		}
		seen[pc] = true
		in := &prog.Inst[pc]
		switch in.Op {
		case syntax.InstAlt, syntax.InstAltMatch:
			states = append(states, in.Out, in.Arg)
		case syntax.InstCapture, syntax.InstEmptyWidth, syntax.InstNop:
			states = append(states, in.Out)
		case syntax.InstMatch:
			return nil, nil, true
		case syntax.InstFail:
		default:
			for b := range utf8.RuneSelf {
				if in.MatchRune(rune(b)) {
					set[b] = true
				}
			}
			// A fold, such as the Kelvin sign, is given up: keywords are ASCII, too.
			if in.Op == syntax.InstRuneAny || in.Op == syntax.InstRuneAnyNotNL || in.MatchRune('\u00e9') || in.MatchRune(utf8.RuneError) {
				return nil, nil, true
			}
			next = append(next, in.Out)
		}
	}
	return set, next, false
}

// fits reports whether a text may be one that the pattern matches.
func (s shape) fits(text []byte) bool {
	if len(text) < len(s) {
		return false
	}
	for i, set := range s {
		if !set[text[i]] {
			return false
		}
	}
	return true
}
