package upstream

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"sync"
	"time"
)

// conns are the connections to one server over plain HTTP/1.1, shared by all
// links to it. It is what http.Transport is for all others: here the caller's
// own goroutine writes and reads, and a kept connection is looked at before it
// is used again, because a message must not be sent twice.
type conns struct {
	addr    string
	connect connectFunc
	max     int           // how many are kept
	tailFor time.Duration // how long a body that has not ended is waited for

	mu    sync.Mutex // guards what follows
	idle  []*conn    // the one used last at the end
	tails []*conn    // answered, but their bodies have not ended; the oldest first
	sweep *time.Timer
	due   time.Time // when sweep fires, zero for never
	over  bool
}

const (
	maxIdle = 90 * time.Second
	// idleMargin is how long before the end that a server announced a connection
	// is not used any more, so that the request does not meet it.
	idleMargin = time.Second
)

func newConns(u *url.URL, connect connectFunc, max int) *conns {
	port := u.Port()
	if port == "" {
		port = "80"
	}
	return &conns{addr: net.JoinHostPort(u.Hostname(), port), connect: connect, max: max, tailFor: tailPatience}
}

// send sends q over a kept or a new connection and blocks for the header of its
// response. A request of which nothing was written, because the connection was
// dead, is sent over another. The error is a *TransportError.
func (p *conns) send(ctx context.Context, l *life, q *outgoing) (*response, *TransportError) {
	for {
		if ctx.Err() != nil { // before anything is written, so that it is known not to be
			return nil, &TransportError{Executed: ExecutedNo, Reason: "dial", Err: context.Cause(ctx)}
		}
		c := p.kept()
		fresh := c == nil
		if fresh {
			var err error
			if c, err = p.dial(ctx, l); err != nil {
				return nil, &TransportError{Executed: ExecutedNo, Reason: "dial", Err: fmt.Errorf("no connection: %w", err)}
			}
		}
		if !l.hold(c) {
			p.put(c)
			return nil, &TransportError{Executed: ExecutedNo, Reason: "closed", Lost: true, Err: ErrClosed}
		}
		c.life = l
		resp, err := c.roundTrip(ctx, q)
		if err == nil || fresh || c.wrote > 0 || ctx.Err() != nil || l.ctx.Err() != nil {
			return resp, err
		}
	}
}

func (p *conns) dial(ctx context.Context, l *life) (*conn, error) {
	bound, done := bindContext(ctx, l.ctx)
	defer done()
	n, err := p.connect(bound, "tcp", p.addr)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, err
	}
	return newConn(p, n), nil
}

// kept returns a connection that is idle and was alive a moment ago, nil if
// there is none.
func (p *conns) kept() *conn {
	for {
		c := p.pop()
		switch {
		case c == nil:
			return p.settled()
		case time.Since(c.since) < c.patience() && c.alive():
			return c
		}
		c.close()
	}
}

// patience is how long an idle connection may be kept.
func (c *conn) patience() time.Duration {
	if c.idleFor > 0 {
		return min(c.idleFor-idleMargin, maxIdle)
	}
	return maxIdle
}

func (p *conns) pop() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.idle)
	if n == 0 {
		return nil
	}
	c := p.idle[n-1]
	p.idle[n-1] = nil
	p.idle = p.idle[:n-1]
	return c
}

// settled returns one of the tails that came to its end meanwhile. It does not
// look at many: what has not ended by now may never.
func (p *conns) settled() *conn {
	for range 4 {
		p.mu.Lock()
		if len(p.tails) == 0 {
			p.mu.Unlock()
			return nil
		}
		c := p.tails[0]
		p.tails = append(p.tails[:0], p.tails[1:]...)
		p.mu.Unlock()
		done, good := c.settle(true)
		switch {
		case done && c.r == c.w && c.alive():
			return c
		case !done && good && time.Since(c.since) < p.tailFor:
			p.putTail(c)
		default:
			c.close()
		}
	}
	return nil
}

// put keeps c for another request.
func (p *conns) put(c *conn) {
	if c.raw == nil || c.r < c.w || c.patience() <= 0 {
		c.close()
		return
	}
	c.free()
	c.since = time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over || len(p.idle) >= p.max {
		c.close()
		return
	}
	p.idle = append(p.idle, c)
	p.plan(maxIdle / 3)
}

// putTail keeps c, the body of whose response has not ended.
func (p *conns) putTail(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over || len(p.tails) >= p.max {
		c.close()
		return
	}
	p.tails = append(p.tails, c)
	p.plan(p.tailFor)
}

// plan sees to it that what is kept is looked through within d.
func (p *conns) plan(d time.Duration) {
	at := time.Now().Add(d)
	switch {
	case p.sweep == nil:
		p.sweep = time.AfterFunc(d, p.clean)
	case p.due.IsZero() || at.Before(p.due.Add(-d/2)):
		p.sweep.Reset(d)
	default:
		return
	}
	p.due = at
}

// clean closes what was kept for too long.
func (p *conns) clean() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.due = time.Time{}
	now := time.Now()
	p.idle = weed(p.idle, func(c *conn) bool { return now.Sub(c.since) < c.patience() })
	p.tails = weed(p.tails, func(c *conn) bool { return now.Sub(c.since) < p.tailFor })
	switch {
	case len(p.tails) > 0:
		p.plan(p.tailFor)
	case len(p.idle) > 0:
		p.plan(maxIdle / 3)
	}
}

// weed closes and leaves out those that are not good.
func weed(list []*conn, good func(*conn) bool) []*conn {
	left := list[:0]
	for _, c := range list {
		if good(c) {
			left = append(left, c)
		} else {
			c.close()
		}
	}
	clear(list[len(left):])
	return left
}

// end closes what is kept, and keeps nothing more.
func (p *conns) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	if p.sweep != nil {
		p.sweep.Stop()
	}
	none := func(*conn) bool { return false }
	p.idle, p.tails = weed(p.idle, none), weed(p.tails, none)
}
