package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// exchange is one request and what comes back for it. It belongs to the
// goroutine of the caller, who is also the reader of its stream.
type exchange struct {
	s   *httpSession
	r   *Request
	n   uint64   // the link's id for it
	id  []byte   // the same, as JSON
	buf [20]byte // of id

	token     jsonrpc.Span // the client's progress token in r.Message, if any
	answer    jsonrpc.Message
	questions openQuestions

	q     outgoing
	edits jsonrpc.Edits // of what is sent
	more  [3]field      // those of q, where these are enough

	mu   sync.Mutex // guards over, and is held while the peer is told
	over bool       // the exchange has ended: the peer is told no more
}

func newExchange(s *httpSession, r *Request) *exchange {
	x := &exchange{s: s, r: r, token: r.Message.MetaProgressToken}
	x.n = s.link.next.Add(1)
	x.id = appendID(x.buf[:0], x.n)
	r.sending(x.n)
	return x
}

// requestBody returns the message to send for r: the client's, with the edits
// asked for, and the link's id in the place of the client's id and of its
// progress token.
func requestBody(r *Request, id uint64) []byte {
	var digits [20]byte
	e := r.Edits.Clone()
	readdress(e, &r.Message, appendID(digits[:0], id))
	return e.Apply(make([]byte, 0, len(r.Message.Raw)+256), r.Message.Raw)
}

// readdress puts id in the place of the ids that the client gave.
func readdress(e *jsonrpc.Edits, m *jsonrpc.Message, id []byte) {
	e.Replace(m.ID, id)
	e.Replace(m.MetaProgressToken, id)
}

// do sends the request and blocks until its answer, the end of ctx or that of
// the link.
func (x *exchange) do(ctx context.Context) (jsonrpc.Message, error) {
	l := x.s.link
	if x.token.Ok() && x.r.Peer != nil {
		l.reporting.add(x)
		defer l.reporting.remove(x)
	}
	if x.r.Alone && x.r.Peer != nil && l.dial.Exclusive {
		x.s.alone.begin(x)
		defer x.s.alone.end(x)
	}
	q := &x.q
	q.method, q.header, q.more = http.MethodPost, x.s.header, tracing(x.more[:0], x.r)
	q.raw, q.edits = x.r.Message.Raw, &x.edits
	x.edits.Copy(x.r.Edits)
	readdress(&x.edits, &x.r.Message, x.id)
	if x.s.modern != nil {
		q.raw, q.edits = x.edits.Apply(nil, q.raw), nil
		q.more = appendModern(q.more, q.raw, x.r.Params, x.s.modern.tools.Load())
	}
	resp, err := x.s.post(ctx, q)
	if err != nil {
		return x.end(ctx, err, err.Executed != ExecutedNo)
	}
	if resp.ok() && x.r.Message.MethodName() == "initialize" {
		x.s.greeted(resp)
	}
	err = x.read(ctx, resp)
	resp.leave(x.answer.Kind != jsonrpc.Invalid)
	if err != nil && ctx.Err() == nil {
		if lost := l.Err(); lost != nil {
			err = &TransportError{Executed: ExecutedUnknown, Reason: "closed", Lost: true, Err: lost}
		}
	}
	return x.end(ctx, err, true)
}

// end closes what hung on the exchange. When ctx ended, the server is told,
// unless it was never sent anything.
func (x *exchange) end(ctx context.Context, err *TransportError, sent bool) (jsonrpc.Message, error) {
	x.questions.close()
	switch {
	case x.answer.Kind != jsonrpc.Invalid:
		return x.answer, nil
	case ctx.Err() == nil, !sent && noToken(err):
		return jsonrpc.Message{}, err
	}
	// To a modern server the end of the response says it.
	if sent && x.s.modern == nil && cancellable(x.r.Message.MethodName()) {
		id := bytes.Clone(x.id)
		x.s.link.life.spawn(func() { x.s.tellCancelled(id, context.Cause(ctx)) })
	}
	return jsonrpc.Message{}, context.Cause(ctx)
}

// goodbye is how long a cancellation may take once its link is closed.
const goodbye = time.Second

