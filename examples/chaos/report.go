package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// row is what came of one fault.
type row struct {
	Fault    string
	Injected int
	Calls    int
	OK       int
	Refused  int
	Unknown  int
	Quit     int // the client itself gave up
	Lost     int
	Doubled  int
	Crossed  int
	Worst    time.Duration // the longest wait for an answer
	// Figure is what was measured, Bar what was promised; Missed says that the one
	// is beyond the other. Both are empty where only outcomes are promised.
	Figure, Bar string
	Missed      bool
}

// show writes rows as a table with their sum.
func show(w io.Writer, rows []*row) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "fault\tinjected\tcalls\tok\trefused\tunknown\tquit\tlost\tdoubled\tcrossed\tworst\tfigure\tbar\t")
	sum := &row{Fault: "all"}
	for _, r := range append(rows, sum) {
		name, worst := r.Fault, "-"
		if name == "" {
			name = "none"
		}
		if r.Worst > 0 {
			worst = r.Worst.Round(time.Millisecond).String()
		}
		if r != sum {
			sum.Injected += r.Injected
			sum.Calls += r.Calls
			sum.OK += r.OK
			sum.Refused += r.Refused
			sum.Unknown += r.Unknown
			sum.Quit += r.Quit
			sum.Lost += r.Lost
			sum.Doubled += r.Doubled
			sum.Crossed += r.Crossed
			sum.Worst = max(sum.Worst, r.Worst)
		}
		figure := r.Figure
		if r.Missed {
			figure += " MISSED"
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t%s\t%s\t\n", name, r.Injected, r.Calls, r.OK, r.Refused, r.Unknown,
			r.Quit, r.Lost, r.Doubled, r.Crossed, worst, figure, r.Bar)
	}
	_ = t.Flush()
}

// bar is a row for a figure that must not be beyond a bar.
func bar(name string, calls int, got, most time.Duration) *row {
	return &row{Fault: name, Calls: calls, Figure: got.Round(time.Microsecond).String(), Bar: most.Round(time.Microsecond).String(), Missed: got > most}
}

// missed is an error that names the bars that were missed, nil if there is none.
func missed(rows []*row) error {
	var all []string
	for _, r := range rows {
		if r.Missed {
			all = append(all, fmt.Sprintf("%s: %s, the bar is %s", r.Fault, r.Figure, r.Bar))
		}
	}
	if all == nil {
		return nil
	}
	return errors.New("missed: " + strings.Join(all, "; "))
}
