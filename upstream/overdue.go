package upstream

import (
	"sync"
	"time"
)

// Overdue says of many short things which of them take too long. A timer for
// each would be made and thrown away for nothing nearly always; here entering
// and leaving is a list's insertion and removal, and one timer serves all. It is
// made for things that are given about the same time. The zero value, with Late
// set, is ready to use. It is safe for concurrent use.
type Overdue[T any] struct {
	// Late is told, on a goroutine of the timer, of what stayed longer than it
	// was given, and returns how much longer it may stay, 0 for it to leave. It
	// must not block, nor call methods of the list: once Leave returned, Late is
	// not running for that stay.
	Late func(T) time.Duration

	mu         sync.Mutex // guards the rest, and the stays
	head, tail *Stay[T]   // in the order in which they are due
	timer      *time.Timer
	due        time.Time // what the timer is set to, zero if it is not
}

// Stay is one thing's place in an Overdue. The zero value is in none.
type Stay[T any] struct {
	of         T
	due        time.Time
	prev, next *Stay[T]
	in         bool
}

// Enter lets x stay for d from now on. s must be in no list.
func (o *Overdue[T]) Enter(s *Stay[T], x T, now time.Time, d time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	s.of, s.due, s.in = x, now.Add(d), true
	o.insert(s)
	o.set(now)
}

// Leave ends a stay. One that has ended is left alone.
func (o *Overdue[T]) Leave(s *Stay[T]) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if s.in {
		o.remove(s)
	}
}

// insert puts s behind all that are due before it: at the end, as a rule.
func (o *Overdue[T]) insert(s *Stay[T]) {
	before := o.tail
	for before != nil && before.due.After(s.due) {
		before = before.prev
	}
	s.prev = before
	if before == nil {
		s.next, o.head = o.head, s
	} else {
		s.next, before.next = before.next, s
	}
	if s.next == nil {
		o.tail = s
	} else {
		s.next.prev = s
	}
}

func (o *Overdue[T]) remove(s *Stay[T]) {
	if s.prev == nil {
		o.head = s.next
	} else {
		s.prev.next = s.next
	}
	if s.next == nil {
		o.tail = s.prev
	} else {
		s.next.prev = s.prev
	}
	s.prev, s.next, s.in = nil, nil, false
}

// set makes the timer ring when the first is due. That it may then find nothing
// to do is the price of not touching it each time.
func (o *Overdue[T]) set(now time.Time) {
	if o.head == nil || !o.due.IsZero() && !o.head.due.Before(o.due) {
		return
	}
	o.due = o.head.due
	wait := ahead(o.due.Sub(now))
	if o.timer == nil {
		o.timer = time.AfterFunc(wait, o.rang)
		return
	}
	o.timer.Reset(wait)
}

// ahead is d, or a moment: a timer that is due when it is set runs on whoever set it, and
// two of them at once in a synctest bubble crash Go 1.26's race detector (golang/go#78059).
func ahead(d time.Duration) time.Duration { return max(d, 1) }

func (o *Overdue[T]) rang() {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	o.due = time.Time{}
	for o.head != nil && !o.head.due.After(now) {
		s := o.head
		o.remove(s)
		if more := o.Late(s.of); more > 0 {
			s.due, s.in = now.Add(more), true
			o.insert(s)
		}
	}
	o.set(now)
}
