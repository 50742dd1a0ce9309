// Package demo holds the small MCP servers behind `interlock demo`, and the
// client that shows them.
//
// They are real servers, spoken to over stdin and stdout, and use nothing but
// the standard library: clock tells the time, notes keeps notes (tools,
// resources with subscriptions, a prompt with completion), and report is slow,
// shows its progress and asks before it publishes. report reads the notes that
// notes keeps, and so depends on it.
//
// Serve blocks until its input ends and leaves no goroutine behind. The
// protocol revisions are 2024-11-05 to 2025-11-25.
package demo

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// Names returns the servers' names in the order in which they depend on each
// other.
func Names() []string { return []string{"clock", "notes", "report"} }

// Serve runs the named server on in and out until in ends. notesFile is where
// notes keeps its notes and report reads them.
func Serve(name, notesFile string, in io.Reader, out io.Writer) error {
	switch name {
	case "clock":
		return serve(clock(), in, out)
	case "notes":
		s, err := notes(notesFile)
		if err != nil {
			return err
		}
		return serve(s, in, out)
	case "report":
		return serve(report(notesFile), in, out)
	}
	return fmt.Errorf("no demo server is named %q: there are %s", name, strings.Join(slices.Sorted(slices.Values(Names())), ", "))
}
