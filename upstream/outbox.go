package upstream

import (
	"errors"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
)

const (
	// writeChunk is how much is written under one deadline: a child that reads,
	// however slowly, is not lost over one long message.
	writeChunk = 64 << 10
	// maxReused is the largest buffer of a frame that is kept for another.
	maxReused = 16 << 10
	// maxReplies bounds the frames that wait without anybody waiting for them.
	maxReplies = 1024
)

// frame is one line on its way to a child's stdin. Its fields belong to the
// outbox once it was sent.
type frame struct {
	b     []byte
	state frameState
	done  chan struct{} // nil, or closed when the frame was written or will never be
}

// frameState says how far a frame got.
type frameState uint8

const (
	frameQueued frameState = iota
	frameTaken             // some of its bytes may have been written
	frameWritten
	frameDropped // not one byte was written, nor will be
)

// outbox writes frames to a child's stdin. Nobody who sends waits for a child
// that does not read: what the pipe does not take at once is left to run, which
// alone waits, under a deadline for each chunk.
//
// Frames that come while another is being written are written together.
type outbox struct {
	f       *os.File
	raw     syscall.RawConn
	attempt func(fd uintptr) bool // writes once, for raw
	tried   int                   // how much attempt wrote
	timeout time.Duration
	due     func() time.Time // by when what is written next must be
	failed  func(error)      // told once, of the error that ended the outbox

	more chan struct{} // capacity 1: a batch was left for run to write
	quit chan struct{} // closed by close

	mu    sync.Mutex // guards all below, and the state of frames
	queue []*frame
	spare []*frame
	busy  bool // somebody writes, and alone touches batch, rest and buf
	err   error

	batch []*frame // being written
	rest  []byte   // of the batch, what was not written yet
	buf   []byte   // the bytes of a batch of several
}

func newOutbox(f *os.File, timeout time.Duration, failed func(error)) (*outbox, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	o := &outbox{f: f, raw: raw, timeout: timeout, failed: failed, more: make(chan struct{}, 1), quit: make(chan struct{})}
	o.attempt = o.writeOnce
	o.due = func() time.Time { return time.Now().Add(timeout) }
	return o, nil
}

// send queues x, and writes it at once if nothing else is being written and the
// pipe takes it. It does not block. The error is that of the outbox's end; then
// nothing of x was written.
func (o *outbox) send(x *frame) error { return o.put(x, false, false) }

// sendFirst is send for what must not wait behind others.
func (o *outbox) sendFirst(x *frame) error { return o.put(x, true, false) }

// sendWithOthers is send when others are likely to send at this moment: those
// that are ready to run go first, so that one write takes all.
func (o *outbox) sendWithOthers(x *frame) error { return o.put(x, false, true) }

// maxTurns is how many batches one sender writes for others that come meanwhile.
const maxTurns = 4

func (o *outbox) put(x *frame, first, others bool) error {
	o.mu.Lock()
	switch {
	case o.err != nil:
		x.state = frameDropped
		o.mu.Unlock()
		return o.err
	case first:
		o.queue = append([]*frame{x}, o.queue...)
	default:
		o.queue = append(o.queue, x)
	}
	if o.busy {
		o.mu.Unlock()
		return nil
	}
	o.busy = true
	if others {
		o.mu.Unlock()
		runtime.Gosched()
		o.mu.Lock()
	}
	if len(o.queue) == 0 { // all were revoked, or the outbox was closed
		o.busy = false
		o.mu.Unlock()
		return nil
	}
	o.take()
	o.mu.Unlock()
	for turn := 0; turn < maxTurns && o.atOnce(); turn++ {
		if o.finish() {
			return nil
		}
	}
	// The pipe is full or broken, or others keep coming: run goes on with it.
	o.more <- struct{}{}
	return nil
}

