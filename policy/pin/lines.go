package pin

import (
	"bytes"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/interlock-mcp/interlock/policy/unseen"
)

// Line is a line of a comparison.
type Line struct {
	// Op is "-" for what was approved, "+" for what is offered, " " for what both have,
	// and "…" where lines are left out that both have.
	Op   string
	Text string
}

const (
	beside   = 3       // lines shown around a change
	maxCells = 4 << 20 // of the table that a comparison takes
)

// Lines compares two definitions line by line, of which one may be nil. Members are in
// the order of their names, a text is broken at its line breaks, and what nobody sees is
// written as an escape.
func Lines(before, after []byte) []Line {
	a, b := shown(before), shown(after)
	head := 0
	for head < len(a) && head < len(b) && a[head] == b[head] {
		head++
	}
	tail := 0
	for tail < len(a)-head && tail < len(b)-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	var all []Line
	for _, l := range a[:head] {
		all = append(all, Line{" ", l})
	}
	all = append(all, between(a[head:len(a)-tail], b[head:len(b)-tail])...)
	for _, l := range a[len(a)-tail:] {
		all = append(all, Line{" ", l})
	}
	return folded(all)
}

// shown are the lines of a definition for a comparison.
func shown(raw []byte) []string {
	if raw == nil {
		return nil
	}
	v := jsontext.Value(bytes.Clone(raw))
	if v.Canonicalize(jsontext.CanonicalizeRawInts(false)) != nil ||
		v.Indent(jsontext.WithIndent("  ")) != nil {
		v = raw
	}
	var out []string
	for line := range bytes.SplitSeq(v, []byte("\n")) {
		// A long text is easier to compare by its own lines.
		margin := line[:len(line)-len(bytes.TrimLeft(line, " "))]
		for i, part := range broken(line) {
			text := unseen.Append(nil, part)
			if i > 0 {
				text = append(append(bytes.Clone(margin), "    "...), text...)
			}
			out = append(out, string(text))
		}
	}
	return out
}

// broken splits a line of JSON behind each \n of its texts.
func broken(line []byte) [][]byte {
	var parts [][]byte
	from := 0
	for i := 0; i+1 < len(line); i++ {
		if line[i] != '\\' {
			continue
		}
		i++ // what is escaped escapes nothing
		if line[i] == 'n' && i+2 < len(line) {
			parts = append(parts, line[from:i+1])
			from = i + 1
		}
	}
	return append(parts, line[from:])
}

// between compares what has nothing in common at its ends: by the longest common
// subsequence, or as a whole where that takes too much.
func between(a, b []string) []Line {
	var out []Line
	all := func(op string, lines []string) {
		for _, l := range lines {
			out = append(out, Line{op, l})
		}
	}
	if len(a) == 0 || len(b) == 0 || len(a) > maxCells/len(b) {
		all("-", a)
		all("+", b)
		return out
	}
	w := len(b) + 1
	long := make([]int32, (len(a)+1)*w) // of the common subsequence of a[i:] and b[j:]
	for i := range slices.Backward(a) {
		for j := range slices.Backward(b) {
			if a[i] == b[j] {
				long[i*w+j] = long[(i+1)*w+j+1] + 1
			} else {
				long[i*w+j] = max(long[(i+1)*w+j], long[i*w+j+1])
			}
		}
	}
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		switch {
		case a[i] == b[j]:
			all(" ", a[i:i+1])
			i++
			j++
		case long[(i+1)*w+j] >= long[i*w+j+1]:
			all("-", a[i:i+1])
			i++
		default:
			all("+", b[j:j+1])
			j++
		}
	}
	all("-", a[i:])
	all("+", b[j:])
	return out
}

// folded leaves out what is far from a change.
func folded(all []Line) []Line {
	near := make([]bool, len(all))
	for i, l := range all {
		if l.Op != " " {
			for n := max(i-beside, 0); n < min(i+beside+1, len(all)); n++ {
				near[n] = true
			}
		}
	}
	var out []Line
	for i, l := range all {
		switch {
		case near[i]:
			out = append(out, l)
		case i == 0 || near[i-1]:
			out = append(out, Line{"…", strings.Repeat(" ", len(l.Text)-len(strings.TrimLeft(l.Text, " "))) + "…"})
		}
	}
	return out
}
