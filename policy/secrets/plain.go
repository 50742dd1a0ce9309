package secrets

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// plain returns a JSON document with all escapes in it replaced by what they stand
// for, which makes it a text and no JSON any more. It is raw itself if there are
// none: escapes can only be in strings.
func plain(raw []byte) []byte {
	i := bytes.IndexByte(raw, '\\')
	if i < 0 {
		return raw
	}
	out := make([]byte, 0, len(raw))
	from := 0
	for i >= 0 {
		i += from
		out = append(out, raw[from:i]...)
		r, n := unescape(raw[i:])
		out = utf8.AppendRune(out, r)
		from = i + n
		i = bytes.IndexByte(raw[from:], '\\')
	}
	return append(out, raw[from:]...)
}

// unescape reads the escape that b begins with, and returns how long it is.
func unescape(b []byte) (rune, int) {
	if len(b) < 2 {
		return utf8.RuneError, len(b)
	}
	switch b[1] {
	case 'n':
		return '\n', 2
	case 't':
		return '\t', 2
	case 'r':
		return '\r', 2
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'u':
	default:
		return rune(b[1]), 2
	}
	r := codeUnit(b)
	if !utf16.IsSurrogate(r) {
		return r, min(6, len(b))
	}
	if len(b) >= 12 && b[6] == '\\' && b[7] == 'u' {
		if pair := utf16.DecodeRune(r, codeUnit(b[6:])); pair != utf8.RuneError {
			return pair, 12
		}
	}
	return utf8.RuneError, 6
}

// codeUnit reads \uXXXX.
func codeUnit(b []byte) rune {
	if len(b) < 6 {
		return utf8.RuneError
	}
	r := rune(0)
	for _, c := range b[2:6] {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		default:
			r = r<<4 | rune(c|0x20-'a'+10)
		}
	}
	return r
}

// raise changes the offsets of findings, which are in order and apart, from those in
// plain(raw) to those in raw.
func raise(raw []byte, found []finding) {
	if bytes.IndexByte(raw, '\\') < 0 {
		return
	}
	at, i := 0, 0 // where we are in the plain text, and in raw
	to := func(offset int) int {
		for i < len(raw) {
			if raw[i] != '\\' {
				n := bytes.IndexByte(raw[i:], '\\')
				if n < 0 {
					n = len(raw) - i
				}
				if offset < at+n {
					return i + offset - at
				}
				at, i = at+n, i+n
				continue
			}
			r, n := unescape(raw[i:])
			size := utf8.RuneLen(r)
			if offset < at+size { // no pattern ends within a character
				return i
			}
			at, i = at+size, i+n
		}
		return len(raw)
	}
	for f := range found {
		found[f].start = to(found[f].start)
		found[f].end = to(found[f].end)
	}
}
