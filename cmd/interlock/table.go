package main

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/width"
)

// cell is a text and how to paint it, nil for plain.
type cell struct {
	text  string
	paint func(string) string
}

func plain(text string) cell { return cell{text: text} }

// column is the head of a column, and how it gives way where a terminal is too
// narrow for all.
type column struct {
	head string
	// least is the width down to which the column may be cut, 0 for not at all.
	least int
	// drop is 0 for a column that is always there; of the others the one with the
	// highest goes first.
	drop int
}

// gap is what is between two columns.
const gap = 2

// table writes rows below their heads in columns as wide as needed. On a
// terminal the whole fits its width: columns are cut first, then dropped. Piped,
// nothing is.
func (s *screen) table(columns []column, rows [][]cell) {
	natural := make([]int, len(columns))
	for i, c := range columns {
		natural[i] = cells(c.head)
	}
	for _, row := range rows {
		for i := range row {
			row[i].text = printable(row[i].text)
			natural[i] = max(natural[i], cells(row[i].text))
		}
	}
	shown, widths := fit(columns, natural, s.width)
	head := make([]cell, len(columns))
	for i, c := range columns {
		head[i] = cell{c.head, s.faint}
	}
	var b strings.Builder
	for _, row := range append([][]cell{head}, rows...) {
		space := 0
		for n, i := range shown {
			text := cut(row[i].text, widths[n])
			if text == "" {
				space += widths[n] + gap
				continue
			}
			b.WriteString(strings.Repeat(" ", space))
			space = widths[n] + gap - cells(text)
			if row[i].paint != nil {
				text = row[i].paint(text)
			}
			b.WriteString(text)
		}
		b.WriteByte('\n')
	}
	s.printf("%s", b.String())
}

// fit returns which columns are shown and how wide each of them is, so that they
// take at most total; a total of 0 is endless.
func fit(columns []column, natural []int, total int) (shown, widths []int) {
	for i := range columns {
		shown = append(shown, i)
	}
	if total <= 0 {
		return shown, natural
	}
	least := func(i int) int {
		if columns[i].least == 0 {
			return natural[i]
		}
		return min(natural[i], max(columns[i].least, cells(columns[i].head)))
	}
	room := func() int {
		left := total + gap
		for _, i := range shown {
			left -= least(i) + gap
		}
		return left
	}
	for room() < 0 {
		last := -1
		for n, i := range shown {
			if columns[i].drop > 0 && (last < 0 || columns[i].drop > columns[shown[last]].drop) {
				last = n
			}
		}
		if last < 0 {
			break
		}
		shown = append(shown[:last], shown[last+1:]...)
	}
	left := room()
	for _, i := range shown { // the first ones get their width back first
		w := least(i)
		more := max(min(natural[i]-w, left), 0)
		left -= more
		widths = append(widths, w+more)
	}
	for ; left < 0; left++ { // nothing may be dropped, and it still is too wide
		widest := 0
		for n := range widths {
			if widths[n] > widths[widest] {
				widest = n
			}
		}
		widths[widest] = max(widths[widest]-1, 1)
	}
	return shown, widths
}

// cells is the width of a text on a terminal: East Asian characters and most
// symbols of feeling take two, combining marks none.
func cells(text string) int {
	n := 0
	for _, r := range text {
		n += runeCells(r)
	}
	return n
}

func runeCells(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// cut shortens text to n columns, the last of which then is an ellipsis.
func cut(text string, n int) string {
	if cells(text) <= n {
		return text
	}
	n--
	for i, r := range text {
		if n -= runeCells(r); n < 0 {
			return text[:i] + "…"
		}
	}
	return text
}

// printable puts text on one line and takes from it what a terminal would obey:
// it comes from servers that nobody here has read.
func printable(text string) string {
	return strings.Join(strings.Fields(harmless(text)), " ")
}

// harmless takes from text what a terminal would obey, and leaves its lines.
func harmless(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r == '\r':
			return ' '
		case r < ' ' || r >= 0x7f && r < 0xa0 || r == utf8.RuneError || unicode.Is(unicode.Bidi_Control, r):
			return '?'
		}
		return r
	}, text)
}

// sentence is the beginning of a description that says what it is about.
func sentence(text string) string {
	text = printable(text)
	if i := strings.Index(text, ". "); i > 0 {
		return text[:i+1]
	}
	return text
}
