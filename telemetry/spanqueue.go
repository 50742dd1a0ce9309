package telemetry

import (
	"context"
	"os"
	"strconv"
	"sync"
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
	lost    error              // why the last exports failed; run's until stopped

	mu      sync.Mutex // guards the rest
	spans   [][]byte
	bytes   int
	dropped uint64
	closed  bool
}

// batchLimits are the limits of the specification's batching span processor, with
// its variables.
type batchLimits struct {
	spans, batch   int
	delay, timeout time.Duration
}

// maxQueued bounds what waits, in bytes.
const maxQueued = 16 << 20

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

// positive is a positive number from the environment. What is none is ignored, as
// the specification asks.
func positive(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil && n > 0 {
		return n
	}
	return otherwise
}

// newSpanQueue returns a queue whose goroutine runs until close.
func newSpanQueue(l batchLimits, upload func(ctx context.Context, spans []byte, n int) error) *spanQueue {
	q := &spanQueue{
		upload: upload, limits: l,
		full: make(chan struct{}, 1), stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	ctx, cancel := context.WithCancel(context.Background())
	q.cancel = cancel
	go q.run(ctx)
	return q
}

// add queues a span: one message Span, which is not changed any more.
func (q *spanQueue) add(span []byte) {
	q.mu.Lock()
	if q.closed || len(q.spans) >= q.limits.spans || q.bytes+len(span) > maxQueued {
		q.dropped++
		q.mu.Unlock()
		return
	}
	q.spans = append(q.spans, span)
	q.bytes += len(span)
	full := len(q.spans) == q.limits.batch
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

// take takes at most one batch of n spans, as a field of ScopeSpans after the other,
// in b. more says that another batch is there.
func (q *spanQueue) take(b []byte) (_ []byte, n int, more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n = min(len(q.spans), q.limits.batch)
	for _, s := range q.spans[:n] {
		b = appendBytes(b, scopeSpansSpans, s)
		q.bytes -= len(s)
	}
	rest := copy(q.spans, q.spans[n:])
	clear(q.spans[rest:])
	q.spans = q.spans[:rest]
	return b, n, rest >= q.limits.batch
}

// scopeSpansSpans is the field of the message ScopeSpans that holds spans.
const scopeSpansSpans = 2

// run exports until close.
func (q *spanQueue) run(ctx context.Context) {
	defer close(q.stopped)
	tick := time.NewTimer(q.limits.delay)
	defer tick.Stop()
	var b []byte
	for stopping := false; !stopping; {
		select {
		case <-q.stop:
			stopping = true
		case <-q.full:
		case <-tick.C:
		}
		for more := true; more; {
			var n int
			b, n, more = q.take(b[:0])
			if err := q.export(ctx, b, n); err != nil && stopping {
				q.lost = err
			}
			more = more || stopping && n > 0
		}
		if cap(b) > maxQueued/4 { // of a batch that was larger than most
			b = nil
		}
		tick.Reset(q.limits.delay)
	}
}

func (q *spanQueue) export(ctx context.Context, b []byte, n int) error {
	if n == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, q.limits.timeout)
	defer cancel()
	return q.upload(ctx, b, n)
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
