package gateway

import (
	"container/list"
	"sync"
	"time"
)

// Large answers wait in memory for their clients to read them. What one client
// holds is bounded by the size of an answer, what all hold by this: over
// maxBacklog those that have been reading for longest are cut off, unless they
// began only just now.
const (
	largeAnswer  = 64 << 10
	maxBacklog   = 64 << 20
	backlogGrace = 250 * time.Millisecond
)

// backlog accounts for large answers that clients have not read, or may still
// come back for. The zero value is ready to use.
type backlog struct {
	mu      sync.Mutex // guards the rest, and the members of unread
	held    int
	waiting list.List // of *unread, oldest first
	timer   *time.Timer
	ringing bool // the timer is set
}

// unread is one answer in the backlog.
type unread struct {
	size  int
	since time.Time
	drop  func()        // lets go of it
	at    *list.Element // in waiting, nil once it is out
}

// enter adds an answer of size bytes. drop may be called once, on any goroutine,
// until leave returns; it must not block nor call the backlog. It returns nil for
// an answer too small to count.
func (b *backlog) enter(size int, drop func()) *unread {
	if size < largeAnswer {
		return nil
	}
	u := &unread{size: size, since: time.Now(), drop: drop}
	b.mu.Lock()
	u.at = b.waiting.PushBack(u)
	b.held += size
	over := b.held > maxBacklog
	b.mu.Unlock()
	if over {
		b.relieve()
	}
	return u
}

// leave takes an answer out again. Nil, and one that is out, are left alone.
func (b *backlog) leave(u *unread) {
	if u == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if u.at != nil {
		b.remove(u)
	}
}

func (b *backlog) remove(u *unread) {
	b.waiting.Remove(u.at)
	u.at = nil
	b.held -= u.size
}

// relieve drops the oldest answers until the rest is within bounds, and comes
// back for those that are too young yet.
func (b *backlog) relieve() {
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.held > maxBacklog {
		u := b.waiting.Front().Value.(*unread)
		if left := backlogGrace - now.Sub(u.since); left > 0 {
			b.ring(left)
			return
		}
		b.remove(u)
		u.drop()
	}
}

// ring has relieve called after d. b.mu is held.
func (b *backlog) ring(d time.Duration) {
	if b.ringing {
		return
	}
	b.ringing = true
	if b.timer == nil {
		b.timer = time.AfterFunc(d, func() {
			b.mu.Lock()
			b.ringing = false
			b.mu.Unlock()
			b.relieve()
		})
		return
	}
	b.timer.Reset(d)
}
