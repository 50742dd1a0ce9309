package main

import (
	"fmt"
	"strings"
)

// diagnosis writes what was found, the worst first.
func (s *screen) diagnosis(told *diagnosis) {
	if len(told.Files) > 0 {
		s.printf("%s  %s\n", s.faint("configuration"), strings.Join(told.Files, ", "))
	}
	gateway := told.Gateway
	if gateway == "" {
		gateway = "none runs"
	}
	s.printf("%s        %s\n", s.faint("gateway"), gateway)
	s.trials(told.Starts)
	count := map[severity]int{}
	for _, level := range []severity{isError, isWarning, isNote} {
		for _, f := range told.Findings {
			if f.Severity == level && f.Code != "era" { // the table of the starts has it
				count[level]++
				s.finding(f)
			}
		}
	}
	text := fmt.Sprintf("%s, %s", plural(count[isError], "error"), plural(count[isWarning], "warning"))
	paint := s.green
	if count[isError] > 0 {
		paint = s.red
	} else if count[isWarning] > 0 {
		paint = s.yellow
	}
	s.printf("\n%s\n", paint(text))
}

func plural(n int, word string) string {
	if n == 0 {
		return "no " + word + "s"
	}
	return count(n, word)
}

// finding writes one.
func (s *screen) finding(f finding) {
	paint := map[severity]func(string) string{isError: s.red, isWarning: s.yellow, isNote: s.cyan}[f.Severity]
	text := f.Text
	if f.At != "" {
		text = f.At + ": " + text
	}
	if f.Upstream != "" {
		text = f.Upstream + ": " + text
	}
	s.printf("\n%s %s\n", paint(string(f.Severity)), s.bold(f.Code))
	for _, line := range wrapped(text, s.width-2) {
		s.printf("  %s\n", line)
	}
	for _, line := range f.Stderr {
		s.printf("  | %s\n", s.faint(printable(line)))
	}
	if f.Mend != "" {
		for n, line := range wrapped(f.Mend, s.width-6) {
			s.printf("  %s %s\n", map[bool]string{true: "→  ", false: "   "}[n == 0], line)
		}
	}
}
