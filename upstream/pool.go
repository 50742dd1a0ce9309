package upstream

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// pool holds the links that one scope each owns: a process or a session of its
// own, made on first use. Those of one session end with it; the others, when nobody
// has used them for limits.idle.
type pool struct {
	u *Upstream

	mu       sync.Mutex // guards the rest
	ready    bool       // while the upstream is up
	links    map[string]*pooled
	parted   map[*pooled]struct{} // those that are left to the calls that have them
	idle     *time.Timer          // rings when a link may have been idle for long enough
	watching bool                 // it is set
}

// pooled is a link of the pool, or its making.
type pooled struct {
	made   chan struct{} // closed when link or err is set
	link   *live
	err    error
	cancel context.CancelFunc // ends the making

	principal string    // whose credentials it has, "" for the gateway's
	parted    bool      // it is in use, but nobody gets it any more: guarded by pool.mu
	lasts     bool      // no session's end is its end
	users     int       // calls that have it, or wait for it
	left      time.Time // when the last of them went
}

var (
	errPoolClosed = errors.New("the upstream was stopped")
	errDialling   = errors.New("no connection of its own was made in its time")
	errPoolFull   = errors.New("too many processes for sessions of their own")
)

func (p *pool) init(u *Upstream) {
	p.u = u
	p.links = make(map[string]*pooled)
	p.idle = time.AfterFunc(time.Hour, p.rang)
	p.idle.Stop()
}

// opened lets links be made.
func (p *pool) opened() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ready = true
}

// link returns the link of a call's scope and blocks while it is made, once for
// all who ask, as long as the call has time. dialling is called before it blocks.
// A link that is returned is in use until its leave.
func (p *pool) link(ctx context.Context, c *Call, dialling func()) (l *live, err error) {
	key := c.Scope.link()
	p.mu.Lock()
	x := p.links[key]
	switch {
	case x == nil:
	case x.lost():
		p.take(done(), key)
		x = nil
	case x.principal != c.Scope.Principal: // nobody's credentials are for another
		p.part(key)
		x = nil
	}
	if x == nil {
		var err error
		if x, err = p.make(c); err != nil {
			p.mu.Unlock()
			return nil, err
		}
	}
	x.users++
	p.mu.Unlock()
	defer func() {
		if err != nil {
			p.unused(x)
		}
	}()
	select {
	case <-x.made:
		return x.link, x.err
	default:
	}
	dialling()
	left := c.flight.left(time.Now())
	if left <= 0 {
		return nil, errDialling
	}
	late := time.NewTimer(left)
	defer late.Stop()
	select {
	case <-x.made:
		return x.link, x.err
	case <-late.C:
		return nil, errDialling
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// peek returns the scope's link if there is one.
func (p *pool) peek(key string) *live {
	p.mu.Lock()
	defer p.mu.Unlock()
	x := p.links[key]
	if x == nil {
		return nil
	}
	select {
	case <-x.made:
		return x.link
	default:
		return nil
	}
}

func (x *pooled) lost() bool {
	select {
	case <-x.made:
		return x.link == nil || x.link.dead()
	default:
		return false
	}
}

// make begins to make the link of a call's scope. p.mu is held.
func (p *pool) make(first *Call) (*pooled, error) {
	c, scope := p.u.Config(), first.Scope
	if !p.ready {
		return nil, errPoolClosed
	}
	if most := c.Limits.Processes; c.Kind() == Stdio && len(p.links) >= most && !p.makeRoom() {
		return nil, fmt.Errorf("%w: %d, the most that limits.processes allows; raise it", errPoolFull, most)
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), c.StartTimeout, errStartTimeout)
	x := &pooled{made: make(chan struct{}), cancel: cancel, principal: scope.Principal, lasts: !scope.Exclusive, left: time.Now()}
	p.links[scope.link()] = x
	if by := first.mark(); by != nil { // what the handshake asks is asked for the call
		ctx = (&behalf{of: by}).on(ctx)
	}
	if !p.u.tasks.run(func() { p.dial(ctx, scope, x) }) {
		cancel()
		delete(p.links, scope.link())
		return nil, errPoolClosed
	}
	return x, nil
}

// dial makes the link of x.
func (p *pool) dial(ctx context.Context, scope Scope, x *pooled) {
	defer x.cancel()
	u := p.u
	l := &live{scope: scope, gen: u.phase.Load().status.Generation, pooled: x}
	capabilities := sharedCapabilities
	if scope.Exclusive {
		capabilities = scope.Capabilities
	}
	link, err := u.set.o.Dialer.Dial(ctx, &Dial{
		Config: u.Config(), Capabilities: capabilities, ClientInfo: u.set.o.ClientInfo, Era: &u.era,
		Exclusive: scope.Exclusive, Principal: scope.Principal, Inbox: &inbox{u: u, link: l}, Stderr: &u.stderr,
		Renewed: func(h *Hello) { u.anotherSession(l, h); u.renewed(l) },
		Ended:   func(err error) { u.sessionLost(l, err) },
	})
	var level string
	if err == nil {
		l.Link = link
		u.inSession(l)
		level = u.relevel(ctx, l)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	defer close(x.made)
	held := p.links[scope.link()] == x
	switch {
	case err != nil:
		x.err = err
		if held {
			delete(p.links, scope.link())
		} else {
			x.err = errPoolClosed
		}
	case !held: // released meanwhile
		x.err = errPoolClosed
		u.tasks.run(func() { link.Close(done()) })
	default:
		x.link = l
		u.renew(l, level)
	}
}

// take removes a link and closes it, in a task; a done ctx means by force. p.mu
// is held.
func (p *pool) take(ctx context.Context, key string) {
	x := p.links[key]
	if x == nil {
		return
	}
	delete(p.links, key)
	x.cancel()
	select {
	case <-x.made:
	default:
		return // its making sees that it is gone
	}
	if x.link != nil {
		p.u.tasks.run(func() { x.link.Close(ctx) })
	}
}

// release closes the link of a scope that is over.
func (p *pool) release(key string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.take(p.u.set.force, key)
}

// closeAll lets no more links be made and closes all. The channel is closed when
// nothing of them is left.
func (p *pool) closeAll(ctx context.Context) <-chan struct{} {
	p.mu.Lock()
	p.ready, p.watching = false, false
	p.idle.Stop()
	links := slices.Collect(maps.Values(p.links))
	links = slices.AppendSeq(links, maps.Keys(p.parted))
	p.links, p.parted = make(map[string]*pooled), nil
	p.mu.Unlock()
	var wg sync.WaitGroup
	for _, x := range links {
		x.cancel()
		wg.Go(func() {
			<-x.made
			if x.link != nil {
				x.link.Close(ctx)
			}
		})
	}
	all := make(chan struct{})
	go func() { wg.Wait(); close(all) }()
	return all
}

// done returns a context that is over: what is asked of Close by force.
func done() context.Context {
	ctx, cancel := context.WithDeadline(context.Background(), time.Unix(0, 0))
	cancel()
	return ctx
}
