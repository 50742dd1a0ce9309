package upstream

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Upstream is one supervised MCP server. The goroutine that a Set runs for it
// owns it; all others read snapshots or make calls, from any goroutine.
type Upstream struct {
	name      string
	set       *Set
	config    atomic.Pointer[Config]
	inventory atomic.Pointer[Inventory]
	unlearnt  atomic.Bool // what the configured server lists was never learnt
	era       Era
	// phase is where the owner is in the upstream's life. Only it replaces it.
	phase  atomic.Pointer[phase]
	orders orders
	stderr Tail

	breaker  *breaker
	bulkhead bulkhead
	clocks   Overdue[*flight]
	pool     pool
	wants    wants
	samples  samples
	absent   *time.Timer // runs while it is down and should be up
	figures  figures

	// Pokes for the owner, each of capacity 1.
	nudge  chan struct{} // a dependency changed
	listed chan struct{} // the server says that a list changed
	timed  chan struct{} // calls timed out: a probe has to decide
	tuned  chan struct{} // the configuration changed
	wake   chan struct{} // somebody may need it, if it starts on demand
	signed chan struct{} // somebody signed in for it

	checked chan checked // the newest check that the owner has not shown yet; capacity 1

	timeouts  atomic.Int64  // calls timed out and not judged
	evidence  atomic.Int64  // Unix ns of the last successful call
	notBefore atomic.Int64  // Unix ns before which the server wants nothing
	cut       atomic.Int64  // Unix ns of the last call or probe that met no server
	calls     atomic.Int64  // ever
	signIns   atomic.Uint64 // of the gateway's own

	// lacking is that somebody has to sign in, from when the breaker opens for that to
	// the next start; else nil.
	lacking atomic.Pointer[Failure]

	victims suspects // calls that were in flight when the link died
	slow    suspects // calls that timed out and are not judged
	waker   waker    // what needs it, if it starts on demand

	tasks tasks                   // short work beside the owner, which waits for it
	quit  context.CancelCauseFunc // of run; nil before it
	over  atomic.Bool             // quit was called
	done  chan struct{}           // closed when the owner has left
}

// phase is a snapshot. It never changes; changed is closed when there is a newer
// one.
type phase struct {
	status  Status
	link    *live  // where calls go, nil while none may
	order   uint64 // the last order that was taken up: its start began, its stop is done
	held    bool   // a start that what it depends on holds up
	spawned bool   // the condition `started` is met
	ran     bool   // the last start got to running
	stages  []Stage
	finding finding // the last probe
	removed bool
	marks   marks
	changed chan struct{}
}

// live is a link and who uses it.
type live struct {
	Link
	scope Scope
	gen   uint64
	calls atomic.Int64 // inside their own deadline

	pooled *pooled // nil for the supervised link
	tenure tenure
}

func (l *live) dead() bool {
	select {
	case <-l.Lost():
		return true
	default:
		return false
	}
}

func newUpstream(s *Set, c *Config) *Upstream {
	u := &Upstream{
		name: c.Name, set: s,
		nudge: make(chan struct{}, 1), listed: make(chan struct{}, 1),
		timed: make(chan struct{}, 1), tuned: make(chan struct{}, 1), wake: make(chan struct{}, 1),
		signed:  make(chan struct{}, 1),
		checked: make(chan checked, 1),
		done:    make(chan struct{}),
	}
	u.config.Store(c)
	u.orders.init(s.force)
	u.breaker = newBreaker(func() BreakerConfig { return u.Config().Breaker })
	if s.o.Chronicle != nil {
		u.breaker.tell = u.tellOpening
	}
	u.bulkhead.limits = func() Limits { return u.Config().Limits }
	u.clocks.Late = (*flight).late
	u.pool.init(u)
	u.wants.links = make(map[string]*want)
	u.absent = time.AfterFunc(time.Hour, u.stillDown)
	u.absent.Stop()
	u.phase.Store(&phase{
		status: Status{
			Name: c.Name, State: NotStarted, Breaker: BreakerClosed, Since: time.Now(), Transport: c.Kind(), Required: c.Required,
		},
		changed: make(chan struct{}),
	})
	u.recall()
	return u
}

// recall takes over what was kept for the configuration that applies now.
func (u *Upstream) recall() {
	u.era.forget()
	inv := u.set.load(u.Config())
	u.unlearnt.Store(inv == nil)
	if inv != nil {
		u.inventory.Store(inv)
		u.era.set(inv.Version)
	}
}

// Name returns the name, which never changes.
func (u *Upstream) Name() string { return u.name }

// Config returns the configuration that applies now. It must not be changed.
func (u *Upstream) Config() *Config { return u.config.Load() }

// Inventory returns what the upstream listed last, nil if that was never learnt.
// It survives restarts of the upstream and of the gateway.
func (u *Upstream) Inventory() *Inventory { return u.inventory.Load() }

