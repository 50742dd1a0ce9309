package screen

import (
	"bytes"
	"encoding/binary"
	"slices"
	"unicode"
	"unicode/utf8"
)

// rule is a kind of finding in a text.
type rule uint8

const (
	smuggled rule = iota
	invisible
	bidi
	control
	private
	rules
)

// finding is what was found of one rule.
type finding struct {
	count int
	first rune
}

// span is a range of bytes.
type span struct{ start, end int }

// scan looks for what texts should not have.
type scan struct {
	found [rules]finding
	// cuts are the places of what is found, in order, of the rules that are set in
	// cutting.
	cuts    []span
	cutting [rules]bool
}

// Words of eight equal bytes, for looking at eight bytes at a time.
const (
	ones = 0x0101010101010101
	tops = 0x80 * ones
)

// clean reports whether JSON has no character that a scan could find: it is ASCII
// without control characters, also in the form of escapes, or it looks as if it had
// some. It does not allocate.
func clean(raw []byte) bool {
	b := raw
	for ; len(b) > 8; b = b[8:] {
		w := binary.LittleEndian.Uint64(b)
		// A byte below the blank borrows into its top bit.
		if (w|(w-ones*' '))&tops != 0 {
			return false
		}
		// None has its top bit, so adding sets it in all but those that are zero.
		escapes := ^((w ^ ones*'\\') + ones*0x7f) & tops
		if escapes == 0 {
			continue
		}
		behind := binary.LittleEndian.Uint64(b[1:]) &^ tops
		if escapes&(^((behind^ones*'u')+ones*0x7f)|^((behind^ones*'b')+ones*0x7f)) != 0 {
			return false
		}
	}
	for i, c := range b {
		if c >= utf8.RuneSelf || c < ' ' || c == '\\' && i+1 < len(b) && (b[i+1] == 'u' || b[i+1] == 'b') {
			return false
		}
	}
	return bytes.IndexByte(raw, 0x7f) < 0
}

// json scans all strings of a well-formed JSON value, keys among them.
func (s *scan) json(raw []byte) {
	for i := 0; ; {
		n := bytes.IndexByte(raw[i:], '"')
		if n < 0 {
			return
		}
		start := i + n + 1
		end := closing(raw, start)
		if text := raw[start:end]; !clean(text) {
			s.text(text, start)
		}
		if i = end + 1; i >= len(raw) {
			return
		}
	}
}

// closing returns where the quote is that ends the string whose inside begins at i.
func closing(raw []byte, i int) int {
	for from := i; ; {
		n := bytes.IndexByte(raw[from:], '"')
		if n < 0 {
			return len(raw)
		}
		at := from + n
		slashes := 0
		for at-slashes > i && raw[at-slashes-1] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return at
		}
		from = at + 1
	}
}

// next decodes the character of the inside of a JSON string at i < len(b), and
// returns how many bytes it takes; -1 and 0 behind the end.
func next(b []byte, i int) (r rune, n int) {
	if i >= len(b) {
		return -1, 0
	}
	switch c := b[i]; {
	case c >= utf8.RuneSelf:
		return utf8.DecodeRune(b[i:])
	case c != '\\' || i+1 == len(b):
		return rune(c), 1
	}
	switch c := b[i+1]; c {
	case 'u':
		r, ok := hex(b, i+2)
		if !ok {
			return utf8.RuneError, 2
		}
		if r >= 0xd800 && r < 0xdc00 && i+7 < len(b) && b[i+6] == '\\' && b[i+7] == 'u' {
			if low, ok := hex(b, i+8); ok && low >= 0xdc00 && low < 0xe000 {
				return (r-0xd800)<<10 + (low - 0xdc00) + 0x10000, 12
			}
		}
		if r >= 0xd800 && r < 0xe000 {
			r = utf8.RuneError
		}
		return r, 6
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	default:
		return rune(c), 2
	}
}

