package jsonrpc

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// Words of eight equal bytes, for looking at eight bytes at a time.
const (
	ones = 0x0101010101010101
	tops = 0x8080808080808080
)

// zeros marks the top bit of each zero byte of w. Marks above the lowest one
// may be false, so only the lowest counts.
func zeros(w uint64) uint64 { return (w - ones) & ^w & tops }

// special marks the bytes of w that end a run of plain string: a quote, a
// backslash, a control character. As with zeros, only the lowest mark counts. All
// three are below 0x80, so that what is not can be left out for all at once.
func special(w uint64) uint64 {
	return ((w - ones*0x20) | ((w ^ ones*'"') - ones) | ((w ^ ones*'\\') - ones)) & ^w & tops
}

// str scans a string with its quotes: no control characters, known escapes,
// valid UTF-8. Escaped surrogates may stand alone; lone remembers the last.
func (s *scanner) str() bool {
	if s.peek() != '"' {
		return s.fail("expected a string")
	}
	if s.lax {
		return s.skip()
	}
	start := s.i
	s.i++
	b, i := s.b, s.i
	var high uint64 // top bits of all bytes seen
	for {
		for near := i + 32; len(b)-i >= 8; {
			w := binary.LittleEndian.Uint64(b[i:])
			if stop := special(w); stop != 0 {
				n := bits.TrailingZeros64(stop) &^ 7
				high |= w & (1<<n - 1)
				i += n / 8
				break
			}
			high |= w
			if i += 8; i >= near { // it may be long
				n, seen := plainRun(b[i:])
				i += n
				high |= seen
				near = i + 32
			}
		}
		if i >= len(b) {
			s.i = i
			return s.fail("unterminated string")
		}
		switch c := b[i]; {
		case c == '"':
			s.i = i + 1
			return high&tops == 0 || s.text(start)
		case c == '\\':
			if s.i = i; i+1 < len(b) && simple[b[i+1]] {
				s.escaped = i
				i += 2
				continue
			}
			if !s.unicode() {
				return false
			}
			i = s.i
		case c < 0x20:
			s.i = i
			return s.fail("control character in a string")
		default: // among the last seven bytes of the input
			high |= uint64(c)
			i++
		}
	}
}

// plainRun returns how many bytes of plain string b begins with, in steps of 32, and
// their top bits.
func plainRun(b []byte) (n int, high uint64) {
	for ; len(b)-n >= 32; n += 32 {
		p := b[n : n+32]
		w, x := binary.LittleEndian.Uint64(p), binary.LittleEndian.Uint64(p[8:])
		y, z := binary.LittleEndian.Uint64(p[16:]), binary.LittleEndian.Uint64(p[24:])
		if special(w)|special(x)|special(y)|special(z) != 0 {
			break
		}
		high |= w | x | y | z
	}
	return n, high
}

// text checks the string from start to where the scanner stands for UTF-8.
// Escapes are ASCII, so that it can be looked at as a whole.
func (s *scanner) text(start int) bool {
	b := s.b[start:s.i]
	if utf8.Valid(b) {
		return true
	}
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			break
		}
		b = b[n:]
	}
	s.i -= len(b)
	return s.fail("invalid UTF-8")
}

// simple are the bytes that make an escape with the backslash before them.
var simple = [256]bool{'"': true, '\\': true, '/': true, 'b': true, 'f': true, 'n': true, 'r': true, 't': true}

// unicode scans an escape by code point, or two that make a surrogate pair.
func (s *scanner) unicode() bool {
	at := s.i
	s.escaped = at
	r, ok := hex4(s.b[at:])
	if !ok {
		return s.fail("malformed escape in a string")
	}
	s.i = at + 6
	switch {
	case r == 0:
		s.nul = at
	case r >= 0xd800 && r < 0xdc00:
		if low, ok := hex4(s.b[s.i:]); ok && low >= 0xdc00 && low < 0xe000 {
			s.i += 6
			return true
		}
		s.lone = at
	case r >= 0xdc00 && r < 0xe000:
		s.lone = at
	}
	return true
}

// hex4 reads the escape \uXXXX at the beginning of b.
func hex4(b []byte) (r rune, ok bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	for _, c := range b[2:6] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// skip steps over a string by its quotes alone. It looks closely at what comes
// first, as most strings are short or full of escapes, and then for a far quote.
func (s *scanner) skip() bool {
	b, i := s.b, s.i+1
	for near := i + 32; ; near = i + 32 {
		for i < near && len(b)-i >= 8 {
			w := binary.LittleEndian.Uint64(b[i:])
			stop := zeros(w^ones*'"') | zeros(w^ones*'\\')
			if stop == 0 {
				i += 8
				continue
			}
			if i += bits.TrailingZeros64(stop) / 8; b[i] == '"' {
				s.i = i + 1
				return true
			}
			i += 2 // the escape; of one by code point the rest is plain
			near = i + 32
		}
		q := -1
		if i < len(b) {
			q = bytes.IndexByte(b[i:], '"')
		}
		if q < 0 {
			s.i = len(b)
			return s.fail("unterminated string")
		}
		end := i + q
		n := end
		for n > i && b[n-1] == '\\' {
			n--
		}
		i = end + 1
		if (end-n)%2 == 0 { // the quote is not escaped
			s.i = i
			return true
		}
	}
}
