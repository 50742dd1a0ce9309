package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
)

// post is one message on its way in the body of a POST, and the record of how
// far it got. A message is never sent twice: net/http may begin again only
// while nothing of it can have been read.
type post struct {
	raw     []byte
	first   postBody
	trace   httptrace.ClientTrace
	conn    atomic.Pointer[countedConn]
	base    atomic.Int64 // what conn had written before
	got     atomic.Bool  // a connection was had
	drained atomic.Bool  // the whole body was handed over
}

// postBody is the body of one attempt to send a post.
type postBody struct {
	bytes.Reader
	p *post
}

func (b *postBody) Read(to []byte) (int, error) {
	n, err := b.Reader.Read(to)
	if b.Len() == 0 {
		b.p.drained.Store(true)
	}
	return n, err
}

// WriteTo hides that of bytes.Reader, which would pass Read by.
func (b *postBody) WriteTo(w io.Writer) (int64, error) {
	n, err := b.Reader.WriteTo(w)
	if b.Len() == 0 {
		b.p.drained.Store(true)
	}
	return n, err
}

func (b *postBody) Close() error { return nil }

// errSentAlready is how net/http is kept from sending a message again.
var errSentAlready = errors.New("the connection ended after the request was written")

func newPost(raw []byte) *post {
	p := &post{raw: raw}
	p.first.p = p
	p.first.Reset(raw)
	p.trace.GetConn = func(string) { p.got.Store(false); p.conn.Store(nil) }
	p.trace.GotConn = func(i httptrace.GotConnInfo) {
		if c := counted(i.Conn); c != nil {
			p.base.Store(c.written.Load())
			p.conn.Store(c)
		}
		p.got.Store(true)
	}
	return p
}

// post sends q by way of net/http. Its contract is that of send.
func (r *remote) post(ctx context.Context, l *life, q *outgoing) (*response, *TransportError) {
	bound, done := bindContext(ctx, l.ctx)
	req := &http.Request{Method: q.method, URL: q.to.url, Host: r.host, Header: q.fields()}
	p := newPost(q.edits.Apply(nil, q.raw))
	if q.raw != nil {
		req.Body, req.ContentLength, req.GetBody = &p.first, int64(len(p.raw)), p.again
	}
	resp, err := r.transport.RoundTrip(req.WithContext(httptrace.WithClientTrace(bound, &p.trace))) //nolint:bodyclose // incoming closes it
	if err != nil {
		done()
		return nil, p.failed(err)
	}
	q.resp.take(resp, &incoming{body: resp.Body, life: l, done: done})
	return &q.resp, nil
}

// again is GetBody. net/http asks for it when a kept connection turns out to be
// dead before a byte was written, which is safe, and when an HTTP/2 server
// refuses a stream, which is safe only while the body was not whole.
func (p *post) again() (io.ReadCloser, error) {
	if !p.untouched() && p.drained.Load() {
		return nil, errSentAlready
	}
	p.drained.Store(false)
	b := &postBody{p: p}
	b.Reset(p.raw)
	return b, nil
}

// untouched reports whether no byte of the message was written.
func (p *post) untouched() bool {
	if !p.got.Load() {
		return true
	}
	c := p.conn.Load()
	return c != nil && c.written.Load() == p.base.Load()
}

// failed turns the error of a round trip into a *TransportError.
func (p *post) failed(err error) *TransportError {
	e := &TransportError{Executed: ExecutedUnknown, Reason: "reset", Err: err}
	switch {
	case !p.got.Load():
		e.Executed, e.Reason, e.Err = ExecutedNo, "dial", fmt.Errorf("no connection: %w", err)
	case p.untouched():
		e.Executed, e.Reason = ExecutedNo, "write"
	}
	return e
}

// redirected returns where a response sends a POST to asked on to, nil if it
// does not. A server that redirects did not execute. Only 307 and 308 keep the
// method, and only the same origin gets the credentials.
func redirected(resp *response, asked *url.URL) (*url.URL, *TransportError) {
	if resp.status < 300 || resp.status > 399 {
		return nil, nil
	}
	e := &TransportError{Executed: ExecutedNo, Reason: "http_status", Status: resp.status}
	to, err := resp.location(asked)
	switch {
	case err != nil:
		e.Err = fmt.Errorf("HTTP status %d without a place to go", resp.status)
	case !sameOrigin(asked, to):
		e.Err = fmt.Errorf("HTTP status %d to another origin, %s://%s, which is not followed: put it in the url", resp.status, to.Scheme, to.Host)
	case resp.status != http.StatusTemporaryRedirect && resp.status != http.StatusPermanentRedirect:
		e.Err = fmt.Errorf("HTTP status %d to the path %q: put it in the url", resp.status, to.Path)
	default:
		return to, nil
	}
	return nil, e
}