// atOnce writes what the pipe takes of the batch without waiting, and reports
// whether that was all.
func (o *outbox) atOnce() bool {
	n, err := o.try()
	o.wrote(n)
	return err == nil && len(o.rest) == 0
}

// full reports whether so many frames wait that a reply nobody waits for is
// better dropped.
func (o *outbox) full() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.queue) >= maxReplies
}

// revoke takes x back if nothing of it was written, and reports how far it got.
func (o *outbox) revoke(x *frame) frameState {
	o.mu.Lock()
	defer o.mu.Unlock()
	if x.state != frameQueued {
		return x.state
	}
	for i, y := range o.queue {
		if x == y {
			o.queue = append(o.queue[:i], o.queue[i+1:]...)
			break
		}
	}
	x.drop()
	return frameDropped
}

// run writes what send could not, until the outbox is closed.
func (o *outbox) run() {
	for {
		select {
		case <-o.more:
		case <-o.quit:
			return
		}
		for idle := false; !idle; idle = o.finish() {
			for len(o.rest) > 0 {
				n, err := o.write(o.rest[:min(len(o.rest), writeChunk)])
				o.wrote(n)
				if err != nil {
					o.unreached()
					o.close(err)
					o.failed(err)
					return
				}
			}
		}
	}
}

// write writes b whole, or fails after the timeout.
func (o *outbox) write(b []byte) (int, error) {
	if err := o.f.SetWriteDeadline(o.due()); errors.Is(err, os.ErrNoDeadline) {
		// Pipes without deadlines: the write ends when the child does.
		t := time.AfterFunc(o.timeout, func() { o.failed(os.ErrDeadlineExceeded) })
		defer t.Stop()
		return o.f.Write(b)
	}
	n, err := o.f.Write(b)
	if err == nil {
		err = o.f.SetWriteDeadline(time.Time{})
	}
	return n, err
}

// take makes the queue the batch. o.mu is held.
func (o *outbox) take() {
	o.batch, o.queue = o.queue, o.spare[:0]
	for _, x := range o.batch {
		x.state = frameTaken
	}
	if len(o.batch) == 1 {
		o.rest = o.batch[0].b
		return
	}
	o.buf = o.buf[:0]
	for _, x := range o.batch {
		o.buf = append(o.buf, x.b...)
	}
	o.rest = o.buf
}

// wrote notes that n bytes of the rest were written.
func (o *outbox) wrote(n int) { o.rest = o.rest[n:] }

// unreached drops the frames at the end of a failed batch of which no byte was
// written.
func (o *outbox) unreached() {
	o.mu.Lock()
	defer o.mu.Unlock()
	left := len(o.rest)
	for i := len(o.batch) - 1; i >= 0 && left >= len(o.batch[i].b); i-- {
		left -= len(o.batch[i].b)
		o.batch[i].drop()
	}
}

// finish ends a batch that was written and takes the next; it reports whether
// there was none and the outbox is idle, or it was closed meanwhile.
func (o *outbox) finish() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, x := range o.batch {
		x.state = frameWritten
		if cap(x.b) > maxReused {
			x.b = nil // its call may last long
		}
		x.wake()
	}
	clear(o.batch)
	o.spare, o.batch = o.batch[:0], nil
	if cap(o.buf) > 4*writeChunk {
		o.buf = nil
	}
	if o.err != nil || len(o.queue) == 0 {
		o.busy = false
		return true
	}
	o.take()
	return false
}

// close ends the outbox: err is what send returns from now on, and what waits is
// dropped. What is just being written stays as it is: nobody knows how far it
// gets. It may be called again, to no effect.
func (o *outbox) close(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return
	}
	o.err = err
	close(o.quit)
	for _, x := range o.queue {
		x.drop()
	}
	o.queue = nil
}

func (x *frame) drop() {
	x.state = frameDropped
	x.b = nil
	x.wake()
}

func (x *frame) wake() {
	if x.done != nil {
		close(x.done)
		x.done = nil
	}
}
