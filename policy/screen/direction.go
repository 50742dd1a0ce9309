package screen

// direction is what there is to know of a text's directions.
type direction struct {
	leftward bool // it has letters that run from right to left
	// balanced says that each part in another direction is ended in its line, and nothing
	// is overridden.
	balanced bool
}

// maxNested is how deep parts in another direction may be nested (UAX #9: max_depth).
const maxNested = 125

func directions(b []byte) *direction {
	d := &direction{balanced: true}
	var open [maxNested]rune
	depth := 0
	for i := 0; i < len(b); {
		r, n := next(b, i)
		if classOf(r) == controls {
			i = sequence(b, i, n, r) // what it holds is no text
			continue
		}
		i += n
		switch {
		case r < 0x590:
			if r == '\n' || r == '\r' {
				d.balanced = d.balanced && depth == 0
				depth = 0
			}
		case r == 0x202d || r == 0x202e: // left or right by force
			d.balanced = false
		case r == 0x202a || r == 0x202b || r >= 0x2066 && r <= 0x2068:
			if depth == maxNested {
				d.balanced = false
				continue
			}
			open[depth] = r
			depth++
		case r == 0x202c || r == 0x2069:
			// The end of an embedding, or of an isolate.
			if depth == 0 || (r == 0x202c) != (open[depth-1] <= 0x202b) {
				d.balanced = false
				continue
			}
			depth--
		case r == 0x2029:
			d.balanced = d.balanced && depth == 0
			depth = 0
		case !d.leftward:
			d.leftward = leftward(r)
		}
	}
	d.balanced = d.balanced && depth == 0
	return d
}
