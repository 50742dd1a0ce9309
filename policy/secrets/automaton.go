package secrets

import (
	"slices"
	"strings"
)

// automaton finds words in a text in one pass, in whatever case (Aho and Corasick,
// Efficient string matching, 1975), with all failures worked out beforehand: one
// table look-up for each byte.
type automaton struct {
	class [256]uint8 // of bytes that are in no word 0
	width int
	next  []uint16 // by state and class
	words [][]int  // by state less that of the first: the numbers of the words that end there
	first uint16   // the states from here on are those where words end
}

// newAutomaton makes one of at most some thousand words of ASCII, which are not
// empty.
func newAutomaton(words []string) *automaton {
	a := &automaton{width: 1}
	for _, w := range words {
		for _, b := range []byte(strings.ToLower(w)) {
			if a.class[b] == 0 {
				a.class[b] = uint8(a.width)
				a.width++
			}
		}
	}
	for b := byte('A'); b <= 'Z'; b++ {
		a.class[b] = a.class[b|0x20]
	}
	// A trie, in which 0 is both the root and the absence of a child.
	next := slices.Repeat([]uint16{0}, a.width)
	ends := [][]int{nil}
	for n, w := range words {
		state := 0
		for _, b := range []byte(strings.ToLower(w)) {
			at := state*a.width + int(a.class[b])
			if next[at] == 0 {
				next[at] = uint16(len(ends))
				next = append(next, make([]uint16, a.width)...)
				ends = append(ends, nil)
			}
			state = int(next[at])
		}
		ends[state] = append(ends[state], n)
	}
	// Breadth first: what a state fails to is nearer to the root, and done.
	fail := make([]uint16, len(ends))
	queue := make([]uint16, 0, len(ends))
	for c := range a.width {
		if s := next[c]; s != 0 {
			queue = append(queue, s)
		}
	}
	for len(queue) > 0 {
		s := int(queue[0])
		queue = queue[1:]
		ends[s] = append(ends[s], ends[fail[s]]...)
		for c := range a.width {
			to, other := &next[s*a.width+c], next[int(fail[s])*a.width+c]
			if *to == 0 {
				*to = other
				continue
			}
			fail[*to] = other
			queue = append(queue, *to)
		}
	}
	a.number(next, ends)
	return a
}

// number gives the states where words end the highest numbers, so that one
// comparison tells.
func (a *automaton) number(next []uint16, ends [][]int) {
	renamed := make([]uint16, len(ends))
	n := 0
	for _, ending := range []bool{false, true} {
		if ending {
			a.first = uint16(n)
		}
		for s := range ends {
			if (len(ends[s]) > 0) == ending {
				renamed[s] = uint16(n)
				if n++; ending {
					a.words = append(a.words, ends[s])
				}
			}
		}
	}
	a.next = make([]uint16, len(next))
	for s := range ends {
		for c := range a.width {
			a.next[int(renamed[s])*a.width+c] = renamed[next[s*a.width+c]]
		}
	}
}

// find calls found with the number of each word in the text, and where it ends,
// until that returns false.
func (a *automaton) find(text []byte, found func(word, end int) bool) {
	state := uint16(0)
	for i, b := range text {
		state = a.next[int(state)*a.width+int(a.class[b])]
		if state < a.first {
			continue
		}
		for _, w := range a.words[state-a.first] {
			if !found(w, i+1) {
				return
			}
		}
	}
}

// any reports whether a word is in the text.
func (a *automaton) any(text []byte) bool {
	there := false
	a.find(text, func(int, int) bool {
		there = true
		return false
	})
	return there
}
