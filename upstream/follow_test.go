package upstream

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

// follow reads a Tail in a goroutine, which ends with the test.
func follow(t *testing.T, tail *Tail, n int) (read func() []string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var lines []string
	over := make(chan struct{})
	go func() {
		defer close(over)
		for l := range tail.Follow(ctx, n) {
			if l.At.IsZero() {
				t.Errorf("no time at %q", l.Text)
			}
			lines = append(lines, l.Text)
		}
	}()
	read = func() []string {
		synctest.Wait()
		defer func() { lines = nil }()
		return lines
	}
	stop = func() { cancel(); <-over }
	t.Cleanup(stop)
	return read, stop
}

func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tail Tail
		fmt.Fprint(&tail, "one\ntwo\nthree\nfo")
		read, stop := follow(t, &tail, 2)
		all, _ := follow(t, &tail, 100)
		for _, step := range []struct {
			write string
			want  []string
		}{
			{"", []string{"two", "three"}},
			{"ur", nil},
			{"\nfive\n\nsi", []string{"four", "five"}},
			{"x\r\n", []string{"six"}},
			{strings.Repeat("y", maxLine), nil},
			{"zz", []string{strings.Repeat("y", maxLine) + "..."}},
			{"zz", nil},
			{"\nseven\n", []string{"seven"}},
		} {
			fmt.Fprint(&tail, step.write)
			if got := read(); !slices.Equal(got, step.want) {
				t.Errorf("after %.20q: %.50q, want %.50q", step.write, got, step.want)
			}
		}
		if got := all(); len(got) != 8 || got[0] != "one" || got[7] != "seven" {
			t.Errorf("all = %.50q", got)
		}
		stop()
		fmt.Fprint(&tail, "eight\n")
		if got := read(); got != nil {
			t.Errorf("after the end: %q", got)
		}
		if got := all(); !slices.Equal(got, []string{"eight"}) {
			t.Errorf("the other reader got %q", got)
		}
	})
}

func TestFollowFromNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tail Tail
		read, _ := follow(t, &tail, 0)
		if got := read(); got != nil {
			t.Errorf("%q", got)
		}
		fmt.Fprint(&tail, "one\n")
		if got := read(); !slices.Equal(got, []string{"one"}) {
			t.Errorf("%q", got)
		}
		for range tail.Follow(t.Context(), 1) {
			break // a reader may leave
		}
	})
}

// TestFollowLosesNothingSilently reads while much more is written than is kept:
// each line is read, whole and in order, or told to be lost.
func TestFollowLosesNothingSilently(t *testing.T) {
	var tail Tail
	const count = 100_000
	write := func(i int) { fmt.Fprintf(&tail, "line %06d\n", i) }
	write(0)
	read, lost, next := 0, 0, 0
	for l := range tail.Follow(t.Context(), 1) {
		if read == 0 { // it follows from here on
			go func() {
				for i := 1; i < count; i++ {
					write(i)
				}
			}()
		}
		var n int
		if _, err := fmt.Sscanf(l.Text, "(%d bytes were", &n); err == nil {
			lost += n
			continue
		}
		if _, err := fmt.Sscanf(l.Text, "line %d", &n); err != nil || len(l.Text) != 11 {
			t.Fatalf("%q: %v", l.Text, err)
		}
		read += 12
		if n < next || n > next && lost == 0 {
			t.Fatalf("line %d after %d, with nothing said to be lost", n, next-1)
		}
		if next = n + 1; next == count {
			break
		}
		if n%1000 == 0 { // so that it is slower at times, and not at others
			tail.Log(1)
		}
	}
	if total := 12 * count; read+lost != total {
		t.Errorf("%d bytes read and %d told to be lost, want %d in all", read, lost, total)
	}
}

// TestSlowReaderIsTold of what was written while it did not read.
func TestSlowReaderIsTold(t *testing.T) {
	var tail Tail
	fmt.Fprint(&tail, "first\n")
	var got []string
	for l := range tail.Follow(t.Context(), 1) {
		got = append(got, l.Text)
		switch len(got) {
		case 1:
			for i := range 10_000 {
				fmt.Fprintf(&tail, "line %06d\n", i)
			}
		case 3:
			fmt.Fprint(&tail, "last\n")
		}
		if l.Text == "last" {
			break
		}
	}
	const kept = tailSize / 12
	if n := 10_000*12 - tailSize + tailSize%12; got[1] != fmt.Sprintf("(%d bytes were written faster than they were read, and are lost)", n) {
		t.Errorf("told %q, want %d bytes", got[1], n)
	}
	if want := fmt.Sprintf("line %06d", 10_000-kept); got[2] != want || len(got) != 3+kept {
		t.Errorf("then %q and %d lines, want %q and %d", got[2], len(got), want, 3+kept)
	}
}
