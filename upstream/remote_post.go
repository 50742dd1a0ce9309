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

// request makes the HTTP request for p. Its header is shared between requests.
func (p *post) request(ctx context.Context, u *url.URL, host string, header http.Header) *http.Request {
	req := &http.Request{
		Method: http.MethodPost, URL: u, Host: host, Header: header,
		Body: &p.first, ContentLength: int64(len(p.raw)), GetBody: p.again,
	}
	return req.WithContext(httptrace.WithClientTrace(ctx, &p.trace))
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
		e.Executed, e.Reason = ExecutedNo, "dial"
	case p.untouched():
		e.Executed, e.Reason = ExecutedNo, "write"
	}
	return e
}

// redirected returns where a response sends a POST on to, nil if it does not. A
// server that redirects did not execute. Only 307 and 308 keep the method, and
// only the same origin gets the credentials.
func redirected(resp *http.Response) (*url.URL, error) {
	if resp.StatusCode < 300 || resp.StatusCode > 399 {
		return nil, nil
	}
	e := &TransportError{Executed: ExecutedNo, Reason: "http_status", Status: resp.StatusCode}
	to, err := resp.Location()
	switch {
	case err != nil:
		e.Err = fmt.Errorf("HTTP status %d without a place to go", resp.StatusCode)
	case !sameOrigin(resp.Request.URL, to):
		e.Err = fmt.Errorf("HTTP status %d to another origin, %s://%s, which is not followed: put it in the url", resp.StatusCode, to.Scheme, to.Host)
	case resp.StatusCode != http.StatusTemporaryRedirect && resp.StatusCode != http.StatusPermanentRedirect:
		e.Err = fmt.Errorf("HTTP status %d to the path %q: put it in the url", resp.StatusCode, to.Path)
	default:
		return to, nil
	}
	return nil, e
}