// tellCancelled tells the server that a call is given up, also while the link is
// being closed: a server may end a session only when its calls have ended.
func (s *httpSession) tellCancelled(id []byte, why error) {
	ctx, stop := context.WithTimeout(context.Background(), ownPostTimeout)
	defer stop()
	defer context.AfterFunc(s.link.life.ctx, func() { time.AfterFunc(goodbye, stop) })()
	own := newLife()
	defer own.end()
	note := &outgoing{method: http.MethodPost, to: s.link.target.Load(), header: s.header, raw: cancelledNote(id, why)}
	resp, err := s.link.way.send(ctx, own, note)
	if err != nil {
		s.link.log.Debug("cancellation not delivered", "error", err)
		return
	}
	resp.drain()
}

// cancelledNote makes the notification that a request is given up.
func cancelledNote(id []byte, why error) []byte {
	reason := "cancelled"
	if errors.Is(why, context.DeadlineExceeded) {
		reason = "timed out"
	}
	p := append([]byte(`{"requestId":`), id...)
	p = append(p, `,"reason":"`...)
	p = append(append(p, reason...), `"}`...)
	return jsonrpc.AppendRequest(nil, nil, "notifications/cancelled", p)
}

// read takes what the server responded with, to the answer.
func (x *exchange) read(ctx context.Context, resp *response) *TransportError {
	switch {
	case !resp.ok():
		return x.refused(resp)
	case resp.status == http.StatusAccepted, resp.status == http.StatusNoContent:
		return malformed(fmt.Errorf("HTTP status %d and no answer", resp.status))
	case resp.encoding != "" && resp.encoding != "identity":
		return malformed(fmt.Errorf("content encoding %.40q, which was not asked for", resp.encoding))
	}
	switch resp.kind {
	case "text/event-stream":
		return x.stream(ctx, resp)
	case "application/json", "":
		if x.s.modern != nil && x.r.began != nil {
			return x.documents(resp)
		}
		raw, err := x.whole(resp)
		if err != nil {
			return err
		}
		return x.takeAll(raw)
	}
	return malformed(fmt.Errorf("content type %.80q is no answer", resp.kind))
}

// refused reads a response with an error status.
func (x *exchange) refused(resp *response) *TransportError {
	body := resp.beginning(int64(min(x.s.link.max, 1<<20)))
	e, failed := httpFailure(resp, body, x.id, x.s.id != "")
	if failed {
		return e
	}
	// Its id is null when the server did not get so far as to read ours.
	x.answer, _ = jsonrpc.ParseServer(body)
	return nil
}

// whole reads a JSON body of at most the cap. What is not there yet is not
// reserved for, so that a promise of much costs nothing.
func (x *exchange) whole(resp *response) ([]byte, *TransportError) {
	limit := x.s.link.max
	if resp.length > int64(limit) {
		return nil, tooLarge(resp.length)
	}
	size := 4 << 10
	if resp.length >= 0 {
		size = min(int(resp.length), 2<<20)
	}
	raw := make([]byte, 0, size+1) // one more, so that the end is seen without growing
	for {
		n, err := resp.body.Read(raw[len(raw):cap(raw)])
		raw = raw[:len(raw)+n]
		switch {
		case len(raw) > limit:
			return nil, tooLarge(int64(len(raw)))
		case errors.Is(err, io.EOF):
			return raw, nil
		case err != nil:
			return nil, &TransportError{Executed: ExecutedUnknown, Reason: "reset", Err: fmt.Errorf("the answer was cut: %w", err)}
		case len(raw) == cap(raw):
			raw = append(raw, 0)[:len(raw)]
		}
	}
}

// takeAll takes a body that holds one message, or the array of them that a
// server of 2025-03-26 may send.
func (x *exchange) takeAll(raw []byte) *TransportError {
	parts, batch, err := jsonrpc.Batch(raw)
	switch {
	case err != nil:
		return malformed(err)
	case !batch:
		parts = [][]byte{raw}
	}
	for _, part := range parts {
		if err := x.take(part); err != nil {
			return err
		}
	}
	if x.answer.Kind == jsonrpc.Invalid {
		return malformed(errors.New("the body holds no answer to the request"))
	}
	return nil
}

func malformed(err error) *TransportError {
	return &TransportError{Executed: ExecutedUnknown, Reason: "malformed", Err: err}
}

func tooLarge(size int64) *TransportError {
	return &TransportError{Executed: ExecutedUnknown, Reason: "too_large", Err: fmt.Errorf("an answer of %d bytes or more is over max_message", size)}
}
