package upstream

import (
	"bytes"
	"sync"
)

// tailSize is how much of a child's stderr is kept.
const tailSize = 64 << 10

// Tail keeps the last 64 KiB of what an upstream wrote on stderr. It is safe
// for concurrent use, and its Write never fails or blocks.
type Tail struct {
	mu  sync.Mutex // guards buf
	buf []byte
}

// Write adds p, dropping what is oldest.
func (t *Tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(p)
	p = p[max(n-tailSize, 0):]
	// What is dropped is dropped in large pieces, so that a flood of short lines
	// does not move the whole tail for each.
	if len(t.buf)+len(p) > 2*tailSize {
		keep := tailSize - len(p)
		t.buf = append(t.buf[:0], t.buf[len(t.buf)-keep:]...)
	}
	t.buf = append(t.buf, p...)
	return n, nil
}

// Lines returns the last n lines, oldest first, with what is not UTF-8 or
// not printable replaced.
func (t *Tail) Lines(n int) []string {
	t.mu.Lock()
	text := bytes.ToValidUTF8(t.buf[max(len(t.buf)-tailSize, 0):], []byte("\ufffd"))
	t.mu.Unlock()
	lines := bytes.Split(bytes.TrimRight(text, "\r\n"), []byte("\n"))
	lines = lines[max(len(lines)-n, 0):]
	var out []string
	for _, l := range lines {
		l = bytes.TrimRight(l, "\r")
		if len(l) > 0 {
			out = append(out, printable(l))
		}
	}
	return out
}

// printable replaces control characters, so that a line of a child cannot move
// the cursor of whoever reads it.
func printable(l []byte) string {
	return string(bytes.Map(func(r rune) rune {
		if r != '\t' && (r < 0x20 || r >= 0x7f && r < 0xa0) {
			return '\ufffd'
		}
		return r
	}, l[:min(len(l), 2000)]))
}
