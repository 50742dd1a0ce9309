package main

import (
	"fmt"
	"io"
	"math"
	"strings"
	"unicode/utf8"
)

// writeTable prints a table for each case: a line for each way with the median
// and, as ±, half of the spread; below it the ratio to the floor with its lowest
// and highest.
func (r *report) writeTable(w io.Writer) error {
	fmt.Fprintf(w, "%s, %d CPUs, %s, median of %d, slices of %s. CPU, memory and allocations are those of the process in the middle alone.\n",
		r.When.Format("2006-01-02 15:04 MST"), r.CPUs, r.Go, r.Rounds, r.Slice)
	for from := 0; from < len(r.Rows); {
		to := from
		for to < len(r.Rows) && r.Rows[to].Case == r.Rows[from].Case {
			to++
		}
		first := r.Rows[from]
		fmt.Fprintf(w, "\n%s (%s, %s)\n", first.Title, first.Upstream, first.Era)
		writeColumns(w, cells(r.Rows[from:to]))
		from = to
	}
	return r.writeBars(w)
}

// cells are the lines of one case's table.
func cells(rows []*row) [][]string {
	head := []string{""}
	lines := make([][]string, 0, 2*len(rows))
	for _, r := range rows {
		lines = append(lines, []string{r.Way})
		if r.Floor != "" {
			lines = append(lines, []string{"  × " + r.Floor})
		}
	}
	for _, m := range metrics {
		used := false
		for _, r := range rows {
			used = used || r.Figures[m.name] != nil
		}
		if !used {
			continue
		}
		head = append(head, m.head)
		i := 0
		for _, r := range rows {
			f := r.Figures[m.name]
			lines[i] = append(lines[i], f.text(m.digits))
			i++
			if r.Floor != "" {
				lines[i] = append(lines[i], f.ratio())
				i++
			}
		}
	}
	return append([][]string{head}, lines...)
}

func (f *figure) text(digits int) string {
	if f == nil {
		return ""
	}
	if f.Median == 0 || len(f.values) == 1 {
		return fmt.Sprintf("%.*f", digits, f.Median)
	}
	return fmt.Sprintf("%.*f ±%.0f%%", digits, f.Median, 50*(f.High-f.Low)/math.Abs(f.Median))
}

func (f *figure) ratio() string {
	if f == nil || f.Ratio == nil {
		return ""
	}
	return fmt.Sprintf("%.2f (%.2f-%.2f)", f.Ratio.Median, f.Ratio.Low, f.Ratio.High)
}

// writeColumns prints lines of cells: the first column to the left, the others
// to the right.
func writeColumns(w io.Writer, lines [][]string) {
	wide := make([]int, len(lines[0]))
	for _, l := range lines {
		for i, c := range l {
			wide[i] = max(wide[i], utf8.RuneCountInString(c))
		}
	}
	for _, l := range lines {
		var b strings.Builder
		for i, c := range l {
			pad := strings.Repeat(" ", wide[i]-utf8.RuneCountInString(c))
			if i == 0 {
				b.WriteString(c + pad)
			} else {
				b.WriteString("  " + pad + c)
			}
		}
		fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	}
}
