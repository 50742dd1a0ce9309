package config

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// inside returns the place of a character of a text, both counted from 1. In the
// source the text may be quoted, escaped, folded and indented: both have the same
// characters but for white space, and that is how it is found. What is not found,
// such as a text out of a variable, stands where the whole does.
func (n *node) inside(line, column int) pos {
	if n.expanded || n.at.src == nil || n.at.line == 0 {
		return n.at
	}
	source := string(n.at.src.data)
	i := n.at.src.byteAt(n.at)
	style := byte(0)
	switch rest := source[i:]; {
	case strings.HasPrefix(rest, `"""`), strings.HasPrefix(rest, "'''"):
		style, i = rest[0], i+3
	case rest != "" && (rest[0] == '"' || rest[0] == '\''):
		style, i = rest[0], i+1
	case rest != "" && (rest[0] == '|' || rest[0] == '>'):
		end := strings.IndexByte(rest, '\n')
		if end < 0 {
			return n.at
		}
		i += end
	}
	l, c := 1, 1
	for _, r := range n.text {
		if !unicode.IsSpace(r) {
			at, next := mark(source, i, style)
			if next == at || at >= len(source) || meaning(source[at:next], style) != r {
				return n.at
			}
			if l > line || l == line && c >= column {
				return n.at.src.offset(at)
			}
			i = next
		}
		if c++; r == '\n' {
			l, c = l+1, 1
		}
	}
	return n.at.src.offset(i) // behind its end
}

// mark returns where the next character of a quoted text begins and ends that is no
// white space.
func mark(source string, i int, style byte) (at, next int) {
	for i < len(source) {
		r, size := utf8.DecodeRuneInString(source[i:])
		next = i + size
		switch {
		case r == '\\' && style == '"':
			next = min(i+escaped(source[i:]), len(source))
		case r == '\'' && style == '\'':
			next = min(i+2, len(source)) // there is another one behind it
		}
		if !unicode.IsSpace(meaning(source[i:next], style)) {
			return i, next
		}
		i = next
	}
	return i, i
}

// escaped is the length of the escape that s begins with.
func escaped(s string) int {
	if len(s) < 2 {
		return len(s)
	}
	switch s[1] {
	case 'x':
		return 4
	case 'u':
		return 6
	case 'U':
		return 10
	}
	return 2
}

// meaning is the character that s stands for.
func meaning(s string, style byte) rune {
	r, _ := utf8.DecodeRuneInString(s)
	if r != '\\' || style != '"' || len(s) < 2 {
		return r
	}
	switch s[1] {
	case 'x', 'u', 'U':
		n, err := strconv.ParseInt(s[2:], 16, 32)
		if err != nil {
			return utf8.RuneError
		}
		return rune(n)
	case 'n', 't', 'r', 'f', 'v', 'N', 'L', 'P', '_', '\n', '\r':
		return ' '
	}
	return rune(s[1])
}
