package bridge

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// listen takes what the client says until In ends.
func (b *bridge) listen(ctx context.Context) {
	lines := jsonrpc.NewLineReader(b.In, b.MaxMessage)
	for ctx.Err() == nil {
		line, err := lines.Next()
		var long *jsonrpc.TooLongError
		switch {
		case errors.As(err, &long):
			b.tell(jsonrpc.AppendError(nil, jsonrpc.ScanID(long.Head, long.Tail), jsonrpc.CodeInvalidRequest, "invalid request: the message is too long", nil))
		case err != nil:
			b.hungUp(ctx, err)
			return
		case jsonrpc.Whole(line).Ok():
			b.fromClient(line)
		}
	}
}

// hungUp waits for what is owed to a client that will say no more.
func (b *bridge) hungUp(ctx context.Context, err error) {
	if !errors.Is(err, io.EOF) {
		b.end(err)
		return
	}
	b.mu.Lock()
	b.over = true
	b.mu.Unlock()
	b.finish()
	timer := time.NewTimer(b.Patience)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
		b.end(errDone)
	}
}

// fromClient takes one line of the client.
func (b *bridge) fromClient(line []byte) {
	m, err := jsonrpc.Parse(line)
	if err != nil {
		b.oddFromClient(line, err)
		return
	}
	var reply []byte
	b.mu.Lock()
	switch m.Kind {
	case jsonrpc.Request:
		reply = b.asked(&m)
	case jsonrpc.Notification:
		b.notified(&m)
	default:
		b.answered(&m)
	}
	broken := b.broken
	b.mu.Unlock()
	if reply != nil {
		b.tell(reply)
		b.finish()
		if broken != nil && m.MethodName() == "initialize" {
			b.end(broken)
		}
	}
}

// oddFromClient takes a line that is no single message: a batch, or what the
// gateway, or in its place the bridge, calls by its name.
func (b *bridge) oddFromClient(line []byte, err error) {
	var reply []byte
	b.mu.Lock()
	parts, ok, batchErr := jsonrpc.Batch(line)
	switch bad := new(jsonrpc.Error); {
	case ok && batchErr == nil && b.memory.version == "2025-03-26":
		b.batch(line, parts)
	case b.link != nil:
		b.link.send(line)
	case errors.As(err, &bad):
		reply = jsonrpc.AppendError(nil, bad.ID, bad.Code, bad.Message, bad.Data)
	}
	b.mu.Unlock()
	if reply != nil {
		b.tell(reply)
	}
}

// batch takes a batch, of which each message is one of its own if it has to wait.
// The caller holds mu.
func (b *bridge) batch(line []byte, parts [][]byte) {
	var requests []*request
	for _, part := range parts {
		m, err := jsonrpc.Parse(part)
		if err == nil && m.Kind == jsonrpc.Request {
			requests = append(requests, newRequest(&m))
		}
	}
	b.flight = append(b.flight, requests...)
	if b.link == nil || !b.link.send(line, requests...) {
		b.wait()
	}
}

func newRequest(m *jsonrpc.Message) *request {
	r := &request{id: m.ID.Of(m.Raw), method: m.MethodName(), raw: m.Raw, modern: m.MetaVersion.Ok()}
	if r.method == "resources/subscribe" || r.method == "resources/unsubscribe" {
		r.uri = m.Text(m.URI)
	}
	return r
}

// asked takes a request. It returns the answer if that is known. The caller holds
// mu.
func (b *bridge) asked(m *jsonrpc.Message) []byte {
	r := newRequest(m)
	if b.broken != nil {
		return notSent(b.broken).answer(r)
	}
	if b.link != nil && !b.link.send(m.Raw, r) {
		return notSent(errStuck).answer(r)
	}
	b.flight = append(b.flight, r)
	if b.link == nil {
		b.wait()
	}
	return nil
}

var errStuck = errors.New("it does not read what it is sent")

// wait has the next connection made soon.
func (b *bridge) wait() {
	select {
	case b.poke <- struct{}{}:
	default:
	}
}

// notified takes a notification. Without a connection most of them concern
// nobody. The caller holds mu.
func (b *bridge) notified(m *jsonrpc.Message) {
	switch m.MethodName() {
	case "notifications/initialized":
		b.memory.initialized = m.Raw
	case "notifications/cancelled":
		if r := b.flight.find(m.RequestID.Of(m.Raw)); r != nil {
			b.flight.remove(r) // it gets no answer
			if b.link == nil || b.link.withdraw(r) {
				return
			}
		}
	}
	if b.link != nil {
		b.link.send(m.Raw)
	}
}

// answered takes the answer to a question of the gateway, unless it is one of a
// gateway that is gone. The caller holds mu.
func (b *bridge) answered(m *jsonrpc.Message) {
	if b.link == nil {
		return
	}
	id := string(m.ID.Of(m.Raw))
	if _, ok := b.link.questions[id]; ok {
		delete(b.link.questions, id)
		b.link.send(m.Raw)
	}
}
