package telemetry

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// spanQueue holds the spans that are to be exported. What comes when it is full is
// dropped, so that a collector that is slow costs memory and spans, never a call.
type spanQueue struct {
	upload  func(ctx context.Context, spans []byte, n int) error
	limits  batchLimits
	full    chan struct{}      // capacity 1: that a batch is there
	stop    chan struct{}      // closed by close
	stopped chan struct{}      // closed when run has ended
	cancel  context.CancelFunc // breaks off an export
	lost    error              // why exports failed since close was called; run's until stopped

	dropped atomic.Int64 // spans that found no place
	told    int64        // how many of them the log knows of; run's
	lose    func(n int)  // told of the others by and by; nil for nobody

	mu      sync.Mutex // guards the rest
	batches []batch    // all but the last are full
	spans   int        // in all of them
	bytes   int        // the same
	spare   [][]byte   // of batches that are out, while it is busy
	closed  bool
}

// batch is n spans as they are sent: as a field of ScopeSpans after the other.
type batch struct {
	b []byte
	n int
}

// batchLimits are the limits of the specification's batching span processor, with
// its variables.
type batchLimits struct {
	spans, batch   int
	delay, timeout time.Duration
}

// maxQueued bounds what waits, maxSpare a batch whose place is used again, in bytes.
const (
	maxQueued = 16 << 20
	maxSpare  = 512 << 10
)

func newBatchLimits() batchLimits {
	l := batchLimits{
		spans:   positive("OTEL_BSP_MAX_QUEUE_SIZE", 2048),
		batch:   positive("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512),
		delay:   time.Duration(positive("OTEL_BSP_SCHEDULE_DELAY", 5000)) * time.Millisecond,
		timeout: time.Duration(positive("OTEL_BSP_EXPORT_TIMEOUT", 30000)) * time.Millisecond,
	}
	l.batch = min(l.batch, l.spans)
	return l
}

// positive is a positive number from the environment, as checkQueue has
// seen if spans are exported.
func positive(name string, otherwise int) int {
	if n, err := strconv.Atoi(variable(name)); err == nil && n > 0 && n <= maxMilliseconds {
		return n
	}
	return otherwise
}

// newSpanQueue returns a queue whose goroutine runs until close. lose may be nil.
func newSpanQueue(l batchLimits, upload func(ctx context.Context, spans []byte, n int) error, lose func(n int)) *spanQueue {
	q := &spanQueue{
		upload: upload, lose: lose, limits: l,
		full: make(chan struct{}, 1), stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	ctx, cancel := context.WithCancel(context.Background())
	q.cancel = cancel
	go q.run(ctx)
	return q
}

// add queues a copy of a span, one message Span.
func (q *spanQueue) add(span []byte) {
	q.mu.Lock()
	if q.closed || q.spans >= q.limits.spans || q.bytes+len(span) > maxQueued {
		q.mu.Unlock()
		q.dropped.Add(1)
		return
	}
	last := len(q.batches) - 1
	if last < 0 || q.batches[last].n == q.limits.batch {
		q.batches = append(q.batches, batch{b: q.blank()})
		last++
	}
	to := &q.batches[last]
	before := len(to.b)
	to.b = appendBytes(to.b, scopeSpansSpans, span)
	to.n++
	q.spans++
	q.bytes += len(to.b) - before
	full := to.n == q.limits.batch
	q.mu.Unlock()
	if full {
		q.wake()
	}
}

func (q *spanQueue) wake() {
	select {
	case q.full <- struct{}{}:
	default:
	}
}

// take takes the oldest batch, which is empty if there is none. more says that
// another one is full.
func (q *spanQueue) take() (out batch, more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.batches) == 0 {
		return batch{}, false
	}
	out = q.batches[0]
	q.batches = slices.Delete(q.batches, 0, 1)
	q.spans -= out.n
	q.bytes -= len(out.b)
	return out, len(q.batches) > 0 && q.batches[0].n == q.limits.batch
}

// blank returns where a batch is written. q.mu is held.
func (q *spanQueue) blank() []byte {
	last := len(q.spare) - 1
	if last < 0 {
		return nil
	}
	b := q.spare[last]
	q.spare[last] = nil
	q.spare = q.spare[:last]
	return b[:0]
}

// back takes the bytes of a batch that is out, for another one. While fewer spans
// come than fill batches, nothing is worth to be held.
func (q *spanQueue) back(out batch) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case out.n < q.limits.batch:
		q.spare = nil
	case len(q.spare) < q.limits.spans/q.limits.batch && cap(out.b) <= maxSpare:
		q.spare = append(q.spare, out.b)
	}
}

// scopeSpansSpans is the field of the message ScopeSpans that holds spans.
const scopeSpansSpans = 2

// run exports until close.
func (q *spanQueue) run(ctx context.Context) {
	defer close(q.stopped)
	tick := time.NewTimer(q.limits.delay)
	defer tick.Stop()
	for stopping := false; !stopping; {
		select {
		case <-q.stop:
			stopping = true
		case <-q.full:
		case <-tick.C:
		}
		for more := true; more; {
			var out batch
			out, more = q.take()
			if err := q.export(ctx, out); err != nil && q.closing() {
				q.lost = err
			}
			q.back(out)
			q.tell()
			more = more || stopping && out.n > 0
		}
		tick.Reset(q.limits.delay)
	}
}

// closing reports whether close was called, which run may not have noticed yet.
func (q *spanQueue) closing() bool {
	select {
	case <-q.stop:
		return true
	default:
		return false
	}
}

// tell says how many spans found no place since it last did.
func (q *spanQueue) tell() {
	if n := q.dropped.Load(); n > q.told && q.lose != nil {
		q.lose(int(n - q.told))
		q.told = n
	}
}

func (q *spanQueue) export(ctx context.Context, out batch) error {
	if out.n == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, q.limits.timeout)
	defer cancel()
	return q.upload(ctx, out.b, out.n)
}

// close exports what is queued and ends run. When ctx ends it breaks an export
// off. The error is why spans were lost.
func (q *spanQueue) close(ctx context.Context) error {
	q.mu.Lock()
	again := q.closed
	q.closed = true
	q.mu.Unlock()
	if !again {
		close(q.stop)
	}
	defer q.cancel()
	select {
	case <-q.stopped:
	case <-ctx.Done():
		q.cancel()
		<-q.stopped
	}
	return q.lost
}
