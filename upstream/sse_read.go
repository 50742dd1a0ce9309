package upstream

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// read takes the events of the stream to its end, which is that of the link.
func (l *sseLink) read(events *jsonrpc.EventReader) {
	for {
		ev, err := events.Next()
		var long *jsonrpc.TooLongError
		switch {
		case errors.As(err, &long):
			if id, ok := parseID(jsonrpc.ScanID(long.Head, long.Tail)); ok {
				l.finish(id, jsonrpc.Message{}, tooLarge(long.Size))
			} else {
				l.log.Warn("message over max_message skipped", "size", long.Size)
			}
			continue
		case err != nil:
			l.lose(&TransportError{Executed: ExecutedUnknown, Reason: "reset", Lost: true, Err: fmt.Errorf("the stream ended: %w", err)})
			return
		}
		if len(ev.Data) == 0 || ev.Type != "" && ev.Type != "message" {
			continue
		}
		parts, batch, err := jsonrpc.Batch(ev.Data)
		if !batch || err != nil {
			parts = [][]byte{ev.Data}
		}
		for _, part := range parts {
			l.take(part)
		}
	}
}

// take takes one message.
func (l *sseLink) take(raw []byte) {
	m, err := jsonrpc.ParseServer(raw)
	if err != nil {
		// An answer that is not well-formed fails its call, if it names one.
		if id, ok := parseID(m.ID.Of(raw)); ok && !m.Method.Ok() {
			l.finish(id, jsonrpc.Message{}, malformed(err))
			return
		}
		l.log.Debug("malformed message on the stream", "error", err)
		return
	}
	switch m.Kind {
	case jsonrpc.Result, jsonrpc.Failure:
		if id, ok := parseID(m.ID.Of(raw)); ok {
			l.finish(id, m, nil)
		}
	case jsonrpc.Notification:
		l.notified(m)
	case jsonrpc.Request:
		l.asked(m)
	}
}

// finish ends a call with its answer. An answer that nobody waits for, or a
// second one, is dropped.
func (l *sseLink) finish(id uint64, m jsonrpc.Message, e *TransportError) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.pending[id]
	if c == nil {
		l.calls.late(id)
		return
	}
	delete(l.pending, id)
	l.calls.end(c.r.Owner)
	c.message, c.err = m, e
	close(c.answered)
	// Some servers answer on the stream first and end the POST afterwards, and a
	// few never do.
	time.AfterFunc(time.Second, c.unpost)
}

func (l *sseLink) notified(m jsonrpc.Message) {
	switch m.MethodName() {
	case "notifications/cancelled":
		l.questions.withdraw(string(m.RequestID.Of(m.Raw)))
	case "notifications/progress":
		l.progress(m)
	default:
		if l.dial.Inbox != nil {
			l.dial.Inbox.Notified(m)
		}
	}
}

// progress hands a progress notification to its call, with the client's token.
func (l *sseLink) progress(m jsonrpc.Message) {
	id, ok := parseID(m.ProgressToken.Of(m.Raw))
	if !ok {
		return
	}
	l.mu.Lock()
	c := l.pending[id]
	l.mu.Unlock()
	if c == nil || c.r.Peer == nil || !c.r.Message.MetaProgressToken.Ok() {
		return
	}
	m = withProgressToken(m, c.r.Message.MetaProgressToken.Of(c.r.Message.Raw))
	if m.Kind == jsonrpc.Notification {
		c.r.Peer.Notified(m)
	}
}

// asked relays a request of the server to the one client it can be for, as on
// stdio: nothing says to which call it belongs.
func (l *sseLink) asked(m jsonrpc.Message) {
	method := m.MethodName()
	if method != "ping" && (method != "roots/list" || l.dial.Exclusive) {
		if relay := l.recipient(); relay != nil {
			if q := l.questions.open(m, l.Notify); q != nil {
				relay(q)
				return
			}
		}
	}
	l.send(ownAnswer(m), "answer")
}

// recipient returns who can be asked, nil for nobody.
func (l *sseLink) recipient() func(*Question) {
	l.mu.Lock()
	defer l.mu.Unlock()
	owner, sole := l.calls.sole()
	// A scope may be several clients', if they cannot be told apart by sessions.
	if !sole && (!l.dial.Exclusive || len(l.calls.owners) > 0) || l.err != nil {
		return nil
	}
	var newest uint64
	for id, c := range l.pending {
		if c.r.Peer != nil && id > newest && sole && c.r.Owner == owner {
			newest = id
		}
	}
	switch {
	case newest > 0:
		return l.pending[newest].r.Peer.Asked
	case l.dial.Exclusive && l.dial.Inbox != nil:
		return l.dial.Inbox.Asked
	}
	return nil
}

func appendID(dst []byte, id uint64) []byte { return strconv.AppendUint(dst, id, 10) }

// parseID reads an id that we gave. Other spellings of the number are not ours.
func parseID(b []byte) (uint64, bool) {
	id, err := strconv.ParseUint(string(b), 10, 64)
	return id, err == nil && bytes.Equal(appendID(nil, id), b)
}