// Modern reports whether the server spoke 2026-07-28 in its last handshake, or if
// there was none yet, when it listed last.
func (u *Upstream) Modern() bool {
	if h := u.phase.Load().status.Hello; h != nil {
		return h.Modern()
	}
	inv := u.Inventory()
	return inv != nil && inv.Version >= latestModern
}

// Version returns the revision that was agreed on in the last handshake, "" before
// the first.
func (u *Upstream) Version() string {
	if h := u.phase.Load().status.Hello; h != nil {
		return h.Version
	}
	return ""
}

// Stderr returns what a child process wrote last on stderr.
func (u *Upstream) Stderr() *Tail { return &u.stderr }

// Status returns a view of the upstream at this moment.
func (u *Upstream) Status() Status {
	p := u.phase.Load()
	s := p.status
	c := u.Config()
	s.Desired = u.orders.wanted()
	s.Transport, s.Required, s.OnDemand = c.Kind(), c.Required, c.Start == OnDemand
	s.InFlight, s.Queued = int(u.bulkhead.taken.Load()), int(u.bulkhead.queued.Load())
	if p.link != nil {
		if l, ok := p.link.Link.(interface{ Skipped() uint64 }); ok {
			s.Skipped = l.Skipped()
		}
	}
	if s.State == Running && p.finding.stale(time.Now()) {
		s.State = Unknown
	}
	s.Health = p.health(&s)
	return s
}

func (p *phase) health(s *Status) string {
	switch {
	case s.State == Errored:
		return "unhealthy"
	case s.State == Running && s.Breaker == BreakerClosed && p.finding.err == nil:
		return "healthy"
	case s.State == NotStarted, s.Idle, !s.Desired && (s.State == Stopped || s.State == Stopping):
		return ""
	}
	return "degraded"
}

// Start makes the upstream, and what it depends on, meant to be up. It blocks
// until the upstream runs (nil), its start failed (a *StartError), or ctx is
// done. Starting one that is in error tries again at once.
func (u *Upstream) Start(ctx context.Context) error {
	return u.carry(ctx, VerbStart)
}

// Stop makes the upstream meant to be down, until Start or Restart, and blocks
// until it is stopped or ctx is done. A start under way is cancelled.
func (u *Upstream) Stop(ctx context.Context) error {
	return u.carry(ctx, VerbStop)
}

// Restart stops and starts the upstream and forgets the failed attempts. It
// blocks like Start.
func (u *Upstream) Restart(ctx context.Context) error {
	return u.carry(ctx, VerbRestart)
}

func (u *Upstream) carry(ctx context.Context, v Verb) error {
	return u.set.issue(v, []*Upstream{u})[0].Wait(ctx)
}

// take takes an order, as orders.take.
func (u *Upstream) take(cause error) (seq uint64, given bool) {
	return u.orders.take(cause, func(hand uint64) bool {
		p := u.phase.Load()
		s := &p.status
		return p.order < hand || s.State != Errored && s.State != Stopped && !s.Idle
	})
}

// configure makes c apply. What a restart is needed for applies at the next.
func (u *Upstream) configure(c *Config) {
	u.config.Store(c)
	poke(u.tuned)
}

// gone marks u as removed, after its owner has left.
func (u *Upstream) gone() {
	old := u.phase.Load()
	p := *old
	p.removed, p.changed = true, make(chan struct{})
	u.phase.Store(&p)
	close(old.changed)
}

// settled blocks until the owner has taken up an order and is done with it, or
// another order came in its way.
func (u *Upstream) settled(ctx context.Context, order uint64, want State) error {
	for {
		p := u.phase.Load()
		s := &p.status
		switch {
		case p.removed:
			return u.refuse("removed", "it was removed", 0)
		case p.order < order:
		case s.State == want, want == Stopped && s.State == NotStarted:
			return nil
		case want == Stopped && p.order > order:
			return nil // it was, and is started again
		case want == Running && s.Idle:
			return nil // it was, and is no longer needed
		case s.State == Errored:
			f := s.Failure
			return &StartError{Stage: f.Stage, Exit: f.Exit, Stderr: f.Stderr, Err: f}
		case s.State == Stopped && p.order > order:
			return u.refuse("stopped", "it was stopped meanwhile", 0)
		}
		select {
		case <-p.changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// poke puts a token into a channel of capacity 1.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// tasks are goroutines that somebody waits for.
type tasks struct {
	wg   sync.WaitGroup
	mu   sync.Mutex // guards over
	over bool
}

// run runs f in a goroutine, and reports false, without doing it, after wait.
func (t *tasks) run(f func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.over {
		t.wg.Go(f)
	}
	return !t.over
}

// wait blocks until all have ended, and lets no more begin.
func (t *tasks) wait() {
	t.mu.Lock()
	t.over = true
	t.mu.Unlock()
	t.wg.Wait()
}
