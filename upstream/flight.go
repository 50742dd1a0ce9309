package upstream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// What ends a call by itself.
var (
	errSilent  = errors.New("no answer in time")
	errTooLong = errors.New("no answer within max_call_timeout")
)

// flight is a call on its way: its clock, its slot, and what the server sends on
// its behalf. It stands between the link and the caller's Peer.
type flight struct {
	u       *Upstream
	call    *Call
	peer    Peer // the call's; the link is given the flight in its place
	begun   time.Time
	silence time.Duration // call_timeout
	limit   time.Duration // max_call_timeout
	heard   atomic.Int64  // ns since begun of the last sign of life
	open    atomic.Int64  // questions that are not answered

	cancel context.CancelCauseFunc
	clock  Stay[*flight] // in u.clocks
	sent   bool          // at least once

	mu      sync.Mutex // guards the rest
	over    bool
	resting bool // the slot is left to others
}

func (c *Call) fly(u *Upstream) *flight {
	cfg := u.Config()
	f := &c.flight
	if c.Begun.IsZero() {
		c.Begun = time.Now()
	}
	f.u, f.call, f.begun, f.silence, f.limit = u, c, c.Begun, cfg.CallTimeout, cfg.MaxCallTimeout
	f.peer, c.Request.Peer = c.Request.Peer, f
	return f
}

// send sends the call once, in a seat that it gives back. The error is the
// link's, or what ended the wait.
func (f *flight) send(ctx context.Context, s seat, now time.Time) (jsonrpc.Message, error) {
	if f.cancel = f.call.Cancel; f.cancel == nil {
		ctx, f.cancel = context.WithCancelCause(ctx)
		defer f.cancel(nil)
	}
	f.mu.Lock()
	f.over, f.resting = false, false
	f.mu.Unlock()
	f.u.clocks.Enter(&f.clock, f, now, f.left(now))
	s.link.calls.Add(1)
	f.u.calls.Add(1)
	m, err := s.link.Do(ctx, &f.call.Request)
	s.link.calls.Add(-1)
	if x := s.link.pooled; x != nil {
		f.u.pool.unused(x)
	}
	f.u.clocks.Leave(&f.clock)
	f.land()
	return m, err
}

// land gives the slot back.
func (f *flight) land() {
	f.mu.Lock()
	f.over = true
	held := !f.resting
	f.mu.Unlock()
	if held {
		f.u.bulkhead.release()
	} else {
		f.u.bulkhead.resting.Add(-1)
	}
}

// left returns how long the call may still be silent.
func (f *flight) left(now time.Time) time.Duration {
	spent := now.Sub(f.begun)
	return min(f.silence-(spent-time.Duration(f.heard.Load())), f.limit-spent)
}

// late is called when the clock rings. It ends the call, or returns how long it
// may go on.
func (f *flight) late() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	switch {
	case f.over:
		return 0
	case now.Sub(f.begun) >= f.limit:
		f.cancel(fmt.Errorf("%w (%v)", errTooLong, f.limit))
		return 0
	case f.waiting():
		f.alive()
	}
	left := f.left(now)
	if left <= 0 {
		f.cancel(fmt.Errorf("%w: silence for %v", errSilent, f.silence))
	}
	return left
}

// expired reports whether err says that a clock ended the call.
func expired(err error) bool { return errors.Is(err, errSilent) || errors.Is(err, errTooLong) }

// waiting reports whether a person is being waited for.
func (f *flight) waiting() bool {
	if p, ok := f.peer.(Waiter); ok {
		return p.Waiting()
	}
	return f.open.Load() > 0
}

// alive takes note of a sign of life.
func (f *flight) alive() { f.heard.Store(int64(time.Since(f.begun))) }

// Notified implements Peer.
func (f *flight) Notified(m jsonrpc.Message) {
	switch m.MethodName() {
	case "notifications/progress":
		f.alive()
	case "notifications/tools/list_changed", "notifications/prompts/list_changed", "notifications/resources/list_changed":
		poke(f.u.listed)
		return
	}
	if p := f.peer; p != nil {
		p.Notified(m)
	}
}

// Asked implements Peer. While a question is open the slot is left to others.
func (f *flight) Asked(q *Question) {
	p := f.peer
	if p == nil {
		in := inbox{u: f.u}
		in.decline(q)
		return
	}
	f.alive()
	f.open.Add(1)
	f.rest()
	var once sync.Once
	asked := *q
	asked.Answer = func(ctx context.Context, response []byte) error {
		once.Do(f.answered)
		return q.Answer(ctx, response)
	}
	p.Asked(&asked)
}

func (f *flight) rest() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.over && !f.resting {
		f.resting = f.u.bulkhead.rest()
	}
}

// answered ends the rest that one question brought.
func (f *flight) answered() {
	f.alive()
	if f.open.Add(-1) > 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.over && f.resting {
		f.resting = false
		f.u.bulkhead.rise()
	}
}
