package upstream

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// httpSession is one session with a server: from its initialize to the moment
// the server forgets it. It is the transport of its own handshake; once adopted
// by a link it does not change.
type httpSession struct {
	link   *httpLink
	id     string  // Mcp-Session-Id, "" if the server gave none
	header *header // of a POST
	hello  *Hello
	alone  alone
	heeds  chan struct{} // closed when the server has said whether it has a GET stream
	modern *modernPosts  // how requests of this era are made; nil for a legacy one

	ctx    context.Context //nolint:containedctx // the life of the session, which its GET stream ends with
	cancel context.CancelFunc
}

func newHTTPSession(l *httpLink) *httpSession {
	s := &httpSession{link: l, heeds: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancel(l.life.ctx)
	s.setHeader("")
	return s
}

func (s *httpSession) setHeader(version string) {
	h := s.link.remote.header.Clone()
	h.Set("Content-Type", "application/json")
	h.Set("Accept", "application/json, text/event-stream")
	h.Del("Mcp-Session-Id")
	h.Del("Mcp-Protocol-Version")
	if s.id != "" {
		h.Set("Mcp-Session-Id", s.id)
	}
	if version != "" {
		h.Set("Mcp-Protocol-Version", version)
	}
	s.header = newHeader(h)
}

// Do sends one request in this session. A session that the server does not know
// is a *TransportError with the reason session.
func (s *httpSession) Do(ctx context.Context, r *Request) (jsonrpc.Message, error) {
	x := newExchange(s, r)
	m, err := x.do(ctx)
	if err == nil && m.Kind == jsonrpc.Result && r.Message.MethodName() == "initialize" {
		version, _ := jsonrpc.Lookup(m.Raw, m.Result, "protocolVersion")
		s.setHeader(m.Text(version))
	}
	return m, err
}

// greeted takes what the response to initialize says besides its body.
func (s *httpSession) greeted(resp *response) {
	s.id = resp.session
	l := s.link
	l.first.Do(func() {
		if l.dial.Spawned != nil {
			l.dial.Spawned(0)
		}
	})
}

// Notify posts one message to which there is no answer.
func (s *httpSession) Notify(ctx context.Context, raw []byte) error {
	resp, err := s.post(ctx, &outgoing{method: http.MethodPost, header: s.header, raw: raw})
	if err != nil {
		return err
	}
	defer resp.drain()
	if resp.ok() {
		return nil
	}
	e, _ := httpFailure(resp, resp.beginning(64<<10), nil, s.id != "")
	return e
}

// post sends q to where the link's requests go, following the redirects that
// may be followed.
func (s *httpSession) post(ctx context.Context, q *outgoing) (*response, *TransportError) {
	l := s.link
	for range 5 {
		q.to = l.target.Load()
		resp, err := l.way.send(ctx, l.life, q)
		if err != nil {
			return nil, l.lostMeanwhile(err)
		}
		to, err := redirected(resp, q.to.url)
		if to == nil && err == nil {
			return resp, nil
		}
		resp.drain()
		if err != nil {
			return nil, err
		}
		l.target.Store(newPlace(to, l.remote.host))
	}
	return nil, &TransportError{Executed: ExecutedNo, Reason: "http_status", Err: errors.New("more than 5 redirects")}
}

// lostMeanwhile makes the failure of a request that of the link, if it is lost.
func (l *httpLink) lostMeanwhile(e *TransportError) *TransportError {
	if lost := l.Err(); lost != nil {
		e.Reason, e.Lost, e.Err = "closed", true, lost
	}
	return e
}

// get opens a GET stream, to go on after the event with the id last if that is
// not empty.
func (s *httpSession) get(ctx context.Context, last string) (*response, error) {
	h := s.header.fields.Clone()
	h.Del("Content-Type")
	h.Set("Accept", "text/event-stream")
	q := &outgoing{method: http.MethodGet, to: s.link.target.Load(), header: newHeader(h)}
	if last != "" {
		q.more = []field{{"Last-Event-Id", last}}
	}
	resp, err := s.link.way.send(ctx, s.link.life, q)
	if err != nil {
		return nil, err
	}
	return resp, nil
}

// remove ends the session with a DELETE. A server may refuse (405); there is
// nothing to do about it. The link may be lost already.
func (s *httpSession) remove(ctx context.Context) {
	if s.id == "" {
		return
	}
	// Some servers answer only when the session's calls have ended.
	ctx, stop := context.WithTimeout(ctx, s.link.dial.Config.StopTimeout)
	defer stop()
	h := s.header.fields.Clone()
	h.Del("Content-Type")
	own := newLife()
	defer own.end()
	resp, err := s.link.way.send(ctx, own, &outgoing{method: http.MethodDelete, to: s.link.target.Load(), header: newHeader(h)})
	if err != nil {
		s.link.log.DebugContext(ctx, "session not deleted", "error", err)
		return
	}
	resp.drain()
}

// ownPostTimeout bounds a POST that no caller waits for.
const ownPostTimeout = 30 * time.Second

// bindContext returns a context that ends with ctx and with end.
func bindContext(ctx, end context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(end, cancel)
	return ctx, func() { stop(); cancel() }
}
