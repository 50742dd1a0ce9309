package jsonrpc

import (
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Text returns the string value at s unquoted, and "" if s is absent or is not
// a string.
func Text(raw []byte, s Span) string {
	b := s.Of(raw)
	if len(b) < 2 || b[0] != '"' {
		return ""
	}
	if plain(b[1 : len(b)-1]) {
		return string(b[1 : len(b)-1])
	}
	out, err := jsontext.AppendUnquote(nil, b)
	if err != nil {
		return ""
	}
	return string(out)
}

// plain reports whether the inside of a JSON string stands for itself.
func plain(b []byte) bool {
	for _, c := range b {
		if c == '\\' || c < 0x20 {
			return false
		}
	}
	return true
}

const hex = "0123456789abcdef"

// AppendString appends s as a JSON string. Bytes that are not UTF-8 become
// U+FFFD.
func AppendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		case c == '\t':
			dst = append(dst, '\\', 't')
		case c < 0x20 || c == 0x7f:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		case c < utf8.RuneSelf:
			dst = append(dst, c)
		default:
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				dst = append(dst, "\ufffd"...)
			} else {
				dst = append(dst, s[i:i+n]...)
			}
			i += n
			continue
		}
		i++
	}
	return append(dst, '"')
}
