package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// dialSSE opens the stream, waits for the endpoint event and shakes hands. It
// blocks until that is done, failed, or ctx is done; unless it returns a link
// nothing is left running. The error is a *StartError.
func (d *dialer) dialSSE(ctx context.Context, x *Dial) (Link, error) {
	r, err := d.remotes.get(x.Config)
	if err != nil {
		return nil, startError("handshake", err)
	}
	l := &sseLink{
		remote: r, release: sync.OnceFunc(func() { d.remotes.release(r) }), dial: x,
		log: d.log.With("upstream", x.Config.Name), lost: make(chan struct{}), pending: make(map[uint64]*sseCall),
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	hello, err := l.open(ctx)
	if err != nil {
		l.Close(ctx)
		return nil, err
	}
	l.hello.Store(hello)
	return l, nil
}

// open makes the link from nothing.
func (l *sseLink) open(ctx context.Context) (*Hello, error) {
	stop := context.AfterFunc(ctx, l.cancel)
	defer stop()
	resp, err := l.connect()
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, startError("handshake", err)
	}
	if l.dial.Spawned != nil {
		l.dial.Spawned(0)
	}
	events := jsonrpc.NewEventReader(resp.Body, int(l.dial.Config.MaxMessage))
	if l.endpoint, err = awaitEndpoint(events, resp.Request.URL); err != nil {
		resp.Body.Close()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, startError("handshake", err)
	}
	l.header = l.remote.header.Clone()
	l.header.Set("Content-Type", "application/json")
	l.work.Go(func() {
		defer resp.Body.Close()
		l.read(events)
	})
	return handshake(ctx, l, l.dial)
}

// connect opens the stream.
func (l *sseLink) connect() (*http.Response, error) {
	h := l.remote.header.Clone()
	h.Set("Accept", "text/event-stream")
	at := l.remote.url
	for range 5 {
		req := &http.Request{Method: http.MethodGet, URL: at, Host: l.remote.host, Header: h}
		req = req.WithContext(l.ctx)
		resp, err := l.remote.transport.RoundTrip(req)
		if err != nil {
			return nil, &TransportError{Executed: ExecutedNo, Reason: "dial", Err: fmt.Errorf("no connection: %w", err)}
		}
		resp.Request = req
		to, err := redirected(resp)
		switch {
		case err != nil:
			resp.Body.Close()
			return nil, err
		case to != nil:
			resp.Body.Close()
			at = to
			continue
		case resp.StatusCode != http.StatusOK:
			defer resp.Body.Close()
			e, _ := httpFailure(resp, nil, nil, false)
			return nil, e
		case mediaType(resp.Header.Get("Content-Type")) != "text/event-stream":
			resp.Body.Close()
			return nil, malformed(fmt.Errorf("content type %.80q is no stream of events", resp.Header.Get("Content-Type")))
		}
		return resp, nil
	}
	return nil, &TransportError{Executed: ExecutedNo, Reason: "http_status", Err: errors.New("more than 5 redirects")}
}

// awaitEndpoint reads the event that says where to post. It must be on the
// origin of the stream: credentials are sent there.
func awaitEndpoint(events *jsonrpc.EventReader, stream *url.URL) (*url.URL, error) {
	for {
		ev, err := events.Next()
		if err != nil {
			return nil, malformed(fmt.Errorf("the stream named no endpoint: %w", err))
		}
		if ev.Type != "endpoint" {
			continue
		}
		to, err := stream.Parse(strings.TrimSpace(string(ev.Data)))
		if err != nil {
			return nil, malformed(errors.New("the endpoint named by the stream is not a URL"))
		}
		if !sameOrigin(stream, to) || to.User != nil {
			return nil, malformed(fmt.Errorf("the endpoint named by the stream is on another origin, %s://%s", to.Scheme, to.Host))
		}
		return to, nil
	}
}
