package upstream

import (
	"context"
	"errors"
	"time"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

var (
	errListenEnded = errors.New("the server ended the stream")
	errNoAck       = errors.New("the server did not acknowledge the stream in time")
)

// listener keeps one stream open, with what is wanted at the moment. It belongs
// to the goroutine that runs it; its fields are guarded by listening.mu.
type listener struct {
	x    *listening
	stop context.CancelFunc
	kick chan struct{} // capacity 1: want has changed

	want     ListenFilter
	version  uint64 // of want
	settled  uint64 // the version that agreed and err are the outcome of
	agreed   ListenFilter
	err      error
	settling chan struct{} // closed when settled changes
}

// set changes what is wanted. x.mu is held.
func (s *listener) set(f ListenFilter) {
	s.want = f
	s.version++
	poke(s.kick)
}

// settle tells what became of a version.
func (s *listener) settle(version uint64, agreed ListenFilter, err error) {
	s.x.mu.Lock()
	defer s.x.mu.Unlock()
	s.settled, s.agreed, s.err = version, agreed, err
	close(s.settling)
	s.settling = make(chan struct{})
}

// settledAt blocks until it is known what became of a version, or of a later
// one, or ctx is done.
func (s *listener) settledAt(ctx context.Context, version uint64) (ListenFilter, error) {
	for {
		s.x.mu.Lock()
		settled, agreed, err, next := s.settled, s.agreed, s.err, s.settling
		s.x.mu.Unlock()
		if settled >= version {
			return agreed, err
		}
		select {
		case <-next:
		case <-ctx.Done():
			return ListenFilter{}, context.Cause(ctx)
		case <-s.x.ctx.Done():
			return ListenFilter{}, unsent(ErrClosed)
		case <-s.x.link.Lost():
			return ListenFilter{}, unsent(s.x.link.Err())
		}
	}
}

// run keeps the stream open until ctx is done or the link is lost.
func (s *listener) run(ctx context.Context) {
	var current *listenStream // acknowledged, or nil
	lost := false             // a stream ended that was acknowledged
	defer func() { current.close() }()
	for failures := 0; ctx.Err() == nil; {
		s.x.mu.Lock()
		want, version := s.want, s.version
		select {
		case <-s.kick: // it was for this
		default:
		}
		s.x.mu.Unlock()
		switch {
		case current != nil && current.filter.equal(want):
			s.settle(version, current.agreed, nil)
		case want.empty():
			current.close()
			current = nil
			s.settle(version, ListenFilter{}, nil)
		default:
			next := s.x.open(ctx, want)
			if err := next.await(ctx); err != nil {
				next.close()
				s.settle(version, ListenFilter{}, err)
				failures++
				if !s.pause(ctx, failures, err) {
					return
				}
				continue
			}
			current.close()
			current = next
			s.settle(version, next.agreed, nil)
			if lost {
				lost = false
				s.x.link.missed()
			}
		}
		select {
		case <-s.kick:
			continue
		case <-ctx.Done():
			return
		case <-current.ended():
		}
		if current.lasted() > time.Minute {
			failures = 0
		}
		failures++
		err := current.err
		if lost = !current.agreed.empty(); !lost {
			err = errNothingTold
		}
		current = nil
		if !s.pause(ctx, failures, err) {
			return
		}
	}
}

// errNothingTold is a stream that the server closed because there is nothing that
// it could tell.
var errNothingTold = errors.New("the server tells nothing of what was asked for")

// pause waits after a failure until the stream may be opened again, or something
// else is wanted, and reports whether to go on. A server that does not know how
// to listen, or has nothing to tell, is not asked again for the same.
func (s *listener) pause(ctx context.Context, failures int, err error) bool {
	wait := reconnectPause(failures, time.Second, time.Minute)
	if needsAuth(err) != nil {
		wait = signInPause(failures)
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	again := t.C
	if refused, ok := errors.AsType[*ServerError](err); ok && refused.Code == jsonrpc.CodeMethodNotFound || errors.Is(err, errNothingTold) {
		again = nil
	}
	select {
	case <-again:
	case <-s.kick:
	case <-s.x.link.Lost():
		return false
	case <-ctx.Done():
		return false
	}
	return true
}

// missed makes the lists be read again: what changed while nobody listened was
// not told.
func (l *modernLink) missed() {
	m, _ := jsonrpc.ParseServer([]byte(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`))
	if l.next != nil {
		l.next.Notified(m)
	}
}
