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
	request Request // the call's, with the flight as its Peer
	begun   time.Time
	silence time.Duration // call_timeout
	limit   time.Duration // max_call_timeout
	heard   atomic.Int64  // ns since begun of the last sign of life
	open    atomic.Int64  // questions that are not answered

	cancel context.CancelCauseFunc
	clock  *time.Timer

	mu      sync.Mutex // guards the rest
	over    bool
	resting bool // the slot is left to others
}

func newFlight(u *Upstream, c *Call) *flight {
	cfg := u.Config()
	return &flight{u: u, call: c, begun: time.Now(), silence: cfg.CallTimeout, limit: cfg.MaxCallTimeout}
}

// send sends the call once, in a seat that it gives back. The error is the
// link's, or what ended the wait.
func (f *flight) send(ctx context.Context, s seat) (jsonrpc.Message, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	f.cancel = cancel
	f.mu.Lock()
	f.over, f.resting = false, false
	f.clock = time.AfterFunc(f.left(), f.rang)
	f.mu.Unlock()
	f.request = f.call.Request
	f.request.Peer = f
	s.link.calls.Add(1)
	f.u.calls.Add(1)
	m, err := s.link.Do(ctx, &f.request)
	s.link.calls.Add(-1)
	f.land()
	cancel(nil)
	return m, err
}

// land stops the clock and gives the slot back.
func (f *flight) land() {
	f.mu.Lock()
	f.over = true
	f.clock.Stop()
	held := !f.resting
	f.mu.Unlock()
	if held {
		f.u.bulkhead.release()
	} else {
		f.u.bulkhead.resting.Add(-1)
	}
}

// left returns how long the call may still be silent.
func (f *flight) left() time.Duration {
	spent := time.Since(f.begun)
	return min(f.silence-(spent-time.Duration(f.heard.Load())), f.limit-spent)
}

// rang is called when the clock rings.
func (f *flight) rang() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over {
		return
	}
	if time.Since(f.begun) >= f.limit {
		f.cancel(fmt.Errorf("%w (%v)", errTooLong, f.limit))
		return
	}
	if f.waiting() {
		f.alive()
	}
	if left := f.left(); left > 0 {
		f.clock.Reset(left)
		return
	}
	f.cancel(fmt.Errorf("%w: silence for %v", errSilent, f.silence))
}

// waiting reports whether a person is being waited for.
func (f *flight) waiting() bool {
	if f.call.Waiting != nil {
		return f.call.Waiting()
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
	if p := f.call.Request.Peer; p != nil {
		p.Notified(m)
	}
}

// Asked implements Peer. While a question is open the slot is left to others.
func (f *flight) Asked(q *Question) {
	p := f.call.Request.Peer
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
