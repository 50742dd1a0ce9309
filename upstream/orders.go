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
	errRestart      = errors.New("restarted by an operator")
	errReconfigured = errors.New("its configuration changed")
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
	fresh  bool       // an order wants failed attempts forgotten
	cancel context.CancelCauseFunc
}

// give gives the order that cause names and returns its number. idle reports
// that a start would find nothing to do.
func (o *orders) give(cause error, idle func() bool) uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch cause {
	case errStart: //nolint:errorlint // causes are our own values, never wrapped
		if o.up && idle() {
			return o.seq
		}
		o.up, o.fresh = true, true
	case errRestart:
		o.up, o.fresh = true, true
	case errStop:
		if !o.up {
			return o.seq
		}
		o.up = false
	default:
		if !o.up {
			return o.seq
		}
		o.fresh = o.fresh || cause == errReconfigured //nolint:errorlint // as above
	}
	o.seq++
	if o.cancel != nil {
		o.cancel(cause)
	}
	return o.seq
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
	seq   uint64
}

// begin starts a pass under ctx; end must be called.
func (o *orders) begin(ctx context.Context) (p pass, end func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	p = pass{up: o.up, fresh: o.fresh, seq: o.seq}
	o.fresh = false
	p.ctx, o.cancel = context.WithCancelCause(ctx)
	cancel := o.cancel
	return p, func() { cancel(context.Canceled) }
}
