package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// httpSession is one session with a server: from its initialize to the moment
// the server forgets it. It is the transport of its own handshake; once adopted
// by a link it does not change.
type httpSession struct {
	link   *httpLink
	id     string      // Mcp-Session-Id, "" if the server gave none
	header http.Header // of a POST; shared by requests, so nobody writes to it
	hello  *Hello
	heeds  chan struct{} // closed when the server has said whether it has a GET stream
	modern *modernPosts // how requests of this era are made; nil for a legacy one

	ctx    context.Context //nolint:containedctx // the life of the session, which its GET stream ends with
	cancel context.CancelFunc
}

func newHTTPSession(l *httpLink) *httpSession {
	s := &httpSession{link: l, heeds: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancel(l.ctx)
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
	s.header = h
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
func (s *httpSession) greeted(resp *http.Response) {
	s.id = resp.Header.Get("Mcp-Session-Id")
	l := s.link
	l.first.Do(func() {
		if l.dial.Spawned != nil {
			l.dial.Spawned(0)
		}
	})
}

// Notify posts one message to which there is no answer.
func (s *httpSession) Notify(ctx context.Context, raw []byte) error {
	ctx, done := bindContext(ctx, s.link.ctx)
	defer done()
	resp, p, err := s.post(ctx, raw, s.header)
	if err != nil {
		return s.link.transportError(ctx, p, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 == 2 {
		// Read to its end, so that the connection can be used again.
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
		return nil
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	e, _ := httpFailure(resp, body, nil, s.id != "")
	return e
}

// post sends raw, following the redirects that may be followed. The post is
// returned with an error too.
func (s *httpSession) post(ctx context.Context, raw []byte, header http.Header) (*http.Response, *post, error) {
	l := s.link
	for range 5 {
		p := newPost(raw)
		resp, err := l.remote.transport.RoundTrip(p.request(ctx, l.target.Load(), l.remote.host, header))
		if err != nil {
			return nil, p, err
		}
		to, err := redirected(resp)
		if to == nil && err == nil {
			return resp, p, nil
		}
		resp.Body.Close()
		if err != nil {
			return nil, p, err
		}
		l.target.Store(to)
	}
	return nil, newPost(raw), &TransportError{Executed: ExecutedNo, Reason: "http_status", Err: errors.New("more than 5 redirects")}
}

// get opens a GET stream, to go on after the event with the id last if that is
// not empty. The caller closes the response's body.
func (s *httpSession) get(ctx context.Context, last string) (*http.Response, error) {
	l := s.link
	h := s.header.Clone()
	h.Del("Content-Type")
	h.Set("Accept", "text/event-stream")
	if last != "" {
		h.Set("Last-Event-Id", last)
	}
	req := &http.Request{Method: http.MethodGet, URL: l.target.Load(), Host: l.remote.host, Header: h}
	return l.remote.transport.RoundTrip(req.WithContext(ctx))
}

// remove ends the session with a DELETE. A server may refuse (405); there is
// nothing to do about it.
func (s *httpSession) remove(ctx context.Context) {
	if s.id == "" {
		return
	}
	h := s.header.Clone()
	h.Del("Content-Type")
	req := &http.Request{Method: http.MethodDelete, URL: s.link.target.Load(), Host: s.link.remote.host, Header: h}
	resp, err := s.link.remote.transport.RoundTrip(req.WithContext(ctx))
	if err != nil {
		s.link.log.Debug("session not deleted", "error", err)
		return
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	resp.Body.Close()
}

// ownPostTimeout bounds a POST that no caller waits for.
const ownPostTimeout = 30 * time.Second

// bindContext returns a context that ends with ctx and with end.
func bindContext(ctx, end context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(end, cancel)
	return ctx, func() { stop(); cancel() }
}

// transportError classifies the failure of a round trip. ctx is the bound one.
func (l *httpLink) transportError(ctx context.Context, p *post, err error) error {
	var e *TransportError
	if errors.As(err, &e) {
		return e
	}
	e = p.failed(err)
	if lost := l.Err(); lost != nil && ctx.Err() != nil {
		e.Reason, e.Lost, e.Err = "closed", true, lost
	}
	if e.Reason == "dial" {
		e.Err = fmt.Errorf("no connection: %w", err)
	}
	return e
}
