// Package unseen knows the characters that a reader does not see, or that make
// one see something else than there is: controls, format characters, tags, private
// and unassigned ones, blanks that are not the space.
//
// It holds no state and is about showing text to people. What may stand in a text is
// not decided here: an emoji family and Persian need some of these characters.
package unseen

import (
	"unicode"
	"unicode/utf8"
)

// Is reports whether nobody sees r for what it is.
func Is(r rune) bool {
	switch {
	case r < 0x20 || r == 0x7f:
		return true
	case r < 0x7f:
		return false
	case r == utf8.RuneError, r == 0x2800: // a blank pattern of Braille
		return true
	case unicode.Is(unicode.Prepended_Concatenation_Mark, r):
		return false // a format character with a shape
	}
	return unicode.In(r, unicode.Cf, unicode.Z, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point) ||
		!unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.P, unicode.S)
}

const hex = "0123456789abcdef"

// Append appends text to dst with each character that Is as an escape of JSON, \u
// and four digits, or two of these. Line breaks and tabs are among them. Inside of a
// JSON string the result says the same as before. Bytes that are not UTF-8 become
// \ufffd.
func Append[T []byte | string](dst []byte, text T) []byte {
	for i := 0; i < len(text); {
		if c := text[i]; c >= 0x20 && c < 0x7f {
			dst = append(dst, c)
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(string(text[i:min(i+utf8.UTFMax, len(text))]))
		if Is(r) {
			dst = appendEscape(dst, r)
		} else {
			dst = append(dst, text[i:i+n]...)
		}
		i += n
	}
	return dst
}

// Escape is Append to nothing.
func Escape(text string) string { return string(Append(nil, text)) }

func appendEscape(dst []byte, r rune) []byte {
	if r >= 0x10000 {
		r -= 0x10000
		dst = appendEscape(dst, 0xd800+r>>10)
		r = 0xdc00 + r&0x3ff
	}
	return append(dst, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
}
