package upstream

import (
	"context"
	"sync"
)

// life is all that goes on over one link to a remote, and that ends with it:
// background work, and the connections that its requests hold.
type life struct {
	ctx    context.Context //nolint:containedctx // it ends with the link, as all background work does
	cancel context.CancelFunc
	work   sync.WaitGroup // background goroutines

	mu   sync.Mutex // guards what follows
	over bool
	held *conn // the first of a list
}

func newLife() *life {
	l := new(life)
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

// spawn runs f in the background, and reports false, without doing it, after
// end. f must end with l.ctx.
func (l *life) spawn(f func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.over {
		l.work.Go(f)
	}
	return !l.over
}

// hold notes that a request uses c, and reports false after end.
func (l *life) hold(c *conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return false
	}
	c.next = l.held
	if c.next != nil {
		c.next.prev = c
	}
	l.held = c
	return true
}

// drop takes back hold.
func (l *life) drop(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		l.held = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	}
	c.prev, c.next = nil, nil
}

// end ends all of it, without waiting.
func (l *life) end() {
	l.mu.Lock()
	l.over = true
	for c := l.held; c != nil; c = c.next {
		c.abort()
	}
	l.mu.Unlock()
	l.cancel()
}
