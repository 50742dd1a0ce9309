package upstream

import (
	"container/list"
	"context"
	"sync"
	"sync/atomic"
)

// bulkhead bounds the calls in flight and those that wait for it. A call that
// finds a slot takes it with one atomic step; only waiting takes the lock, and
// who waits is served in order.
type bulkhead struct {
	limits  func() Limits
	taken   atomic.Int64
	queued  atomic.Int64 // all who wait, also for a start
	resting atomic.Int64 // calls that left their slot while a person is waited for
	waiters atomic.Int64 // length of line

	mu   sync.Mutex // guards line
	line list.List  // of chan struct{}, closed when its slot is given
}

// try takes a slot if one is free and nobody waits for it.
func (b *bulkhead) try() bool { return b.waiters.Load() == 0 && b.take() }

func (b *bulkhead) take() bool {
	limit := int64(b.limits().InFlight)
	for {
		n := b.taken.Load()
		if n >= limit {
			return false
		}
		if b.taken.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// release gives a slot back, to who waits longest.
func (b *bulkhead) release() {
	b.taken.Add(-1)
	// A waiter counts itself before it looks for a free slot, so one of the two
	// sees the other.
	if b.waiters.Load() > 0 {
		b.mu.Lock()
		b.serve()
		b.mu.Unlock()
	}
}

// serve gives free slots to those in line. b.mu is held.
func (b *bulkhead) serve() {
	for e := b.line.Front(); e != nil && b.take(); e = b.line.Front() {
		close(b.line.Remove(e).(chan struct{}))
		b.waiters.Add(-1)
	}
}

// enter joins those who wait, unless there are too many; leave must follow.
func (b *bulkhead) enter() bool {
	if b.queued.Add(1) > int64(b.limits().Queue) {
		b.queued.Add(-1)
		return false
	}
	return true
}

func (b *bulkhead) leave() { b.queued.Add(-1) }

// wait blocks until a slot is taken (true), or ctx or stop ends it.
func (b *bulkhead) wait(ctx context.Context, stop <-chan struct{}) bool {
	given := make(chan struct{})
	b.mu.Lock()
	e := b.line.PushBack(given)
	b.waiters.Add(1)
	b.serve()
	b.mu.Unlock()
	select {
	case <-given:
		return true
	case <-ctx.Done():
	case <-stop:
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-given: // at the same moment: it is handed on
		b.taken.Add(-1)
		b.serve()
	default:
		b.line.Remove(e)
		b.waiters.Add(-1)
	}
	return false
}

// rest frees the slot of a call that waits for a person. It reports whether it
// did: beyond as many as there are slots, resting calls keep theirs.
func (b *bulkhead) rest() bool {
	if b.resting.Add(1) > int64(b.limits().InFlight) {
		b.resting.Add(-1)
		return false
	}
	b.release()
	return true
}

// rise takes a slot for a call that rested, also one beyond the limit.
func (b *bulkhead) rise() {
	b.taken.Add(1) // first, so that busy never misses it
	b.resting.Add(-1)
}

// busy reports whether there are calls, in flight or waiting.
func (b *bulkhead) busy() bool {
	return b.queued.Load() > 0 || b.taken.Load() > 0 || b.resting.Load() > 0
}
