//go:build !windows

package upstream

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// newTestOutbox returns an outbox and the end that reads from it.
func newTestOutbox(t *testing.T, timeout time.Duration, failed func(error)) (*outbox, *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	o, err := newOutbox(w, timeout, failed)
	if err != nil {
		t.Fatal(err)
	}
	var run sync.WaitGroup
	run.Go(o.run)
	t.Cleanup(func() {
		o.close(ErrClosed)
		_ = w.Close()
		_ = r.Close()
		run.Wait()
	})
	return o, r
}

// Lines of many senders, larger than the pipe holds, come whole, each once, and
// each sender's in its order.
func TestOutboxKeepsLinesWhole(t *testing.T) {
	o, r := newTestOutbox(t, patient, func(err error) { t.Error(err) })
	const senders, each = 16, 200
	for i := range senders {
		go func() {
			for j := range each {
				line := fmt.Sprintf("%d %d %s\n", i, j, strings.Repeat("x", (i*j)%5000))
				if err := o.send(&frame{b: []byte(line)}); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	var next [senders]int
	lines := bufio.NewScanner(r)
	for range senders * each {
		var i, j int
		var x string
		if !lines.Scan() {
			t.Fatal(lines.Err())
		}
		if n, _ := fmt.Sscan(lines.Text(), &i, &j, &x); n < 2 || j != next[i] || len(x) != (i*j)%5000 {
			t.Fatalf("line %.40q, want number %d of its sender", lines.Text(), next[i])
		}
		next[i]++
	}
}

// expire has the deadline of a write that waits for its reader come now, and
// returns what the outbox then fails with.
func expire(o *outbox, failed <-chan error) error {
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for {
		select {
		case err := <-failed:
			return err
		case <-again.C: // the write, and with it its own deadline, may have been to come
			_ = o.f.SetWriteDeadline(time.Unix(1, 0))
		}
	}
}

func TestOutboxTellsWhatWasNotWritten(t *testing.T) {
	failed := make(chan error, 1)
	o, r := newTestOutbox(t, time.Hour, func(err error) { failed <- err })
	half := &frame{b: bytes.Repeat([]byte("h"), 100<<10)} // the pipe takes 64 KiB of it
	waiting := &frame{b: []byte("waiting\n"), done: make(chan struct{})}
	revoked := &frame{b: []byte("revoked\n")}
	first := &frame{b: []byte("first\n")}
	done := waiting.done
	for _, x := range []*frame{half, waiting, revoked} {
		if err := o.send(x); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.sendFirst(first); err != nil {
		t.Fatal(err)
	}
	if o.queue[0] != first || o.revoke(revoked) != frameDropped || o.revoke(half) != frameTaken {
		t.Error("the queue is out of order")
	}
	if err := expire(o, failed); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("failed: %v", err)
	}
	<-done
	if o.revoke(half) != frameTaken || o.revoke(waiting) != frameDropped {
		t.Errorf("states %d %d", o.revoke(half), o.revoke(waiting))
	}
	if err := o.send(&frame{b: []byte("late\n")}); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("send after the end: %v", err)
	}
	_ = o.f.Close()
	if got, _ := io.ReadAll(r); bytes.IndexByte(got, '\n') >= 0 {
		t.Error("something that was to be dropped was written")
	}
}

// Of a batch that fails in its middle, the frames that were not reached say so.
func TestOutboxFailsInsideABatch(t *testing.T) {
	failed := make(chan error, 1)
	o, r := newTestOutbox(t, time.Hour, func(err error) { failed <- err })
	block := &frame{b: bytes.Repeat([]byte("b"), 80<<10)}
	batch := []*frame{{b: bytes.Repeat([]byte("1"), 100<<10)}, {b: []byte("2")}, {b: []byte("3")}}
	_ = o.send(block)
	for _, x := range batch {
		_ = o.send(x)
	}
	if _, err := io.ReadFull(r, make([]byte, 80<<10+1)); err != nil { // block goes, the batch begins
		t.Fatal(err)
	}
	_ = expire(o, failed)
	for i, want := range []frameState{frameTaken, frameDropped, frameDropped} {
		if got := o.revoke(batch[i]); got != want {
			t.Errorf("frame %d: state %d, want %d", i+1, got, want)
		}
	}
	if got := o.revoke(block); got != frameWritten {
		t.Errorf("the frame before: state %d", got)
	}
}

// A child that reads slowly is no child that stopped reading: however long a message
// takes in all, each part of it has a deadline of its own.
func TestOutboxSlowReader(t *testing.T) {
	o, r := newTestOutbox(t, time.Hour, func(err error) { t.Error(err) })
	deadlines, due := 0, o.due
	o.due = func() time.Time { deadlines++; return due() }
	x := &frame{b: bytes.Repeat([]byte("x"), 1<<20), done: make(chan struct{})}
	done := x.done
	_ = o.send(x)
	if _, err := io.ReadFull(r, make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	<-done
	if got := o.revoke(x); got != frameWritten {
		t.Errorf("state %d", got)
	}
	// The first part is what the pipe takes at once.
	if least := 1<<20/writeChunk - 1; deadlines < least {
		t.Errorf("it had %d deadlines, want %d at least", deadlines, least)
	}
}
