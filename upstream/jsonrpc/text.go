package jsonrpc

import (
	"bytes"
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Text returns the string value at s unquoted, and "" if s is absent or is not
// a string. What is no text in it, such as half a surrogate pair, becomes
// U+FFFD.
func Text(raw []byte, s Span) string {
	b := s.Of(raw)
	if len(b) < 2 || b[0] != '"' {
		return ""
	}
	if inner := b[1 : len(b)-1]; plain(inner) {
		return string(inner)
	}
	out, _ := jsontext.AppendUnquote(nil, b) // replaces what it complains of
	return string(out)
}

// plain reports whether the inside of a JSON string stands for itself.
func plain(b []byte) bool {
	return bytes.IndexByte(b, '\\') < 0 && utf8.Valid(b)
}

const hex = "0123456789abcdef"

// AppendString appends s as a JSON string. Bytes that are not UTF-8 become
// U+FFFD.
func AppendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	from := 0 // of what has not been appended yet
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				dst = append(append(dst, s[from:i]...), "\ufffd"...)
				from = i + 1
			}
			i += n
			continue
		}
		if c >= 0x20 && c != '"' && c != '\\' && c != 0x7f {
			i++
			continue
		}
		dst = append(dst, s[from:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		i++
		from = i
	}
	return append(append(dst, s[from:]...), '"')
}

// quoted names a key, given with its quotes, in an error: in ASCII, so that it
// does nothing to a terminal, and no more than its first 64 bytes.
func quoted(key []byte) string {
	t := Text(key, Between(0, len(key)))
	if len(t) > 64 {
		t = t[:64] + "..."
	}
	return strconv.QuoteToASCII(t)
}
