package upstream

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// streamReaders are the readers of streams. jsonrpc.NewEventReader uses a
// buffered reader that is large enough as it is.
var streamReaders = sync.Pool{New: func() any {
	return jsonrpc.NewEventReader(bufio.NewReaderSize(nil, 16<<10), 0)
}}

// stream reads the events of a call to its answer. When the stream ends without
// it and the server numbered its events, it is taken up again with a GET
// (basic/transports, Resumability); else nobody can know what became of the call.
func (x *exchange) stream(ctx context.Context, resp *response) *TransportError {
	var last string
	var pause time.Duration
	err := x.events(resp, &last, &pause)
	failures := 0
	for err == nil && x.answer.Kind == jsonrpc.Invalid {
		if last == "" || x.s.modern != nil {
			return streamCut(errors.New("the stream ended before the answer"))
		}
		if failures++; failures > 5 {
			return streamCut(errors.New("the stream ended before the answer and could not be resumed"))
		}
		if !rest(ctx, max(pause, reconnectPause(failures, 100*time.Millisecond, 5*time.Second))) {
			return streamCut(context.Cause(ctx))
		}
		more, gone := x.s.get(ctx, last)
		if gone != nil {
			if needsAuth(gone) != nil { // of a call that ran, perhaps: to sign in is not to make it again
				return &TransportError{Executed: ExecutedUnknown, Reason: "unauthorized", Err: fmt.Errorf("the stream ended before the answer and cannot be resumed: %v", gone)} //nolint:errorlint // see above
			}
			continue
		}
		before := last
		if err = resumable(more); err == nil && more.ok() {
			err = x.events(more, &last, &pause)
			// A server that closes and asks to be polled is doing well.
			if last != before || pause > 0 {
				failures = 0
			}
		}
		more.leave(x.answer.Kind != jsonrpc.Invalid)
	}
	return err
}

// resumable tells a response to a GET that may be tried again from one that
// never gives the answer.
func resumable(resp *response) *TransportError {
	if resp.stream() || passing(resp.status) {
		return nil
	}
	return streamCut(fmt.Errorf("the stream ended before the answer and cannot be resumed: HTTP status %d", resp.status))
}

// passing reports whether a status may be another one a moment later.
func passing(status int) bool {
	return status >= 500 && status != http.StatusNotImplemented || status == http.StatusTooManyRequests
}

func streamCut(err error) *TransportError {
	return &TransportError{Executed: ExecutedUnknown, Reason: "reset", Err: err}
}

// events takes the events of one stream until the answer or its end, which is
// no error. last and pause become what the server said about resuming.
func (x *exchange) events(resp *response, last *string, pause *time.Duration) *TransportError {
	r := streamReaders.Get().(*jsonrpc.EventReader)
	r.Reset(resp.body, x.s.link.max)
	defer func() { r.Reset(nil, 0); streamReaders.Put(r) }()
	if f, ok := resp.body.(jsonrpc.Foreseen); ok {
		r.From(f)
	}
	for x.answer.Kind == jsonrpc.Invalid {
		ev, err := r.Next()
		if err != nil {
			long, ok := errors.AsType[*jsonrpc.TooLongError](err)
			if !ok {
				return nil
			}
			id := jsonrpc.ScanID(long.Head, long.Tail)
			if id == nil || bytes.Equal(id, x.id) {
				return tooLarge(long.Size)
			}
			continue
		}
		if ev.HasID {
			*last = ev.ID
		}
		if ev.Retry > 0 {
			*pause = min(ev.Retry, time.Minute)
		}
		if len(ev.Data) == 0 || ev.Type != "" && ev.Type != "message" {
			continue
		}
		if ev.Data[0] == '[' {
			if err := x.takeBatch(ev.Data); err != nil {
				return err
			}
		} else if err := x.take(ev.Data); err != nil {
			return err
		}
	}
	return nil
}

func (x *exchange) takeBatch(raw []byte) *TransportError {
	parts, _, err := jsonrpc.Batch(raw)
	if err != nil {
		return malformed(err)
	}
	for _, part := range parts {
		if err := x.take(part); err != nil {
			return err
		}
	}
	return nil
}

