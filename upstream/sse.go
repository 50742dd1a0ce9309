package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// sseLink is a link over HTTP with SSE (basic/transports of 2024-11-05): one
// stream of events carries all that the server sends, and each message to it is
// a POST to the endpoint that the stream named. The end of the stream is the
// loss of the link.
type sseLink struct {
	remote   *remote
	release  func()
	dial     *Dial
	log      *slog.Logger
	endpoint *url.URL    // set before the link is used
	header   http.Header // of a POST; nobody writes to it
	hello    atomic.Pointer[Hello]

	ctx    context.Context // ends with the link
	cancel context.CancelFunc
	lost   chan struct{}  // closed when the link is dead; err is set before
	work   sync.WaitGroup // the reader, and answers the link gives itself

	questions openQuestions

	mu      sync.Mutex // guards what follows
	err     error
	last    uint64 // the newest request's id
	pending map[uint64]*sseCall
	calls   attribution
}

// sseCall is a request whose answer has not come.
type sseCall struct {
	r        *Request
	answered chan struct{} // closed when message or err is set
	message  jsonrpc.Message
	err      *TransportError
	unpost   context.CancelFunc // ends the POST
}

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

// Do implements Link.
func (l *sseLink) Do(ctx context.Context, r *Request) (jsonrpc.Message, error) {
	posting, unpost := context.WithCancel(ctx)
	defer unpost()
	c := &sseCall{r: r, answered: make(chan struct{}), unpost: unpost}
	l.mu.Lock()
	if l.err != nil {
		defer l.mu.Unlock()
		return jsonrpc.Message{}, l.lostError(ExecutedNo)
	}
	l.last++
	id := l.last
	l.pending[id] = c
	l.calls.begin(r.Owner)
	l.mu.Unlock()

	// What the POST says of itself is more exact than the loss that it may have been.
	if err := l.post(posting, requestBody(r, id), traced(l.header, r)); err != nil && (!c.done() || c.err != nil) {
		return jsonrpc.Message{}, l.giveUp(ctx, id, c, err)
	}
	select {
	case <-c.answered:
		if c.err != nil {
			return jsonrpc.Message{}, c.err
		}
		return c.message, nil
	case <-ctx.Done():
		return jsonrpc.Message{}, l.giveUp(ctx, id, c, nil)
	}
}

func (c *sseCall) done() bool {
	select {
	case <-c.answered:
		return true
	default:
		return false
	}
}

// giveUp stops waiting for a call because posting it failed or, if err is nil,
// because ctx ended. The server is told, unless it was never sent the request.
func (l *sseLink) giveUp(ctx context.Context, id uint64, c *sseCall, err error) error {
	var e *TransportError
	unsent := errors.As(err, &e) && e.Executed == ExecutedNo
	l.mu.Lock()
	if l.pending[id] == c {
		delete(l.pending, id)
		if unsent {
			l.calls.end(c.r.Owner)
		} else {
			l.calls.abandon(id, c.r.Owner)
		}
	}
	l.mu.Unlock()
	if ctx.Err() == nil {
		return err
	}
	if !unsent && c.r.Message.MethodName() != "initialize" {
		note := cancelledNote(appendID(nil, id), context.Cause(ctx))
		l.send(note, "cancellation")
	}
	return context.Cause(ctx)
}

// Notify implements Link.
func (l *sseLink) Notify(ctx context.Context, raw []byte) error { return l.post(ctx, raw, l.header) }

// post sends one message to the endpoint.
func (l *sseLink) post(ctx context.Context, raw []byte, header http.Header) error {
	bound, done := bindContext(ctx, l.ctx)
	defer done()
	p := newPost(raw)
	resp, err := l.remote.transport.RoundTrip(p.request(bound, l.endpoint, l.remote.host, header))
	if err != nil {
		e := p.failed(err)
		if lost := l.Err(); lost != nil {
			e.Reason, e.Lost, e.Err = "closed", true, lost
		}
		return e
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 == 2 {
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
		return nil
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	// The session is in the endpoint's query, so that a 404 speaks of it.
	e, _ := httpFailure(resp, body, nil, true)
	if e.Reason == "session" {
		e.Lost = true
		l.lose(e)
	}
	return e
}

// send posts a message of the link's own in the background.
func (l *sseLink) send(raw []byte, what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return
	}
	l.work.Go(func() {
		ctx, stop := context.WithTimeout(l.ctx, ownPostTimeout)
		defer stop()
		if err := l.Notify(ctx, raw); err != nil {
			l.log.Debug("message not delivered", "what", what, "error", err)
		}
	})
}

// Hello implements Link.
func (l *sseLink) Hello() *Hello { return l.hello.Load() }

// Lost implements Link.
func (l *sseLink) Lost() <-chan struct{} { return l.lost }

// Err implements Link.
func (l *sseLink) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Close implements Link. Closing the stream is what ends the session.
func (l *sseLink) Close(context.Context) StopKind {
	l.lose(ErrClosed)
	l.work.Wait()
	l.release()
	return Graceful
}

// lose makes the link lost, unless it is, and answers all who wait.
func (l *sseLink) lose(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return
	}
	l.err = err
	close(l.lost)
	for id, c := range l.pending {
		delete(l.pending, id)
		c.err = l.lostError(ExecutedUnknown)
		close(c.answered)
	}
	l.questions.close()
	l.cancel()
}

// lostError is the error of a call on the lost link. l.mu is held.
func (l *sseLink) lostError(executed Executed) *TransportError {
	e := &TransportError{Executed: executed, Reason: "closed", Lost: true, Err: l.err}
	var t *TransportError
	if errors.As(l.err, &t) {
		e.Reason, e.Err = t.Reason, t.Err
	}
	return e
}
