package upstream

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// httpLink is a link over streamable HTTP (basic/transports of 2025-03-26 to
// 2025-11-25). Each request is a POST that its caller's goroutine makes and
// reads the answer of. The link outlives failed requests: it is lost only on
// Close, or when the server forgot the session and makes no new one.
type httpLink struct {
	remote  *remote
	way     *credential // to remote
	release func()
	dial    *Dial
	log     *slog.Logger
	max     int // cap of one message

	life   *life
	target atomic.Pointer[place] // the url, less redirects that were followed
	next   atomic.Uint64         // last request id given out
	first  sync.Once             // for Dial.Spawned

	session   atomic.Pointer[httpSession]
	reporting reporting

	mu      sync.Mutex // guards what follows
	err     error      // why it is lost, nil while it lives
	renewal *renewal   // under way, or nil
	lost    chan struct{}
}

// renewal is a session being made anew for all the calls that found the old one
// gone.
type renewal struct {
	done chan struct{} // closed when err is set
	err  error
}

var errNoSession = errors.New("the server does not know the session")

func (d *dialer) dialHTTP(ctx context.Context, x *Dial) (Link, error) {
	r, err := d.remotes.get(x.Config)
	if err != nil {
		return nil, startError("handshake", err)
	}
	x, in := eraDial(x)
	way := d.credential(r, x)
	// What asks of which era the server is has little time.
	if err := way.ready(ctx); err != nil {
		d.remotes.release(r)
		return nil, startError("handshake", err)
	}
	l := newHTTPLink(way, x, d.log)
	l.release = func() { d.remotes.release(r) }
	s, stateless := newHTTPSession(l), newModernSession(l)
	hello, err := greet(ctx, x, remoteProbeLimit, stateless, s)
	if err == nil && hello.Modern() {
		s.cancel()
		return l.modern(stateless, hello, x, in), nil
	}
	if err != nil {
		// Half a session may have been made: it is ended, but not waited for long.
		l.lose(ErrClosed)
		bye, stop := context.WithTimeout(ctx, 2*time.Second)
		defer stop()
		l.end(bye, s)
		return nil, err
	}
	stateless.cancel()
	l.adopt(ctx, s, hello)
	return l, nil
}

func newHTTPLink(way *credential, x *Dial, log *slog.Logger) *httpLink {
	r := way.remote
	l := &httpLink{
		remote: r, way: way, dial: x, max: int(x.Config.MaxMessage), lost: make(chan struct{}),
		log: log.With("upstream", x.Config.Name), life: newLife(),
	}
	l.target.Store(newPlace(r.url, r.host))
	return l
}

// adopt makes s, past its handshake, the session of the link, and listens on it.
// On a link of a client's own, who may be asked there, it waits for the stream.
func (l *httpLink) adopt(ctx context.Context, s *httpSession, h *Hello) {
	s.hello = h
	if old := l.session.Swap(s); old != nil {
		old.cancel()
	}
	l.life.spawn(s.listen)
	if l.dial.Exclusive {
		s.listened(ctx)
	}
}

// Do sends a request, once more if the server had forgotten the session.
func (l *httpLink) Do(ctx context.Context, r *Request) (jsonrpc.Message, error) {
	s := l.session.Load()
	m, err := s.Do(ctx, r)
	if err == nil {
		return m, nil
	}
	if t, ok := errors.AsType[*TransportError](err); !ok || t.Reason != "session" {
		return m, err
	}
	if err := l.renew(ctx, s); err != nil {
		return jsonrpc.Message{}, err
	}
	return l.session.Load().Do(ctx, r)
}

// Notify posts a notification, or an answer to a server's request.
func (l *httpLink) Notify(ctx context.Context, raw []byte) error {
	return l.session.Load().Notify(ctx, raw)
}

// Hello returns the outcome of the handshake, the last one if the session was
// made anew.
func (l *httpLink) Hello() *Hello { return l.session.Load().hello }

// Lost is closed when the link is dead.
func (l *httpLink) Lost() <-chan struct{} { return l.lost }

// Err says why the link is lost, nil while it lives.
func (l *httpLink) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Close ends the link and the session with it.
func (l *httpLink) Close(ctx context.Context) StopKind {
	l.lose(ErrClosed)
	l.end(ctx, l.session.Load())
	return Graceful
}

// end waits for the background work of a lost link, deletes the session and
// gives up the connections. It may be called more than once.
func (l *httpLink) end(ctx context.Context, s *httpSession) {
	l.life.work.Wait()
	if ctx.Err() == nil {
		s.remove(ctx)
	}
	l.mu.Lock()
	release := l.release
	l.release = nil
	l.mu.Unlock()
	if release != nil {
		release()
	}
}

// lose marks the link dead and stops all that goes on over it.
func (l *httpLink) lose(err error) {
	l.mu.Lock()
	first := l.err == nil
	if first {
		l.err = err
	}
	l.mu.Unlock()
	if first {
		close(l.lost)
		l.life.end()
		l.dial.ended(err)
	}
}

// giveUp implements way.
func (l *httpLink) giveUp(err error) { l.lose(err) }

// renew makes a new session in the place of old, once for all who ask, and
// blocks until that is done or ctx is. A session that cannot be made is the loss
// of the link.
func (l *httpLink) renew(ctx context.Context, old *httpSession) error {
	l.mu.Lock()
	if l.session.Load() != old {
		l.mu.Unlock()
		return nil
	}
	w := l.renewal
	if w == nil && l.err == nil {
		w = &renewal{done: make(chan struct{})}
		if l.life.spawn(func() { l.remake(w) }) {
			l.renewal = w
		} else {
			w = nil
		}
	}
	if w == nil {
		defer l.mu.Unlock()
		return &TransportError{Executed: ExecutedNo, Reason: "closed", Lost: true, Err: l.err}
	}
	l.mu.Unlock()
	select {
	case <-w.done:
		return w.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// remake is the work of renew. It belongs to the link: the end of one caller's
// patience does not end it for the others.
func (l *httpLink) remake(w *renewal) {
	ctx, stop := context.WithTimeout(l.life.ctx, min(l.dial.Config.StartTimeout, time.Minute))
	defer stop()
	s := newHTTPSession(l)
	hello, err := handshake(ctx, s, l.dial)
	if err != nil {
		lost := &TransportError{Executed: ExecutedNo, Reason: "session", Status: http.StatusNotFound, Lost: true, Err: errors.Join(errNoSession, err)}
		if needsAuth(err) != nil {
			lost.Reason = "needs_auth"
		}
		w.err = lost
		l.lose(lost)
	} else {
		l.adopt(ctx, s, hello)
		l.log.Info("session made anew", "version", hello.Version)
		if l.dial.Renewed != nil {
			l.dial.Renewed(hello)
		}
	}
	l.mu.Lock()
	l.renewal = nil
	l.mu.Unlock()
	close(w.done)
}
