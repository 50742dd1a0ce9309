package upstream

import (
	"context"
	"sync/atomic"
)

// Upstream is one supervised MCP server. The goroutine that a Set runs for it
// owns it; all others read snapshots or make calls, from any goroutine.
type Upstream struct {
	name      string
	set       *Set
	config    atomic.Pointer[Config]
	inventory atomic.Pointer[Inventory]
	stderr    Tail
}

func newUpstream(s *Set, c *Config) *Upstream {
	u := &Upstream{name: c.Name, set: s}
	u.config.Store(c)
	return u
}

// Name returns the name, which never changes.
func (u *Upstream) Name() string { return u.name }

// Config returns the configuration that applies now. It must not be changed.
func (u *Upstream) Config() *Config { return u.config.Load() }

// Inventory returns what the upstream listed last, nil if that was never learnt.
// It survives restarts of the upstream and of the gateway.
func (u *Upstream) Inventory() *Inventory { return u.inventory.Load() }

// Stderr returns what a child process wrote last on stderr.
func (u *Upstream) Stderr() *Tail { return &u.stderr }

// Status returns a view of the upstream at this moment.
func (u *Upstream) Status() Status { return Status{Name: u.name, State: NotStarted} }

// Start makes the upstream, and what it depends on, meant to be up. It blocks
// until the upstream runs (nil), its start failed (a *StartError), or ctx is
// done. Starting one that is in error tries again at once.
func (u *Upstream) Start(ctx context.Context) error { return nil }

// Stop makes the upstream meant to be down, until Start or Restart, and blocks
// until it is stopped or ctx is done. A start under way is cancelled.
func (u *Upstream) Stop(ctx context.Context) error { return nil }

// Restart stops and starts the upstream and forgets the failed attempts. It
// blocks like Start.
func (u *Upstream) Restart(ctx context.Context) error { return nil }

// Release says that the client session of that key is gone: its link, if it has
// one, is closed, and its subscriptions end. It does not block.
func (u *Upstream) Release(scopeKey string) {}

func (u *Upstream) configure(c *Config) { u.config.Store(c) }
func (u *Upstream) order(cause error)   {}

var errReconfigured = context.Canceled
