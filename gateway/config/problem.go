package config

import (
	"cmp"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Problem is a fault, or a warning, and its place.
type Problem struct {
	// File is the name of the file as the user gave it, or of the environment
	// variable, "" for neither. Line and Col count from 1; 0 is the file as a whole.
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
	Col  int    `json:"col,omitempty"`
	// Key is the path of the key, e.g. upstreams.files.restart.delay; "" for none.
	Key string `json:"key,omitempty"`
	// Text says what is wrong, Mend how to mend it ("" if that is plain).
	Text string `json:"text"`
	Mend string `json:"mend,omitempty"`

	source string // the line, without its secrets
	caret  int    // characters before the place
}

// Place is file:line:col, as far as that is known.
func (p Problem) Place() string {
	if p.File == "" || p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
}

// String returns the problem in one line: file:line:col: text (mend).
func (p Problem) String() string {
	var b strings.Builder
	if at := p.Place(); at != "" {
		b.WriteString(at + ": ")
	}
	b.WriteString(p.Text)
	if p.Mend != "" {
		b.WriteString(" (" + p.Mend + ")")
	}
	return b.String()
}

// Render writes the problem with the line it is in and a caret below its place.
func (p Problem) Render(w io.Writer, colour bool) {
	head, mark, off := "", "", ""
	if colour {
		head, mark, off = "\x1b[1m", "\x1b[31m", "\x1b[0m"
	}
	fmt.Fprintf(w, "%s%s%s\n", head, p, off)
	if p.source == "" {
		return
	}
	line, caret := window(p.source, p.caret)
	// Tabs are kept so that the caret is below its place however wide they are.
	pad := strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, string(line[:caret]))
	fmt.Fprintf(w, "    %s\n    %s%s^%s\n", string(line), pad, mark, off)
}

// window cuts a long line to what is around the caret.
func window(s string, caret int) ([]rune, int) {
	const width = 120
	line := []rune(s)
	caret = min(caret, len(line))
	if start := caret - width*2/3; start > 0 {
		line, caret = line[start:], caret-start
	}
	return line[:min(len(line), width)], caret
}

// Errors is all that is wrong with a configuration, sorted by place.
type Errors struct{ Problems []Problem }

// Error returns all problems, one a line.
func (e *Errors) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Render writes each problem with its line and a caret.
func (e *Errors) Render(w io.Writer, colour bool) {
	for _, p := range e.Problems {
		p.Render(w, colour)
	}
}

// problems collects while a configuration is read.
type problems struct {
	errors, warnings []found
}

type found struct {
	at pos
	Problem
}

func (p *problems) add(at pos, key, what, mend string) {
	p.errors = append(p.errors, found{at, Problem{Key: key, Text: what, Mend: mend}})
}

func (p *problems) warn(at pos, key, what, mend string) {
	p.warnings = append(p.warnings, found{at, Problem{Key: key, Text: what, Mend: mend}})
}

func (p *problems) duplicate(at pos, key string, first pos) {
	where := ""
	if first.src == at.src {
		where = fmt.Sprintf("it is first at line %d", first.line)
	} else if first.src != nil {
		where = fmt.Sprintf("it is first at %s:%d", first.src.name, first.line)
	}
	p.add(at, key, "duplicate key "+quote(key), where)
}

// sorted returns what was found in the order of the sources and their lines,
// without repetitions.
func sorted(list []found, sources []*source) []Problem {
	rank := func(s *source) int {
		if i := slices.Index(sources, s); i >= 0 {
			return i
		}
		return len(sources)
	}
	slices.SortStableFunc(list, func(a, b found) int {
		return cmp.Or(cmp.Compare(rank(a.at.src), rank(b.at.src)), cmp.Compare(a.at.line, b.at.line), cmp.Compare(a.at.col, b.at.col))
	})
	var out []Problem
	seen := map[string]bool{}
	for _, f := range list {
		q := f.Problem
		if s := f.at.src; s != nil {
			q.File, q.Line, q.Col = s.name, f.at.line, f.at.col
			q.source, q.caret = s.line(f.at)
		}
		if line := q.String(); !seen[line] {
			seen[line] = true
			out = append(out, q)
		}
	}
	return out
}

// secretKey matches the names of keys and flags whose values are secrets.
var secretKey = regexp.MustCompile(`(?i)(token|secret|passw|authorization|credential|cookie|api[-_]?key|access[-_]?key|private[-_]?key|bearer)`)

// secretPair matches such a name with its value in a line that was never parsed.
var secretPair = regexp.MustCompile(`(?i)((?:token|secret|passw|authorization|credential|cookie|api[-_]?key|access[-_]?key|private[-_]?key)[-\w]*["']?\s*[:=]\s*)([^\s{\[][^,\]]*)`)

// line returns the line of a place without its secrets, and how many characters
// of it come before the place.
func (s *source) line(at pos) (string, int) {
	if at.line < 1 {
		return "", 0
	}
	lines := strings.Split(string(s.data), "\n")
	if at.line > len(lines) {
		return "", 0
	}
	line := []rune(strings.TrimRight(lines[at.line-1], "\r"))
	at.col = min(at.col, len(line)+1)
	before, after := string(line[:at.col-1]), string(line[at.col-1:])
	for _, h := range s.hidden {
		before, after = strings.ReplaceAll(before, h, "***"), strings.ReplaceAll(after, h, "***")
	}
	whole := secretPair.ReplaceAllStringFunc(before+after, func(pair string) string {
		m := secretPair.FindStringSubmatch(pair)
		if strings.Contains(m[2], "$") || strings.HasPrefix(m[2], "***") || strings.HasPrefix(m[2], `"***`) {
			return pair
		}
		return m[1] + "***"
	})
	return clean(whole), min(utf8.RuneCountInString(before), utf8.RuneCountInString(whole))
}

// clean replaces what a terminal would obey.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && (r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0) {
			return '?'
		}
		return r
	}, s)
}
