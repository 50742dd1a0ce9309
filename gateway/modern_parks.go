package gateway

import (
	"sync"
)

// parks are the calls that wait for a retry, by name.
type parks struct {
	mu     sync.Mutex // guards the rest
	byName map[string]*parked
	of     map[owner]int // how many there are of each principal that said who it is
	closed bool

	tasks sync.WaitGroup // goroutines of calls that may be parked, and what is left to do after listeners
}

// run runs f in a goroutine, and reports false, without doing it, after close.
func (t *parks) run(f func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.tasks.Go(f)
	}
	return !t.closed
}

// put enters p under a new name. It reports false if there are too many, or the
// gateway is shutting down.
func (t *parks) put(p *parked) (name string, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	who := p.owner()
	if t.closed || len(t.byName) >= maxParked || who != (owner{}) && t.of[who] >= maxParkedOfOne {
		return "", false
	}
	if t.byName == nil {
		t.byName, t.of = make(map[string]*parked), make(map[owner]int)
	}
	if who != (owner{}) {
		t.of[who]++
	}
	name = randomHex(16)
	t.byName[name] = p
	return name, true
}

// owner is whose the call is, the zero owner for an anonymous principal's.
func (p *parked) owner() owner { return ownerOf(p.first.session.principal) }

// take returns the call of that name, and forgets the name: a request state is
// good for one retry. Nil if there is none.
func (t *parks) take(name string) *parked {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.byName[name]
	if p == nil {
		return nil
	}
	delete(t.byName, name)
	if who := p.owner(); t.of[who] > 1 {
		t.of[who]--
	} else {
		delete(t.of, who)
	}
	return p
}

// close ends all calls that are parked: no retry can come any more.
func (t *parks) close() {
	t.mu.Lock()
	t.closed = true
	all := t.byName
	t.byName, t.of = nil, nil
	t.mu.Unlock()
	for _, p := range all {
		p.cancel(errDraining)
	}
}
