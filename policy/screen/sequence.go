package screen

const (
	maxSequence = 256  // characters of an escape sequence
	maxString   = 4096 // of one that holds a text, such as the title of a window
)

// sequence returns where an escape sequence ends (ECMA-48) whose first character r
// of n bytes is at i; behind r if it begins none, or one that never ends.
func sequence(b []byte, i, n int, r rune) int {
	alone := i + n
	at := alone
	if r == 0x1b {
		second, size := next(b, at)
		if second < 0x20 || second > 0x7e {
			return alone
		}
		at += size
		switch {
		case second == '[':
			r = 0x9b
		case second == 'P', second == 'X', second == ']', second == '^', second == '_':
			r = second + 0x40
		case second >= 0x30:
			return at
		default: // intermediate characters and a final one
			return until(b, at, alone, 0x20, 0x2f, 0x30)
		}
	}
	switch r {
	case 0x9b:
		return until(b, at, alone, 0x20, 0x3f, 0x40)
	case 0x90, 0x98, 0x9d, 0x9e, 0x9f:
		return untilEnd(b, at, alone)
	}
	return alone
}

// until goes over characters from low to high to a final one, from least to ~.
func until(b []byte, at, otherwise int, low, high, least rune) int {
	for range maxSequence {
		r, n := next(b, at)
		at += n
		switch {
		case r >= least && r <= 0x7e:
			return at
		case r < low || r > high:
			return otherwise
		}
	}
	return otherwise
}

// untilEnd goes to the end of a text for the terminal: BEL, or ST in either form.
func untilEnd(b []byte, at, otherwise int) int {
	for range maxString {
		r, n := next(b, at)
		if n == 0 {
			return otherwise
		}
		at += n
		switch r {
		case 0x07, 0x9c:
			return at
		case 0x1b:
			if r, n := next(b, at); r == '\\' {
				return at + n
			}
			return otherwise
		}
	}
	return otherwise
}
