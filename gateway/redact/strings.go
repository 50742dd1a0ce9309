package redact

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// The strings of a document, on their way through a shrinker.

// text reads a string: at most n bytes of what it says, and whether that is all.
func (s *shrinker) text(n int) (text string, whole bool) {
	start := s.i
	if start >= len(s.in) || s.in[start] != '"' {
		s.done = true
		return "", false
	}
	end, ok := s.closing()
	inner := s.in[start+1 : end]
	// An escape of six bytes stands for one to three; what is cut off is cut again
	// after it was read.
	if most := 6*n + 12; len(inner) > most {
		inner, ok = inner[:most], false
	}
	if !ok {
		inner = wholeEscapes(inner)
	}
	quoted := make([]byte, 0, len(inner)+2)
	quoted = append(append(append(quoted, '"'), inner...), '"')
	text = jsonrpc.Text(quoted, jsonrpc.Between(0, len(quoted)))
	if len(text) > n {
		text, ok = cut(text, n), false
	}
	return text, ok
}

// closing moves behind the string that begins here, and returns where its closing
// quote is; false if there is none.
func (s *shrinker) closing() (at int, ok bool) {
	for i := s.i + 1; ; {
		n := bytes.IndexByte(s.in[i:], '"')
		if n < 0 {
			s.i = len(s.in)
			return len(s.in), false
		}
		i += n
		escapes := 0
		for s.in[i-1-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			s.i = i + 1
			return i, true
		}
		i++
	}
}

// wholeEscapes leaves out an escape that is cut at the end of a string.
func wholeEscapes(inner []byte) []byte {
	at := bytes.LastIndexByte(inner, '\\')
	if at < 0 {
		return inner
	}
	escapes := 0
	for i := at; i >= 0 && inner[i] == '\\'; i-- {
		escapes++
	}
	if escapes%2 == 0 {
		return inner
	}
	if need := 2; len(inner)-at < need || inner[at+1] == 'u' && len(inner)-at < 6 {
		return inner[:at]
	}
	return inner
}

// string writes a text without what is secret in it. One that was cut says so.
func (s *shrinker) string(text string, whole bool) {
	text = maskText(text)
	if !whole {
		text = complete(text) + more
	}
	token := jsonrpc.AppendString(nil, text)
	for len(token) > s.room() && len(text) > 32 {
		text = cut(strings.TrimSuffix(text, more), len(text)/2) + more
		token = jsonrpc.AppendString(nil, text)
	}
	s.put(token)
}

// complete returns of a text that is cut what comes before a thing that is not
// complete: a key of many lines, or a token of thousands of letters.
func complete(text string) string {
	if at := strings.LastIndex(text, "-----BEGIN"); at >= 0 && !strings.Contains(text[at:], "-----END") && strings.Contains(text[at:], "PRIVATE") {
		return text[:at] + mask
	}
	if at := strings.LastIndexAny(text, " \t\r\n\"'<>,;"); len(text)-at > seen/2 {
		return text[:at+1] + mask
	}
	return text
}

// cut returns the first n bytes of a text, less what is part of a character.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}

// base64 reports whether a text is nothing else, by its first bytes.
func base64(text string) bool {
	for i := range min(len(text), 4*leastBase64) {
		switch c := text[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '+', c == '/', c == '=', c == '-', c == '_', c == '\r', c == '\n':
		default:
			return false
		}
	}
	return true
}
