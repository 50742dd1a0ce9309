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
		remote: r, way: d.credential(r, x), release: sync.OnceFunc(func() { d.remotes.release(r) }), dial: x,
		log: d.log.With("upstream", x.Config.Name), lost: make(chan struct{}), pending: make(map[uint64]*sseCall),
		life: newLife(),
	}
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
	stop := context.AfterFunc(ctx, l.life.end)
	defer stop()
	resp, at, err := l.connect()
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, startError("handshake", err)
	}
	if l.dial.Spawned != nil {
		l.dial.Spawned(0)
	}
	events := jsonrpc.NewEventReader(resp.body, int(l.dial.Config.MaxMessage))
	endpoint, err := awaitEndpoint(events, at)
	if err != nil {
		resp.close()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, startError("handshake", err)
	}
	l.endpoint = newPlace(endpoint, l.remote.host)
	h := l.remote.header.Clone()
	h.Set("Content-Type", "application/json")
	l.header = newHeader(h)
	read := func() {
		defer resp.close()
		l.read(events)
	}
	if !l.life.spawn(read) {
		resp.close()
	}
	return handshake(ctx, l, l.dial)
}

// connect opens the stream, and returns also where it was found.
func (l *sseLink) connect() (*response, *url.URL, error) {
	h := l.remote.header.Clone()
	h.Set("Accept", "text/event-stream")
	q := &outgoing{method: http.MethodGet, header: newHeader(h)}
	at := l.remote.url
	for range 5 {
		q.to = newPlace(at, l.remote.host)
		resp, err := l.way.send(l.life.ctx, l.life, q)
		if err != nil {
			return nil, nil, err
		}
		to, err := redirected(resp, at)
		switch {
		case err != nil:
			resp.drain()
			return nil, nil, err
		case to != nil:
			resp.drain()
			at = to
			continue
		case resp.status != http.StatusOK:
			defer resp.drain()
			e, _ := httpFailure(resp, nil, nil, false)
			return nil, nil, e
		case !resp.stream():
			resp.close()
			return nil, nil, malformed(fmt.Errorf("content type %.80q is no stream of events", resp.kind))
		}
		return resp, at, nil
	}
	return nil, nil, &TransportError{Executed: ExecutedNo, Reason: "http_status", Err: errors.New("more than 5 redirects")}
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
