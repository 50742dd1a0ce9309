package telemetry

import (
	"slices"
	"sync"
)

// What one trace may take of a ring. An agent may make all its calls of a day in
// one trace: then the oldest spans of it go.
const (
	maxTraceSpans = 1000
	traceShare    = 8 // an eighth of the bytes
)

// failedShare says that up to a quarter of a ring is for traces that failed:
// while those take less, the good ones make room for all.
const failedShare = 4

// usualSpans is how many a trace is made room for at once: a call, its policies
// and what its upstream was asked.
const usualSpans = 4

// What a span and a trace take beside the encoded bytes, about.
const (
	spanCost  = 400 // with what of the recording is held by them
	traceCost = 256
)

// ring keeps the last traces in memory, within bounds on their number and their
// bytes. Whole traces make room for new ones, those first that have been silent
// longest, and those with a failure after the good ones, as long as they take no
// more than a quarter of the ring. It is safe for concurrent use; a nil ring keeps
// nothing.
type ring struct {
	traces, bytes int // the bounds

	mu           sync.Mutex // guards what follows, and all that is kept
	known        map[[16]byte]*kept
	good, failed queue
	// added counts spans: the time of the ring.
	added uint64
	// news is closed at the next span, nil while nobody waits for one.
	news chan struct{}
}

// kept is a trace as far as it has come.
type kept struct {
	id [16]byte
	// spans are in the order in which they ended. What is in it never changes, so
	// that a reader may keep a slice of it.
	spans      []keptSpan
	gone       int // bytes of spans that were dropped since spans was made anew
	bytes      int
	failed     bool
	touched    uint64 // the ring's time of its last span
	prev, next *kept
}

// keptSpan is a span, and the ring's time when it came.
type keptSpan struct {
	finished
	at uint64
}

// newRing returns a ring of so many traces in so many bytes; nil, which keeps
// nothing, for none of either.
func newRing(traces, bytes int) *ring {
	if traces <= 0 || bytes <= 0 {
		return nil
	}
	return &ring{traces: traces, bytes: bytes, known: make(map[[16]byte]*kept)}
}

// add keeps f. Spans of a trace come in any order. It never blocks for long.
func (r *ring) add(f finished) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.added++
	k := r.known[f.trace]
	if k == nil {
		k = &kept{id: f.trace, spans: make([]keptSpan, 0, usualSpans), bytes: traceCost}
		r.known[f.trace] = k
	} else {
		r.of(k).remove(k)
	}
	k.take(keptSpan{f, r.added}, r.bytes/traceShare)
	k.touched = r.added
	r.of(k).push(k)
	for len(r.known) > r.traces || r.good.bytes+r.failed.bytes > r.bytes {
		oldest := r.oldest()
		r.of(oldest).remove(oldest)
		delete(r.known, oldest.id)
	}
	if r.news != nil {
		close(r.news)
		r.news = nil
	}
}

// of is the queue that k is in. r.mu is held.
func (r *ring) of(k *kept) *queue {
	if k.failed {
		return &r.failed
	}
	return &r.good
}

// oldest is the trace that goes next. r.mu is held, and there is one.
func (r *ring) oldest() *kept {
	g, f := r.good.first, r.failed.first
	switch {
	case g == nil:
		return f
	case f == nil:
		return g
	case r.failed.n <= r.traces/failedShare && r.failed.bytes <= r.bytes/failedShare, g.touched < f.touched:
		return g
	}
	return f
}

// take adds f, and drops the oldest spans beyond the bounds of one trace.
func (k *kept) take(f keptSpan, room int) {
	k.spans = append(k.spans, f)
	k.bytes += f.cost()
	k.failed = k.failed || f.failed
	for len(k.spans) > 1 && (len(k.spans) > maxTraceSpans || k.bytes > room) {
		cost := k.spans[0].cost()
		k.bytes -= cost
		k.gone += cost
		k.spans = k.spans[1:]
	}
	// The array still holds what was dropped from its beginning.
	if k.gone > k.bytes/4 {
		k.spans, k.gone = append(make([]keptSpan, 0, len(k.spans)+len(k.spans)/4+1), k.spans...), 0
	}
}

func (f *finished) cost() int { return cap(f.raw) + spanCost }

// traceCopy is a copy of what is kept of one.
type traceCopy struct {
	id    [16]byte
	spans []keptSpan
}

// last returns the traces with a span after that time of the ring, the one with
// the newest span first, and the time now.
func (r *ring) last(after uint64) (all []traceCopy, now uint64) {
	if r == nil {
		return nil, 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	g, f := r.good.last, r.failed.last
	for {
		k := g
		if g == nil || f != nil && f.touched > g.touched {
			k = f
		}
		if k == nil || k.touched <= after {
			return all, r.added
		}
		if k == g {
			g = g.prev
		} else {
			f = f.prev
		}
		all = append(all, k.copy())
	}
}

func (k *kept) copy() traceCopy {
	return traceCopy{id: k.id, spans: slices.Clip(k.spans)}
}

// one returns the trace of that id, if it is kept.
func (r *ring) one(id [16]byte) (traceCopy, bool) {
	if r == nil {
		return traceCopy{}, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.known[id]
	if k == nil {
		return traceCopy{}, false
	}
	return k.copy(), true
}

// now is the ring's time.
func (r *ring) now() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.added
}

// changed returns a channel that is closed once there is a span after that time
// of the ring; of a nil ring it never is.
func (r *ring) changed(after uint64) <-chan struct{} {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.added > after {
		done := make(chan struct{})
		close(done)
		return done
	}
	if r.news == nil {
		r.news = make(chan struct{})
	}
	return r.news
}

// queue is traces in the order of their last spans.
type queue struct {
	first, last *kept
	n, bytes    int
}

func (q *queue) push(k *kept) {
	k.prev, k.next = q.last, nil
	if q.last != nil {
		q.last.next = k
	} else {
		q.first = k
	}
	q.last = k
	q.n++
	q.bytes += k.bytes
}

func (q *queue) remove(k *kept) {
	if k.prev != nil {
		k.prev.next = k.next
	} else {
		q.first = k.next
	}
	if k.next != nil {
		k.next.prev = k.prev
	} else {
		q.last = k.prev
	}
	k.prev, k.next = nil, nil
	q.n--
	q.bytes -= k.bytes
}
