package upstream

import (
	"context"
	"sync"
	"time"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// ackLimit is how long a server may take to acknowledge a listen stream.
const ackLimit = 10 * time.Second

// listenStream is one request to listen. It is the Peer of its own request.
type listenStream struct {
	x      *listening
	filter ListenFilter
	stop   context.CancelFunc
	acked  chan struct{} // closed when agreed and since are set
	once   sync.Once     // acked
	agreed ListenFilter
	since  time.Time
	over   chan struct{} // closed when err is set
	err    error
}

// open begins to listen.
func (x *listening) open(ctx context.Context, f ListenFilter) *listenStream {
	s := &listenStream{x: x, filter: f, acked: make(chan struct{}), over: make(chan struct{})}
	ctx, s.stop = context.WithCancel(ctx)
	r := newRequest("subscriptions/listen", f.params())
	r.Edits = new(jsonrpc.Edits)
	r.Edits.SetMeta(&r.Message, callerMeta(r.Client, x.link.dial)...)
	r.Peer = s
	var id uint64
	r.began = func(n uint64) {
		x.mu.Lock()
		defer x.mu.Unlock()
		id = n
		x.streams[n] = s
	}
	x.work.Go(func() {
		defer s.stop()
		m, err := x.link.way.Do(ctx, r)
		switch {
		case err != nil:
			s.err = err
		case m.Kind == jsonrpc.Failure:
			s.err = newServerError(m)
		default:
			s.err = errListenEnded
		}
		x.mu.Lock()
		delete(x.streams, id)
		x.mu.Unlock()
		close(s.over)
	})
	return s
}

// await blocks until the server acknowledged the stream (nil) or it ended.
func (s *listenStream) await(ctx context.Context) error {
	t := time.NewTimer(ackLimit)
	defer t.Stop()
	select {
	case <-s.acked:
		return nil
	case <-s.over:
		select {
		case <-s.acked: // a server with nothing to tell ends it at once
			return nil
		default:
		}
		return s.err
	case <-t.C:
		return errNoAck
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// acknowledge takes the server's word on what it will tell.
func (s *listenStream) acknowledge(m jsonrpc.Message) {
	s.once.Do(func() {
		s.agreed, s.since = agreedTo(m), time.Now()
		close(s.acked)
	})
}

// close gives the stream up. It may be nil.
func (s *listenStream) close() {
	if s != nil {
		s.stop()
	}
}

// ended is closed when the stream has; nil never is.
func (s *listenStream) ended() <-chan struct{} {
	if s == nil {
		return nil
	}
	return s.over
}

// lasted returns for how long the stream was acknowledged.
func (s *listenStream) lasted() time.Duration { return time.Since(s.since) }

// Notified implements Peer.
func (s *listenStream) Notified(m jsonrpc.Message) {
	if m.MethodName() == "notifications/subscriptions/acknowledged" {
		s.acknowledge(m)
		return
	}
	s.x.link.heard(m)
}

// Asked implements Peer. A modern server does not ask.
func (s *listenStream) Asked(*Question) {}
