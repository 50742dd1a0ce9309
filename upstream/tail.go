package upstream

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"time"
)

const (
	// tailSize is how much of a child's stderr is kept.
	tailSize = 64 << 10
	// maxLine is how much of one line is shown, in bytes.
	maxLine = 2000
	// maxMarks is how many times are kept with the text.
	maxMarks = 1024
)

// LogLine is a line that an upstream wrote.
type LogLine struct {
	At   time.Time // within a few milliseconds, of a flood less exact
	Text string
}

// Tail keeps the last 64 KiB of what an upstream wrote on stderr. It is safe
// for concurrent use, and its Write never fails or blocks. The zero Tail is empty.
type Tail struct {
	mu    sync.Mutex // guards the rest
	ring  []byte     // the byte at offset o is ring[o%tailSize]; it grows up to that
	end   int64      // how many bytes were ever written
	marks []mark     // ascending; the first may be of what is gone
	wake  chan struct{}
}

// mark says when the text from an offset on was written.
type mark struct {
	from int64
	at   int64 // Unix ns
}

// Write adds p, dropping what is oldest.
func (t *Tail) Write(p []byte) (int, error) {
	n := len(p)
	if n == 0 {
		return 0, nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mark(time.Now().UnixNano())
	t.end += int64(n)
	p = p[max(n-tailSize, 0):]
	if room := tailSize - len(t.ring); room > 0 {
		fits := min(room, len(p))
		if n := len(t.ring) + fits; n > cap(t.ring) {
			t.ring = append(make([]byte, 0, min(max(n, 2*cap(t.ring)), tailSize)), t.ring...)
		}
		t.ring = append(t.ring, p[:fits]...)
		p = p[fits:]
	}
	at := int((t.end - int64(len(p))) % tailSize)
	copy(t.ring, p[copy(t.ring[at:], p):])
	if t.wake != nil {
		close(t.wake)
		t.wake = nil
	}
	return n, nil
}

// mark keeps when the text from here on is written. There is room for so many
// marks: when it is full those of text that is gone are dropped.
func (t *Tail) mark(now int64) {
	if n := len(t.marks); n > 0 && now-t.marks[n-1].at < int64(time.Millisecond) && now >= t.marks[n-1].at {
		return
	}
	if len(t.marks) == maxMarks {
		gone, _ := slices.BinarySearchFunc(t.marks, t.begin()+1, func(m mark, o int64) int { return int(m.from - o) })
		t.marks = slices.Delete(t.marks, 0, max(gone-1, 0))
		if len(t.marks) > maxMarks/2 {
			t.thin()
		}
	}
	if n := len(t.marks); n == cap(t.marks) { // append would make room for more than maxMarks
		t.marks = append(make([]mark, 0, min(max(2*n, 8), maxMarks)), t.marks...)
	}
	t.marks = append(t.marks, mark{t.end, now})
}

// thin drops the marks that tell least: those soon after another. Soon is twice
// the median of what lies between two, so that a quarter goes at least.
func (t *Tail) thin() {
	between := func(a, b int64) time.Duration { return time.Duration(b - a).Abs() } // also where a clock was set back
	gaps := make([]time.Duration, 0, maxMarks)
	for i, m := range t.marks[1:] {
		gaps = append(gaps, between(t.marks[i].at, m.at))
	}
	slices.Sort(gaps)
	soon := 2 * gaps[len(gaps)/2]
	last := t.marks[0].at
	rest := t.marks[:1]
	for _, m := range t.marks[1:] {
		if between(last, m.at) >= soon {
			rest = append(rest, m)
			last = m.at
		}
	}
	t.marks = rest
}

// begin returns the offset of the oldest byte that is kept.
func (t *Tail) begin() int64 { return t.end - int64(len(t.ring)) }

// text returns a copy of what is kept from an offset on.
func (t *Tail) text(from int64) []byte {
	out := make([]byte, 0, t.end-from)
	for from < t.end {
		i := int(from % tailSize)
		piece := t.ring[i:min(i+int(t.end-from), len(t.ring))]
		out = append(out, piece...)
		from += int64(len(piece))
	}
	return out
}

// when returns when the byte at an offset was written.
func (t *Tail) when(o int64) time.Time {
	i, exact := slices.BinarySearchFunc(t.marks, o, func(m mark, o int64) int { return int(m.from - o) })
	if !exact {
		i--
	}
	return time.Unix(0, t.marks[max(i, 0)].at)
}

// Lines returns the text of the last n lines, as Log does.
func (t *Tail) Lines(n int) []string {
	var out []string
	for _, l := range t.Log(n) {
		out = append(out, l.Text)
	}
	return out
}

// Log returns the last n lines that are not empty, oldest first, also one that is
// not complete yet, with what is not UTF-8 or not printable replaced, and the end
// of a very long one left out.
func (t *Tail) Log(n int) []LogLine { return t.since(0, n) }

// written returns the offset of what will be written next.
func (t *Tail) written() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.end
}

// since is Log without what was written before an offset.
func (t *Tail) since(from int64, n int) []LogLine {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines, rest := t.lines(max(t.begin(), from))
	if rest < t.end {
		lines = t.add(lines, rest, t.text(rest))
	}
	return lines[max(len(lines)-max(n, 0), 0):]
}

// lines returns the complete lines from an offset on, and where they end.
func (t *Tail) lines(from int64) (lines []LogLine, rest int64) {
	text := t.text(from)
	for {
		i := bytes.IndexByte(text, '\n')
		if i < 0 {
			return lines, from
		}
		lines = t.add(lines, from, text[:i])
		text = text[i+1:]
		from += int64(i) + 1
	}
}

// add appends the line l, which begins at from, unless it is empty.
func (t *Tail) add(lines []LogLine, from int64, l []byte) []LogLine {
	l = bytes.TrimRight(l, "\r")
	if len(l) == 0 {
		return lines
	}
	return append(lines, LogLine{t.when(from), printable(l)})
}

// printable replaces control characters, so that a line of a child cannot move
// the cursor of whoever reads it.
func printable(l []byte) string {
	more := ""
	if len(l) > maxLine {
		more = fmt.Sprintf("... (and %d bytes)", len(l)-maxLine)
		l = l[:maxLine]
	}
	return string(bytes.Map(func(r rune) rune {
		if r != '\t' && (r < 0x20 || r >= 0x7f && r < 0xa0) {
			return '\ufffd'
		}
		return r
	}, bytes.ToValidUTF8(l, []byte("\ufffd")))) + more
}
