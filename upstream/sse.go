package upstream

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
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
	way      *credential // to remote
	release  func()
	dial     *Dial
	log      *slog.Logger
	endpoint *place  // set before the link is used
	header   *header // of a POST
	hello    atomic.Pointer[Hello]

	life *life         // the reader, and answers the link gives itself
	lost chan struct{} // closed when the link is dead; err is set before

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

// Do implements Link.
func (l *sseLink) Do(ctx context.Context, r *Request) (jsonrpc.Message, error) {
	posting, unpost := context.WithCancel(ctx)
	defer unpost()
	c := &sseCall{r: r, answered: make(chan struct{}), unpost: unpost}
	l.mu.Lock()
	if l.err != nil {
		defer l.mu.Unlock()
		return jsonrpc.Message{}, lostBecause(l.err, ExecutedNo)
	}
	l.last++
	id := l.last
	l.pending[id] = c
	l.calls.begin(r.Owner)
	l.mu.Unlock()

	// What the POST says of itself is more exact than the loss that it may have been.
	if err := l.post(posting, requestBody(r, id), tracing(nil, r)); err != nil && (!c.done() || c.err != nil) {
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
	if ctx.Err() == nil || unsent && noToken(err) {
		return err
	}
	if !unsent && c.r.Message.MethodName() != "initialize" {
		note := cancelledNote(appendID(nil, id), context.Cause(ctx))
		l.send(note, "cancellation")
	}
	return context.Cause(ctx)
}

// Notify implements Link.
func (l *sseLink) Notify(ctx context.Context, raw []byte) error { return l.post(ctx, raw, nil) }

// post sends one message to the endpoint.
func (l *sseLink) post(ctx context.Context, raw []byte, more []field) error {
	resp, err := l.way.send(ctx, l.life, &outgoing{method: http.MethodPost, to: l.endpoint, header: l.header, more: more, raw: raw})
	if err != nil {
		if lost := l.Err(); lost != nil {
			return lostBecause(lost, err.Executed)
		}
		return err
	}
	defer resp.drain()
	if resp.ok() {
		return nil
	}
	// The session is in the endpoint's query, so that a 404 speaks of it.
	e, _ := httpFailure(resp, resp.beginning(64<<10), nil, true)
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
	l.life.spawn(func() {
		ctx, stop := context.WithTimeout(l.life.ctx, ownPostTimeout)
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
	l.life.work.Wait()
	l.release()
	return Graceful
}

// lose makes the link lost, unless it is, and answers all who wait.
func (l *sseLink) lose(err error) {
	l.mu.Lock()
	if l.err != nil {
		l.mu.Unlock()
		return
	}
	l.err = err
	close(l.lost)
	for id, c := range l.pending {
		delete(l.pending, id)
		c.err = lostBecause(l.err, ExecutedUnknown)
		close(c.answered)
	}
	l.questions.close()
	l.life.end()
	l.mu.Unlock()
	l.dial.ended(err)
}

// lostBecause is the error of a call on a link that was lost because of why.
func lostBecause(why error, executed Executed) *TransportError {
	e := &TransportError{Executed: executed, Reason: "closed", Lost: true, Err: why}
	if t, ok := errors.AsType[*TransportError](why); ok {
		e.Reason, e.Err = t.Reason, t.Err
	}
	return e
}
