package upstream

import (
	"context"
	"errors"
	"sync"
)

// What ends the pass that an upstream's owner is in.
var (
	errStart        = errors.New("started by an operator")
	errStop         = errors.New("stopped by an operator")
	errKill         = errors.New("killed by an operator")
	errRestart      = errors.New("restarted by an operator")
	errReconfigured = errors.New("its configuration changed")
	errIdle         = errors.New("nobody needed it for idle_stop")
	errSignedOut    = errors.New("its sign-in was given up")
	errEdge         = errors.New("an upstream it depends on was lost")
	errRemoved      = errors.New("it was removed")
	errShutdown     = errors.New("the gateway stops")
)

// orders is what others want of an upstream's owner. The owner works in passes,
// each under a context that the next order ends.
type orders struct {
	mu     sync.Mutex // guards all
	up     bool       // the desired state
	seq    uint64     // of the last order
	begun  uint64     // of the last order whose pass began
	cause  error      // of the last order
	fresh  bool       // an order wants failed attempts forgotten
	hand   uint64     // of the last order to start or restart it by hand
	cancel context.CancelCauseFunc

	root  context.Context //nolint:containedctx // done when all that stops must stop at once
	force context.Context //nolint:containedctx // done when this one must
	kill  context.CancelFunc
}

func (o *orders) init(root context.Context) {
	o.up, o.root = true, root
	o.force, o.kill = context.WithCancel(root)
}

// take takes the order that cause names and returns its number. The pass under
// way goes on until press is called with that. given is false where there was
// nothing to order; settled reports that of a start, given the number of the last
// by hand.
func (o *orders) take(cause error, settled func(hand uint64) bool) (seq uint64, given bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch cause {
	case errStart: //nolint:errorlint // causes are our own values, never wrapped
		if o.up && settled(o.hand) {
			return o.seq, false
		}
		o.up, o.fresh, o.hand = true, true, o.seq+1
	case errRestart:
		o.up, o.fresh, o.hand = true, true, o.seq+1
	case errStop:
		if !o.up {
			return o.seq, false
		}
		o.up = false
	case errKill:
		o.kill()
		if !o.up {
			if o.begun < o.seq { // a stop that waits for others waits no longer
				o.cause = errKill
			}
			return o.seq, false
		}
		o.up = false
	default:
		if !o.up {
			return o.seq, false
		}
		o.fresh = o.fresh || cause == errReconfigured //nolint:errorlint // as above
	}
	o.seq++
	o.cause = cause
	return o.seq, true
}

// press ends the pass under way for the order of that number, unless there is a
// newer one, or its own pass has begun.
func (o *orders) press(seq uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.seq == seq && o.begun < seq && o.cancel != nil {
		o.cancel(o.cause)
	}
}

// last returns the number of the last order.
func (o *orders) last() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.seq
}

// killed reports whether it was this one that had to stop at once.
func (o *orders) killed() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.force.Err() != nil && o.root.Err() == nil
}

// release lets go of what ends with the owner.
func (o *orders) release() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.kill()
}

// forced returns a context that is done when the upstream must stop at once.
func (o *orders) forced() context.Context {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.force
}

func (o *orders) wanted() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.up
}

// pass is what the owner has been told at the begin of a pass.
type pass struct {
	ctx   context.Context //nolint:containedctx // a value handed over within one pass of the owner
	up    bool
	fresh bool
	// ordered says that this is the first pass of the order.
	ordered bool
	hand    bool // started by hand, whether it is needed or not
	seq     uint64
	cause   error // of the order, nil before the first
}

// begin starts a pass under ctx; end must be called.
func (o *orders) begin(ctx context.Context) (p pass, end func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	p = pass{up: o.up, fresh: o.fresh, hand: o.hand > o.begun, seq: o.seq, cause: o.cause, ordered: o.seq > o.begun}
	o.fresh, o.begun = false, o.seq
	if o.up && o.force.Err() != nil && o.root.Err() == nil {
		o.force, o.kill = context.WithCancel(o.root) // a kill is of what runs then
	}
	p.ctx, o.cancel = context.WithCancelCause(ctx)
	cancel := o.cancel
	return p, func() { cancel(context.Canceled) }
}
