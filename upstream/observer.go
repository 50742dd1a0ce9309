package upstream

import (
	"time"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// Observer is told what happens to upstreams, for logs, metrics and spans. Its
// methods are called on the goroutine that owns the upstream, one at a time for
// each upstream, and must not block.
type Observer interface {
	// StateChanged is called at each change of state.
	StateChanged(s Status)
	// BreakerChanged is called at each change of the breaker as it is shown.
	BreakerChanged(name string, from, to BreakerState)
	// StageBegan is called as a start goes on: dependencies, spawn, handshake,
	// probe, list, as in Stage. StateChanged tells the outcome.
	StageBegan(name string, generation uint64, stage string)
	// Probed is called after each probe. A nil err is a pass; ErrNeutral one
	// that says nothing. took is 0 where a call stood for the probe.
	Probed(name string, took time.Duration, err error)
	// Listed is called when an upstream listed something else than before, and
	// when it listed for the first time ever: before is nil then. Neither may be
	// changed.
	Listed(name string, before, after *Inventory)
}

// Handler is told what servers send outside of calls. Its methods are called on
// a link's reader and must not block. scope is the link's: the zero Scope is the
// supervised one.
type Handler interface {
	// Notified is a notification that belongs to no call: a resource's update, a
	// log message. A list_changed of the supervised link is handled inside.
	Notified(upstream string, scope Scope, m jsonrpc.Message)
	// Asked is a request of the server that belongs to no call.
	Asked(upstream string, scope Scope, q *Question)
}

// silent is the Observer in the place of none.
type silent struct{}

func (silent) StateChanged(Status)                               {}
func (silent) BreakerChanged(string, BreakerState, BreakerState) {}
func (silent) StageBegan(string, uint64, string)                 {}
func (silent) Probed(string, time.Duration, error)               {}
func (silent) Listed(string, *Inventory, *Inventory)             {}