// hex reads four hexadecimal digits.
func hex(b []byte, i int) (r rune, ok bool) {
	if i+4 > len(b) {
		return 0, false
	}
	for _, c := range b[i : i+4] {
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

// plain are the bytes of ASCII that stand for themselves.
func plain(c byte) bool { return c >= ' ' && c < 0x7f && c != '\\' }

// text scans the inside of a JSON string that begins at offset.
func (s *scan) text(b []byte, offset int) {
	var sides *direction // found out when somebody wants to know
	last := -1           // where the last character begins that belongs where it is
	for i := 0; i < len(b); {
		c := b[i]
		if plain(c) {
			for i++; i < len(b) && plain(b[i]); i++ {
				continue
			}
			last = i - 1
			continue
		}
		if c >= utf8.RuneSelf && !leads[c] {
			last = i
			for i++; i < len(b) && b[i]&0xc0 == 0x80 && i-last < utf8.UTFMax; i++ {
				continue
			}
			continue
		}
		r, n := next(b, i)
		k := classOf(r)
		if k == harmless || n == 1 && r == utf8.RuneError {
			last, i = i, i+n
			continue
		}
		before := rune(-1)
		if last >= 0 {
			before, _ = next(b, last)
		}
		if k == tag && before == flag {
			if end := flagEnd(b, i); end > 0 {
				last, i = lastTag(b, i, end), end
				continue
			}
		}
		if (k == mark || k == embedding) && sides == nil {
			sides = directions(b)
		}
		after, _ := next(b, i+n)
		what, bad := judge(k, before, r, after, sides)
		end := i + n
		if k == controls {
			end = sequence(b, i, n, r)
		}
		if bad {
			s.add(what, r, offset+i, offset+end)
		} else {
			last = i
		}
		i = end
	}
}

func (s *scan) add(what rule, r rune, start, end int) {
	f := &s.found[what]
	if f.count == 0 {
		f.first = r
	}
	f.count++
	if !s.cutting[what] {
		return
	}
	if last := len(s.cuts) - 1; last >= 0 && s.cuts[last].end == start {
		s.cuts[last].end = end
		return
	}
	s.cuts = append(s.cuts, span{start, end})
}

// stripped is raw without the cuts.
func (s *scan) stripped(raw []byte) []byte {
	out := make([]byte, 0, len(raw))
	from := 0
	for _, c := range s.cuts {
		out = append(out, raw[from:c.start]...)
		from = c.end
	}
	return append(out, raw[from:]...)
}

// judge says what is wrong with a character of class k where it stands: between the
// last one that belongs where it is, and the next; -1 stands for the ends of the text.
// What is after it speaks for it only if that is harmless itself. So in a text from which
// all was taken out nothing is found.
func judge(k class, before, r, after rune, sides *direction) (what rule, bad bool) {
	switch k {
	case tag:
		return smuggled, true
	case selector:
		return smuggled, !selects(before, r)
	case ideographic:
		return smuggled, !unicode.Is(unicode.Han, before)
	case mongolian:
		return invisible, !within(before, 0x1807, 0x180a, 0x1810, 0x18af)
	case joiner:
		return invisible, !joins(before, r, after)
	case breakable:
		return invisible, !spaceless(before) && !spaceless(after)
	case mark:
		return bidi, !sides.leftward
	case embedding:
		return bidi, !sides.leftward || !sides.balanced
	case override:
		return bidi, true
	case hyphen:
		return invisible, !unicode.IsLetter(before) || !unicode.IsLetter(after) || classOf(after) != harmless
	case byteOrder:
		return invisible, before != -1
	case grapheme:
		return invisible, !unicode.IsMark(before) && (before < 0x590 || !unicode.IsLetter(before))
	case filler:
		return invisible, !hangul(before) && !hangul(after)
	case khmer:
		return invisible, !within(before, 0x1780, 0x17b3)
	case personal:
		return private, true
	case controls:
		return control, true
	}
	return invisible, true
}

// flags are the letters of the flags of England, Scotland and Wales.
var flags = []string{"gbeng", "gbsct", "gbwls"}

// flagEnd returns where the tags end that make a flag of the one before them, 0 if
// they make none.
func flagEnd(b []byte, i int) int {
	var letters [6]byte
	for n := range letters {
		r, size := next(b, i)
		i += size
		if r == endTag {
			if slices.Contains(flags, string(letters[:n])) {
				return i
			}
			return 0
		}
		if r < 0xe0061 || r > 0xe007a {
			return 0
		}
		letters[n] = byte(r - 0xe0000)
	}
	return 0
}

// lastTag returns where the last character before end begins.
func lastTag(b []byte, i, end int) int {
	for {
		_, n := next(b, i)
		if i+n >= end {
			return i
		}
		i += n
	}
}
