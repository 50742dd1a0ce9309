package secrets

import (
	"io"
	"unicode/utf8"
)

// reader gives a pattern a part of the text, and knows how much of it was read.
type reader struct {
	text []byte
	read int
}

// ReadRune implements io.RuneReader.
func (r *reader) ReadRune() (rune, int, error) {
	if r.read >= len(r.text) {
		return 0, 0, io.EOF
	}
	if b := r.text[r.read]; b < utf8.RuneSelf {
		r.read++
		return rune(b), 1, nil
	}
	c, n := utf8.DecodeRune(r.text[r.read:])
	r.read += n
	return c, n, nil
}

// at tries a pattern at one place.
func (s *search) at(r *rule, start, to int) {
	if s.work--; s.work < 0 || !r.shape.fits(s.text[start:to]) || r.assigns && !s.assigned(start) {
		return
	}
	from := start - 1 // a byte, which may be the end of a longer character
	s.reader = reader{text: s.text[from:to]}
	m := r.pattern.compiled().FindReaderSubmatchIndex(&s.reader)
	s.work -= costAt * s.reader.read
	if m == nil {
		return
	}
	m[0] = start - from // the character before it is no part of the match
	if r.led {
		for n := 0; n < 50 && m[0]+from > 0 && leads(s.text[m[0]+from-1]); n++ {
			m[0]--
		}
	}
	s.judge(r, m, from)
}

// leads reports whether lead matches a byte.
func leads(b byte) bool {
	return b == '_' || b == '.' || b == '-' || b >= '0' && b <= '9' || b >= 'A' && b <= 'Z' || b >= 'a' && b <= 'z'
}

// assigned reports whether a value may be assigned to the name that begins at start.
// All patterns that lead was cut from want, behind the keyword, a few more letters
// of the name, spaces and quotes, an operator, more of those, and a value of at least
// eight characters. Mostly there is none, and then the pattern need not be tried.
func (s *search) assigned(start int) bool {
	i, stop := start, min(len(s.text), start+64)
	for i < stop && kindOf[s.text[i]]&(named|quote) != 0 {
		i++
	}
	if i == stop || kindOf[s.text[i]]&operator == 0 {
		return false
	}
	for stop = min(len(s.text), i+16); i < stop && kindOf[s.text[i]]&(operator|quote) != 0; {
		i++
	}
	if i+leastValue > len(s.text) {
		return false
	}
	for _, b := range s.text[i : i+leastValue] {
		if kindOf[b]&(quote|separator) != 0 {
			return false
		}
	}
	return true
}

// leastValue is how long the values are at least that such patterns want.
const leastValue = 8

// The kinds of bytes for assigned.
const (
	named     = 1 << iota // letters, digits, blanks and what else is in names
	quote                 // quotes and white space
	operator              // what assigns
	separator             // what is in no value
)

var kindOf = kindsOf()

func kindsOf() (kinds [256]uint8) {
	for b := range kinds {
		if leads(byte(b)) {
			kinds[b] |= named
		}
	}
	for k, all := range map[uint8]string{quote: "`'\" \t\n\r\f\v", operator: "=>:|?,", separator: ",;(){}[]<>"} {
		for _, b := range []byte(all) {
			kinds[b] |= k
		}
	}
	return kinds
}
