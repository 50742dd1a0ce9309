package rate

import (
	"container/heap"
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/policy/narrow"
)

// comeBack is what a call that got no slot is told: when one is free nobody knows.
const comeBack = time.Second

// share is a number of slots. A slot that is free goes at once to whoever may have
// it. While none is, calls wait; one that becomes free goes to the principal who
// has the fewest, of those to the one whose first call has waited longest, and of
// its calls to the first. Nobody's call is ended for another's.
type share struct {
	scope       narrow.Scope
	each        int // how many slots a principal may have
	wait        time.Duration
	queue       int    // how many calls of a principal may wait
	taken, late string // the reasons of refusals
	full        string

	mu    sync.Mutex // guards all below
	free  int
	all   map[string]*party // those that have a slot or wait for one
	lines lines             // those that wait
	came  uint64            // how many calls have ever waited
}

// party is one principal.
type party struct {
	key     string
	has     int
	waiting []*waiter // in order
	index   int       // in lines, -1 while nobody waits
}

// waiter is a call that waits.
type waiter struct {
	order    uint64
	admitted chan struct{} // closed once it has its slot
}

func newShare(c *Share) *share {
	s := &share{
		scope: narrow.New(c.Config), each: c.Total, wait: defaultWait, queue: defaultQueue,
		free: c.Total, all: make(map[string]*party),
	}
	if n, err := strconv.Atoi(c.PerPrincipal); err == nil {
		s.each = n
	}
	if c.Wait != nil {
		s.wait = *c.Wait
	}
	if c.Queue != nil {
		s.queue = *c.Queue
	}
	s.taken = fmt.Sprintf("%d calls run at once already", c.Total)
	if s.each < c.Total {
		s.taken = fmt.Sprintf("%d calls run at once already, or %d of this principal", c.Total, s.each)
	}
	s.late = s.taken + ", and no slot was free within " + s.wait.String()
	s.full = fmt.Sprintf("%s, and %d of this principal wait", s.taken, s.queue)
	return s
}

// enter takes a slot for the principal, and blocks until there is one, ctx ends or
// the wait is over. The error is a *policy.Denial or the cause of ctx's end.
func (s *share) enter(ctx context.Context, key string) error {
	wait := s.wait
	if policy.Trial(ctx) {
		wait = 0
	}
	p, w, reason := s.ask(key, wait)
	if reason != "" {
		return &policy.Denial{Reason: reason, RetryAfter: comeBack}
	}
	if w == nil {
		return nil
	}
	t := time.NewTimer(s.wait)
	defer t.Stop()
	var err error
	select {
	case <-w.admitted:
		return nil
	case <-t.C:
		err = &policy.Denial{Reason: s.late, RetryAfter: comeBack}
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if !s.withdraw(p, w) { // it was admitted just now
		if ctx.Err() == nil {
			return nil
		}
		s.leave(key)
	}
	return err
}

// ask takes a slot, or a place in the line if there may be a wait, or says why there
// is neither.
func (s *share) ask(key string, wait time.Duration) (*party, *waiter, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.all[key]
	if p == nil {
		p = &party{key: key, index: -1}
		s.all[key] = p
	}
	// While a slot is free, all who wait have as many as they may: see admit.
	if s.free > 0 && p.has < s.each {
		p.has++
		s.free--
		return p, nil, ""
	}
	switch {
	case wait == 0:
		s.forget(p)
		return nil, nil, s.taken
	case len(p.waiting) >= s.queue:
		s.forget(p)
		return nil, nil, s.full
	}
	s.came++
	w := &waiter{s.came, make(chan struct{})}
	p.waiting = append(p.waiting, w)
	if p.index < 0 {
		heap.Push(&s.lines, p)
	}
	return p, w, ""
}

// withdraw takes a call out of its line; it is false if the call was admitted.
func (s *share) withdraw(p *party, w *waiter) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range p.waiting {
		if p.waiting[i] == w {
			p.waiting = append(p.waiting[:i], p.waiting[i+1:]...)
			s.moved(p)
			s.forget(p)
			return true
		}
	}
	return false
}

// leave gives back a slot of the principal.
func (s *share) leave(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.all[key]
	p.has--
	s.free++
	s.moved(p)
	s.admit()
	s.forget(p)
}

// admit gives free slots away. The caller holds mu, as for all below.
func (s *share) admit() {
	for s.free > 0 && len(s.lines) > 0 {
		p := s.lines[0]
		if p.has >= s.each { // as have all behind it
			return
		}
		w := p.waiting[0]
		p.waiting = p.waiting[1:]
		p.has++
		s.free--
		s.moved(p)
		close(w.admitted)
	}
}

// moved puts a principal to where it belongs among those that wait.
func (s *share) moved(p *party) {
	switch {
	case p.index < 0:
	case len(p.waiting) == 0:
		heap.Remove(&s.lines, p.index)
	default:
		heap.Fix(&s.lines, p.index)
	}
}

// forget drops a principal that neither has a slot nor waits.
func (s *share) forget(p *party) {
	if p.has == 0 && len(p.waiting) == 0 {
		delete(s.all, p.key)
	}
}

// lines are those that wait, as a heap: the first is whose turn it is.
type lines []*party

// Len implements heap.Interface.
func (l *lines) Len() int { return len(*l) }

// Less implements heap.Interface.
func (l *lines) Less(i, j int) bool {
	a, b := (*l)[i], (*l)[j]
	if a.has != b.has {
		return a.has < b.has
	}
	return a.waiting[0].order < b.waiting[0].order
}

// Swap implements heap.Interface.
func (l *lines) Swap(i, j int) {
	all := *l
	all[i], all[j] = all[j], all[i]
	all[i].index, all[j].index = i, j
}

// Push implements heap.Interface.
func (l *lines) Push(x any) {
	p := x.(*party)
	p.index = len(*l)
	*l = append(*l, p)
}

// Pop implements heap.Interface.
func (l *lines) Pop() any {
	last := len(*l) - 1
	p := (*l)[last]
	(*l)[last] = nil
	p.index = -1
	*l = (*l)[:last]
	return p
}
