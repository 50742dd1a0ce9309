package plugin

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"strings"
	"sync"

	"golang.org/x/time/rate"
)

const (
	// maxLine is how much of a line is logged, in bytes.
	maxLine = 2000
	// linesBurst is how many lines are logged at once, linesRate how many in a second
	// for long. Others are counted.
	linesBurst, linesRate = 200, 10
)

// lines logs what a plugin writes, line by line. Its Write never fails or blocks for
// long, and keeps no more than one line and the last few for an error.
type lines struct {
	log *slog.Logger

	mu      sync.Mutex // guards the rest
	limit   *rate.Limiter
	line    []byte // the beginning of what is not ended yet, at most maxLine
	cut     int    // how much of it was left out
	dropped int    // lines since the last that was logged
	last    []string
}

func newLines(log *slog.Logger) *lines {
	return &lines{log: log, limit: rate.NewLimiter(linesRate, linesBurst)}
}

func (l *lines) Write(p []byte) (int, error) {
	n := len(p)
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		i := bytes.IndexByte(p, '\n')
		part := p
		if i >= 0 {
			part = p[:i]
		}
		fits := min(len(part), maxLine-len(l.line))
		l.line = append(l.line, part[:fits]...)
		l.cut += len(part) - fits
		if i < 0 {
			return n, nil
		}
		l.end()
		p = p[i+1:]
	}
}

// drain logs all that r has, up to its end.
func (l *lines) drain(r io.Reader) {
	_, _ = io.Copy(l, r)
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.line) > 0 {
		l.end()
	}
}

// end logs the line. l.mu is held.
func (l *lines) end() {
	line, cut := bytes.TrimRight(l.line, "\r"), l.cut
	l.line, l.cut = l.line[:0], 0
	if len(line) == 0 {
		return
	}
	if !l.limit.Allow() {
		l.dropped++
		return
	}
	text := printable(line)
	if l.last = append(l.last, text); len(l.last) > 3 {
		l.last = l.last[1:]
	}
	attrs := []slog.Attr{slog.String("line", text)}
	if cut > 0 {
		attrs = append(attrs, slog.Int("bytes_left_out", cut))
	}
	if l.dropped > 0 {
		attrs = append(attrs, slog.Int("lines_left_out", l.dropped))
		l.dropped = 0
	}
	l.log.LogAttrs(context.Background(), levelOf(line), "plugin says", attrs...)
}

// tail is the last that was said, in one line, "" for nothing.
func (l *lines) tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.last, " / ")
}

// levelOf is the level that a line says it has, if it is JSON as hclog and slog
// write it, else info.
func levelOf(line []byte) slog.Level {
	if line[0] != '{' {
		return slog.LevelInfo
	}
	var said struct {
		Level any `json:"level"`
		Hclog any `json:"@level"`
	}
	if json.Unmarshal(line, &said) != nil {
		return slog.LevelInfo
	}
	for _, v := range []any{said.Level, said.Hclog} {
		switch text, _ := v.(string); strings.ToLower(text) {
		case "trace", "debug":
			return slog.LevelDebug
		case "warn", "warning":
			return slog.LevelWarn
		case "error", "fatal":
			return slog.LevelError
		}
	}
	return slog.LevelInfo
}

// printable replaces what is not UTF-8 and control characters, so that what a
// plugin writes cannot move the cursor of whoever reads it.
func printable(b []byte) string {
	return string(bytes.Map(func(r rune) rune {
		if r != '\t' && (r < 0x20 || r >= 0x7f && r < 0xa0) {
			return '\ufffd'
		}
		return r
	}, bytes.ToValidUTF8(b, []byte("\ufffd"))))
}
