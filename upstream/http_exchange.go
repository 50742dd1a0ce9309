package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
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

	mu   sync.Mutex // guards over, and is held while the peer is told
	over bool       // the exchange has ended: the peer is told no more
}

func newExchange(s *httpSession, r *Request) *exchange {
	x := &exchange{s: s, r: r, token: r.Message.MetaProgressToken}
	x.n = s.link.next.Add(1)
	x.id = appendID(x.buf[:0], x.n)
	if r.began != nil {
		r.began(x.n)
	}
	return x
}

// requestBody returns the message to send for r: the client's, with the edits
// asked for, and the link's id in the place of the client's id and of its
// progress token.
func requestBody(r *Request, id uint64) []byte {
	var digits [20]byte
	own := appendID(digits[:0], id)
	m := &r.Message
	e := r.Edits.Clone()
	e.Replace(m.ID, own)
	e.Replace(m.MetaProgressToken, own)
	return e.Apply(make([]byte, 0, len(m.Raw)+256), m.Raw)
}

// traced returns h with the trace context of r. h itself is not changed.
func traced(h http.Header, r *Request) http.Header {
	if r.TraceParent == "" && r.Baggage == "" {
		return h
	}
	h = h.Clone()
	for k, v := range map[string]string{"Traceparent": r.TraceParent, "Tracestate": r.TraceState, "Baggage": r.Baggage} {
		if v != "" {
			h[k] = []string{v}
		}
	}
	return h
}

// do sends the request and blocks until its answer, the end of ctx or that of
// the link.
func (x *exchange) do(ctx context.Context) (jsonrpc.Message, error) {
	l := x.s.link
	if x.token.Ok() && x.r.Peer != nil {
		l.reporting.add(x)
		defer l.reporting.remove(x)
	}
	bound, done := bindContext(ctx, l.ctx)
	body := requestBody(x.r, x.n)
	header := traced(x.s.header, x.r)
	if x.s.modern != nil {
		header = modernHeader(header, body, x.r.Params, x.s.modern.tools.Load())
	}
	resp, p, err := x.s.post(bound, body, header) //nolint:bodyclose // incoming closes it
	if err != nil {
		err = l.transportError(bound, p, err)
		done()
		return x.end(ctx, err, p.got.Load())
	}
	if resp.StatusCode/100 == 2 && x.r.Message.MethodName() == "initialize" {
		x.s.greeted(resp)
	}
	in := &incoming{body: resp.Body, done: done}
	err = x.read(bound, in, resp)
	in.leave(l, x.answer.Kind != jsonrpc.Invalid)
	if err != nil && ctx.Err() == nil {
		if lost := l.Err(); lost != nil {
			err = &TransportError{Executed: ExecutedUnknown, Reason: "closed", Lost: true, Err: lost}
		}
	}
	return x.end(ctx, err, true)
}

// end closes what hung on the exchange. When ctx ended, the server is told,
// unless it was never sent anything.
func (x *exchange) end(ctx context.Context, err error, sent bool) (jsonrpc.Message, error) {
	x.questions.close()
	switch {
	case x.answer.Kind != jsonrpc.Invalid:
		return x.answer, nil
	case ctx.Err() == nil:
		return jsonrpc.Message{}, err
	}
	// To a modern server the end of the response says it.
	if sent && x.s.modern == nil && cancellable(x.r.Message.MethodName()) {
		id := bytes.Clone(x.id)
		x.s.link.spawn(func() { x.s.tellCancelled(id, context.Cause(ctx)) })
	}
	return jsonrpc.Message{}, context.Cause(ctx)
}

func (s *httpSession) tellCancelled(id []byte, why error) {
	ctx, stop := context.WithTimeout(s.link.ctx, ownPostTimeout)
	defer stop()
	if err := s.Notify(ctx, cancelledNote(id, why)); err != nil {
		s.link.log.Debug("cancellation not delivered", "error", err)
	}
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
func (x *exchange) read(ctx context.Context, in *incoming, resp *http.Response) error {
	if resp.StatusCode/100 != 2 {
		return x.refused(in, resp)
	}
	if resp.StatusCode == http.StatusAccepted || resp.StatusCode == http.StatusNoContent {
		return malformed(fmt.Errorf("HTTP status %d and no answer", resp.StatusCode))
	}
	if enc := resp.Header.Get("Content-Encoding"); enc != "" && enc != "identity" {
		return malformed(fmt.Errorf("content encoding %.40q, which was not asked for", enc))
	}
	switch kind := resp.Header.Get("Content-Type"); mediaType(kind) {
	case "text/event-stream":
		return x.stream(ctx, in)
	case "application/json", "":
		if x.s.modern != nil && x.r.began != nil {
			return x.documents(in)
		}
		raw, err := x.whole(in, resp.ContentLength)
		if err != nil {
			return err
		}
		return x.takeAll(raw)
	default:
		return malformed(fmt.Errorf("content type %.80q is no answer", kind))
	}
}

// refused reads a response with an error status.
func (x *exchange) refused(in *incoming, resp *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(in, int64(min(x.s.link.max, 1<<20))))
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
func (x *exchange) whole(in *incoming, length int64) ([]byte, error) {
	limit := x.s.link.max
	if length > int64(limit) {
		return nil, tooLarge(length)
	}
	size := 4 << 10
	if length >= 0 {
		size = min(int(length), 1<<20)
	}
	raw := make([]byte, 0, size+1) // one more, so that the end is seen without growing
	for {
		n, err := in.Read(raw[len(raw):cap(raw)])
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
func (x *exchange) takeAll(raw []byte) error {
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

// mediaType returns a Content-Type less its parameters.
func mediaType(v string) string {
	if i := strings.IndexByte(v, ';'); i >= 0 {
		v = v[:i]
	}
	return strings.ToLower(strings.TrimSpace(v))
}

// incoming is the body of a response, which knows whether it was read to its
// end: only then can the connection be used again.
type incoming struct {
	body io.ReadCloser
	done func() // ends the context of the round trip
	eof  bool
}

func (in *incoming) Read(p []byte) (int, error) {
	n, err := in.body.Read(p)
	if err == io.EOF {
		in.eof = true
	}
	return n, err
}

// leave gives the body up. After an answer the rest of it is read in the
// background for a moment: it is most often nothing but the end, and throwing a
// connection away for that would cost a new one for each call.
func (in *incoming) leave(l *httpLink, answered bool) {
	if in.eof || !answered {
		in.close()
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		in.close()
		return
	}
	l.work.Go(func() {
		patience := time.AfterFunc(time.Second, in.done)
		defer patience.Stop()
		_, _ = io.Copy(io.Discard, io.LimitReader(in.body, 64<<10))
		in.close()
	})
}

func (in *incoming) close() {
	in.body.Close()
	in.done()
}
