package upstream

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

var (
	errListenEnded = errors.New("the server ended the stream")
	errNoAck       = errors.New("the server did not acknowledge the stream in time")
)

// ackLimit is how long a server may take to acknowledge a listen stream.
const ackLimit = 10 * time.Second

// filter is what a listen stream is asked for, or what the server agreed to.
type filter struct {
	tools, prompts, resources bool     // changes of these lists
	uris                      []string // sorted; not changed once here
}

func (f filter) empty() bool { return !f.tools && !f.prompts && !f.resources && len(f.uris) == 0 }

func (f filter) equal(g filter) bool {
	return f.tools == g.tools && f.prompts == g.prompts && f.resources == g.resources && slices.Equal(f.uris, g.uris)
}

// params makes the params of the request to listen.
func (f filter) params() []byte {
	b := []byte(`{"notifications":{`)
	comma := func() {
		if b[len(b)-1] != '{' {
			b = append(b, ',')
		}
	}
	for _, x := range []struct {
		name string
		on   bool
	}{{"toolsListChanged", f.tools}, {"promptsListChanged", f.prompts}, {"resourcesListChanged", f.resources}} {
		if x.on {
			comma()
			b = append(append(append(b, '"'), x.name...), `":true`...)
		}
	}
	if len(f.uris) > 0 {
		comma()
		b = append(b, `"resourceSubscriptions":[`...)
		for i, uri := range f.uris {
			if i > 0 {
				b = append(b, ',')
			}
			b = jsonrpc.AppendString(b, uri)
		}
		b = append(b, ']')
	}
	return append(b, "}}"...)
}

// agreedTo reads the filter in an acknowledgement.
func agreedTo(m jsonrpc.Message) filter {
	var f filter
	at, _ := jsonrpc.Lookup(m.Raw, m.Params, "notifications")
	for key, v := range jsonrpc.Members(m.Raw, at) {
		on := string(v.Of(m.Raw)) == "true"
		switch key {
		case "toolsListChanged":
			f.tools = on
		case "promptsListChanged":
			f.prompts = on
		case "resourcesListChanged":
			f.resources = on
		case "resourceSubscriptions":
			for s := range jsonrpc.Elements(m.Raw, v) {
				f.uris = append(f.uris, jsonrpc.Text(m.Raw, s))
			}
		}
	}
	return f
}

// listener keeps one stream open, with what is wanted at the moment. It belongs
// to the goroutine that runs it; its fields are guarded by listening.mu.
type listener struct {
	x    *listening
	stop context.CancelFunc
	kick chan struct{} // capacity 1: want has changed

	want     filter
	version  uint64 // of want
	settled  uint64 // the version that agreed and err are the outcome of
	agreed   filter
	err      error
	settling chan struct{} // closed when settled changes
}

// set changes what is wanted. x.mu is held.
func (s *listener) set(f filter) {
	s.want = f
	s.version++
	poke(s.kick)
}

// settle tells what became of a version.
func (s *listener) settle(version uint64, agreed filter, err error) {
	s.x.mu.Lock()
	defer s.x.mu.Unlock()
	s.settled, s.agreed, s.err = version, agreed, err
	close(s.settling)
	s.settling = make(chan struct{})
}

// settledAt blocks until it is known what became of a version, or of a later
// one, or ctx is done.
func (s *listener) settledAt(ctx context.Context, version uint64) (filter, error) {
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
			return filter{}, context.Cause(ctx)
		case <-s.x.ctx.Done():
			return filter{}, unsent(ErrClosed)
		case <-s.x.link.Lost():
			return filter{}, unsent(s.x.link.Err())
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
			s.settle(version, filter{}, nil)
		default:
			next := s.x.open(ctx, want)
			if err := next.await(ctx); err != nil {
				next.close()
				s.settle(version, filter{}, err)
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
	t := time.NewTimer(reconnectPause(failures, time.Second, time.Minute))
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

// listenStream is one request to listen. It is the Peer of its own request.
type listenStream struct {
	x      *listening
	filter filter
	stop   context.CancelFunc
	acked  chan struct{} // closed when agreed and since are set
	once   sync.Once     // acked
	agreed filter
	since  time.Time
	over   chan struct{} // closed when err is set
	err    error
}

// open begins to listen.
func (x *listening) open(ctx context.Context, f filter) *listenStream {
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
