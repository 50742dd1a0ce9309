package upstream

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestTailKeepsTheEnd(t *testing.T) {
	var tail Tail
	for i := range 100_000 {
		fmt.Fprintf(&tail, "line %d\n", i)
	}
	if got, want := tail.Lines(2), []string{"line 99998", "line 99999"}; !slices.Equal(got, want) {
		t.Errorf("lines = %q, want %q", got, want)
	}
	size := 0
	for _, l := range tail.Lines(1 << 20) {
		size += len(l) + 1
	}
	if size > tailSize || size < tailSize-100 {
		t.Errorf("kept %d bytes, want about %d", size, tailSize)
	}
	huge := bytes.Repeat([]byte("x"), 3*tailSize)
	if n, err := tail.Write(huge); n != len(huge) || err != nil {
		t.Errorf("Write = %d, %v", n, err)
	}
	fmt.Fprint(&tail, "\nthe \x1b[31mlast\xff\r\n")
	want := []string{strings.Repeat("x", maxLine) + fmt.Sprintf("... (and %d bytes)", tailSize-maxLine-17), "the \ufffd[31mlast\ufffd"}
	if got := tail.Lines(3); !slices.Equal(got, want) {
		t.Errorf("lines = %q, want %q", got, want)
	}
}

// TestTailIsTheEndOfAll compares it, write by write, with keeping everything.
func TestTailIsTheEndOfAll(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var tail Tail
	var all []byte
	for i := range 3000 {
		p := make([]byte, rng.IntN(1<<rng.IntN(15)))
		for j := range p {
			p[j] = "abc\n\r"[rng.IntN(5)]
		}
		if i%500 == 499 {
			p = bytes.Repeat([]byte("12345678\n"), tailSize/4)
		}
		_, _ = tail.Write(p)
		all = append(all, p...)
		all = all[max(len(all)-tailSize, 0):]
		if i%50 != 49 {
			continue
		}
		var want []string
		for l := range strings.SplitSeq(string(all), "\n") {
			if l = strings.TrimRight(l, "\r"); l != "" {
				want = append(want, printable([]byte(l)))
			}
		}
		n := 1 + rng.IntN(2*len(want))
		if got := tail.Lines(n); !slices.Equal(got, want[max(len(want)-n, 0):]) {
			t.Fatalf("after %d writes: the last %d of %d lines differ", i+1, n, len(want))
		}
	}
	if cap(tail.ring) > tailSize || cap(tail.marks) > maxMarks {
		t.Errorf("room for %d bytes and %d times is kept", cap(tail.ring), cap(tail.marks))
	}
}

func TestTailKnowsWhen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tail Tail
		begun := time.Now()
		for i := range 3000 { // as many as do not fit, so that times are dropped too
			fmt.Fprintf(&tail, "line %d is the one ", i)
			time.Sleep(time.Second)
			fmt.Fprintf(&tail, "that began at %d\n", i)
			time.Sleep(time.Second)
		}
		lines := tail.Log(1 << 20)
		if n := len(lines); n < 1000 {
			t.Fatalf("%d lines", n)
		}
		for i, l := range lines {
			var n int
			if _, err := fmt.Sscanf(l.Text, "line %d is the one that", &n); err != nil {
				continue // the first is cut
			}
			off := l.At.Sub(begun.Add(time.Duration(2*n) * time.Second))
			if off > 0 || off < -20*time.Second || i > len(lines)-100 && off != 0 {
				t.Fatalf("line %d of %d, %q, is told %v late", i, len(lines), l.Text, off)
			}
		}
		if cap(tail.marks) > maxMarks {
			t.Errorf("room for %d times is kept", cap(tail.marks))
		}
	})
}

// BenchmarkTail is F8: 200 MB on stderr, as a reader of a pipe gets them.
func BenchmarkTail(b *testing.B) {
	const flood, read = 200 << 20, 16 << 10
	for name, text := range map[string]string{"binary": "\x00\x01\xff", "lines": "a line of a log, as they are\n"} {
		b.Run(name, func(b *testing.B) {
			p := []byte(strings.Repeat(text, read))[:read]
			b.SetBytes(flood)
			b.ReportAllocs()
			for b.Loop() {
				var tail Tail
				for range flood / read {
					_, _ = tail.Write(p)
				}
			}
		})
	}
}