// take takes one message that came for the call.
func (x *exchange) take(raw []byte) *TransportError {
	m, err := jsonrpc.ParseServer(raw)
	if err != nil {
		return malformed(err)
	}
	switch m.Kind {
	case jsonrpc.Result, jsonrpc.Failure:
		id := m.ID.Of(m.Raw)
		// An error without an id is about what was posted.
		if x.answer.Kind == jsonrpc.Invalid && (bytes.Equal(id, x.id) || m.Kind == jsonrpc.Failure && (id == nil || string(id) == "null")) {
			x.answer = m
		}
	case jsonrpc.Notification:
		x.notified(m)
	case jsonrpc.Request:
		if x.s.modern == nil { // else a server may not ask
			x.asked(m)
		}
	}
	return nil
}

func (x *exchange) notified(m jsonrpc.Message) {
	if x.answer.Kind != jsonrpc.Invalid {
		return
	}
	l := x.s.link
	switch m.MethodName() {
	case "notifications/cancelled":
		x.questions.withdraw(string(m.RequestID.Of(m.Raw)))
		return
	case "notifications/tools/list_changed", "notifications/prompts/list_changed",
		"notifications/resources/list_changed", "notifications/resources/updated":
		// These concern everybody, whichever stream the server chose.
		if l.dial.Inbox != nil {
			l.dial.Inbox.Notified(m)
		}
		return
	case "notifications/progress":
		if bytes.Equal(m.ProgressToken.Of(m.Raw), x.id) {
			x.progress(m)
		}
		return
	}
	x.tell(m)
}

// progress hands on a progress notification with the client's own token. It is
// dropped if the client gave none.
func (x *exchange) progress(m jsonrpc.Message) {
	if x.token.Ok() {
		x.tell(withProgressToken(m, x.token.Of(x.r.Message.Raw)))
	}
}

// tell hands a notification to the peer, unless the exchange is over.
func (x *exchange) tell(m jsonrpc.Message) {
	if x.r.Peer == nil || m.Kind == jsonrpc.Invalid {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.over {
		x.r.Peer.Notified(m)
	}
}

// reporting are the exchanges that wait for progress. Their own stream is where
// it belongs, but some servers send it on the GET stream.
type reporting struct {
	mu sync.Mutex // guards m
	m  map[uint64]*exchange
}

func (r *reporting) add(x *exchange) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.m == nil {
		r.m = make(map[uint64]*exchange)
	}
	r.m[x.n] = x
}

// remove forgets x, which is told nothing afterwards.
func (r *reporting) remove(x *exchange) {
	r.mu.Lock()
	delete(r.m, x.n)
	r.mu.Unlock()
	x.mu.Lock()
	x.over = true
	x.mu.Unlock()
}

// progress hands m to the exchange that it is about, if there is one.
func (r *reporting) progress(m jsonrpc.Message) {
	id, ok := parseID(m.ProgressToken.Of(m.Raw))
	if !ok {
		return
	}
	r.mu.Lock()
	x := r.m[id]
	r.mu.Unlock()
	if x != nil {
		x.progress(m)
	}
}

// withProgressToken returns the progress notification m with the token of the
// client, which is JSON, in the place of the link's.
func withProgressToken(m jsonrpc.Message, token []byte) jsonrpc.Message {
	var e jsonrpc.Edits
	e.Replace(m.ProgressToken, token)
	m, _ = jsonrpc.ParseServer(e.Apply(make([]byte, 0, len(m.Raw)+len(token)), m.Raw))
	return m
}

func (x *exchange) asked(m jsonrpc.Message) {
	method := m.MethodName()
	shared := method == "ping" || method == "roots/list" && !x.s.link.dial.Exclusive
	if x.r.Peer != nil && x.answer.Kind == jsonrpc.Invalid && !shared {
		if q := x.questions.open(m, x.s.Notify); q != nil {
			x.r.Peer.Asked(q)
			return
		}
	}
	x.s.answerItself(m)
}

// answerItself answers a ping, and refuses any other request that there is
// nobody to hand to, in the background: the reader does not wait for a POST.
func (s *httpSession) answerItself(m jsonrpc.Message) {
	answer := ownAnswer(m)
	s.link.life.spawn(func() {
		ctx, stop := context.WithTimeout(s.link.life.ctx, ownPostTimeout)
		defer stop()
		if err := s.Notify(ctx, answer); err != nil {
			s.link.log.Debug("answer to the server not delivered", "error", err)
		}
	})
}
