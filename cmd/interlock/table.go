package main

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// cell is a text and how to paint it, nil for plain.
type cell struct {
	text  string
	paint func(string) string
}

func plain(text string) cell { return cell{text: text} }

// table writes rows below a header in columns as wide as needed. On a terminal
// the last column is cut to its width; piped, nothing is cut.
func (s *screen) table(header []string, rows [][]cell) {
	widths := make([]int, len(header))
	for i, h := range header {
		widths[i] = len(h)
	}
	for _, row := range rows {
		for i, c := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(c.text))
		}
	}
	var b strings.Builder
	head := make([]cell, len(header))
	for i, h := range header {
		head[i] = cell{h, s.faint}
	}
	for _, row := range append([][]cell{head}, rows...) {
		left := s.width
		for i, c := range row {
			text, last := printable(c.text), i == len(row)-1
			if last && s.width > 0 {
				text = cut(text, max(left, 20))
			}
			painted := text
			if c.paint != nil {
				painted = c.paint(text)
			}
			b.WriteString(painted)
			if !last {
				b.WriteString(strings.Repeat(" ", widths[i]+2-utf8.RuneCountInString(text)))
				left -= widths[i] + 2
			}
		}
		line := strings.TrimRight(b.String(), " ")
		b.Reset()
		s.printf("%s\n", line)
	}
}

// cut shortens text to n characters, the last of which then is an ellipsis.
func cut(text string, n int) string {
	if utf8.RuneCountInString(text) <= n {
		return text
	}
	return string([]rune(text)[:n-1]) + "…"
}

// printable puts text on one line and takes from it what a terminal would obey:
// it comes from servers that nobody here has read.
func printable(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case r < ' ' || r >= 0x7f && r < 0xa0 || r == utf8.RuneError || unicode.Is(unicode.Bidi_Control, r):
			return '?'
		}
		return r
	}, text)
	return strings.Join(strings.Fields(text), " ")
}

// sentence is the beginning of a description that says what it is about.
func sentence(text string) string {
	text = printable(text)
	if i := strings.Index(text, ". "); i > 0 {
		return text[:i+1]
	}
	return text
}
