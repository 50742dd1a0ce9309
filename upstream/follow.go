package upstream

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"time"
)

// Follow yields the last n lines and then each line as it is complete, until ctx
// is done. It goes on over restarts of the upstream. What it waits for is the end
// of a line, or as much of one as is shown. A reader that is more than 64 KiB
// behind is told in a line of its own how much it missed.
func (t *Tail) Follow(ctx context.Context, n int) iter.Seq[LogLine] {
	return func(yield func(LogLine) bool) {
		f := follower{tail: t}
		lines := f.first(n)
		for {
			for _, l := range lines {
				if !yield(l) {
					return
				}
			}
			var more <-chan struct{}
			if lines, more = f.more(); len(lines) > 0 {
				continue
			}
			select {
			case <-more:
			case <-ctx.Done():
				return
			}
		}
	}
}

// follower is where a reader of a Tail is.
type follower struct {
	tail *Tail
	next int64 // the first byte that was not read
	cut  bool  // which is inside of a line whose begin was shown
}

// first returns the last n complete lines.
func (f *follower) first(n int) []LogLine {
	t := f.tail
	t.mu.Lock()
	defer t.mu.Unlock()
	lines, rest := t.lines(t.begin())
	f.next = rest
	return lines[max(len(lines)-max(n, 0), 0):]
}

// skip goes on to the next line, or to the end if there is none yet.
func (f *follower) skip() {
	t := f.tail
	i := bytes.IndexByte(t.text(f.next), '\n')
	if f.cut = i < 0; f.cut {
		f.next = t.end
	} else {
		f.next += int64(i) + 1
	}
}

// more returns the lines since the last. If there are none, the channel is closed
// when more was written.
func (f *follower) more() (lines []LogLine, written <-chan struct{}) {
	t := f.tail
	t.mu.Lock()
	defer t.mu.Unlock()
	from := f.next
	behind := from < t.begin()
	if behind {
		f.next, f.cut = t.begin(), true
	}
	if f.cut {
		f.skip()
	}
	if behind { // of a line that is lost in part, the rest too
		lines = append(lines, LogLine{time.Now(), fmt.Sprintf("(%d bytes were written faster than they were read, and are lost)", f.next-from)})
	}
	whole, rest := t.lines(f.next)
	lines = append(lines, whole...)
	f.next = rest
	if t.end-rest > maxLine && !f.cut {
		lines = append(lines, LogLine{t.when(rest), printable(t.text(rest)[:maxLine]) + "..."})
		f.cut = true
		f.next = t.end
	}
	if len(lines) == 0 {
		if t.wake == nil {
			t.wake = make(chan struct{})
		}
		written = t.wake
	}
	return lines, written
}
