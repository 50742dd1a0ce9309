package gateway

import (
	"sync"
)

// parks are the calls that wait for a retry, by name.
type parks struct {
	mu     sync.Mutex // guards the rest
	byName map[string]*parked
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
	if t.closed || len(t.byName) >= maxParked {
		return "", false
	}
	if t.byName == nil {
		t.byName = make(map[string]*parked)
	}
	name = randomHex(16)
	t.byName[name] = p
	return name, true
}

// take returns the call of that name, and forgets the name: a request state is
// good for one retry. Nil if there is none.
func (t *parks) take(name string) *parked {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.byName[name]
	delete(t.byName, name)
	return p
}

// close ends all calls that are parked: no retry can come any more.
func (t *parks) close() {
	t.mu.Lock()
	t.closed = true
	all := t.byName
	t.byName = nil
	t.mu.Unlock()
	for _, p := range all {
		p.cancel(errDraining)
	}
}
