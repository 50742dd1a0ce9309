package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
)

// screen is a stream that knows whether a person looks at it. It is safe for
// concurrent use.
type screen struct {
	terminal bool
	moves    bool // it obeys a cursor that goes back
	colour   bool
	width    int // in columns, 0 for unknown or endless

	mu sync.Mutex // guards w: lines stay whole
	w  io.Writer
}

func newScreen(w io.Writer) *screen {
	s := &screen{w: w}
	f, ok := w.(*os.File)
	if !ok {
		return s
	}
	info, err := f.Stat()
	s.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0 && f.Name() != os.DevNull
	if s.terminal {
		s.width = columns(f)
	}
	// An old Windows console shows the codes themselves.
	s.moves = s.terminal && os.Getenv("TERM") != "dumb" &&
		(runtime.GOOS != "windows" || os.Getenv("WT_SESSION") != "" || os.Getenv("TERM") != "")
	s.colour = s.moves && os.Getenv("NO_COLOR") == "" // https://no-color.org
	return s
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(p)
}

// printf writes all at once. That a stream is gone is nobody's business but the
// reader's.
func (s *screen) printf(format string, args ...any) {
	_, _ = s.Write(fmt.Appendf(nil, format, args...))
}

func (s *screen) paint(code, text string) string {
	if !s.colour || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (s *screen) bold(text string) string   { return s.paint("1", text) }
func (s *screen) faint(text string) string  { return s.paint("2", text) }
func (s *screen) red(text string) string    { return s.paint("31", text) }
func (s *screen) green(text string) string  { return s.paint("32", text) }
func (s *screen) yellow(text string) string { return s.paint("33", text) }
func (s *screen) cyan(text string) string   { return s.paint("36", text) }

// nameColour is one of a few colours, the same for the same n.
func (s *screen) nameColour(n int) func(string) string {
	codes := []string{"36", "33", "32", "35", "34", "96", "93", "92", "95", "94"}
	return func(text string) string { return s.paint(codes[max(n, 0)%len(codes)], text) }
}

// pad fills text up to n columns.
func pad(text string, n int) string {
	return text + strings.Repeat(" ", max(n-cells(text), 0))
}
