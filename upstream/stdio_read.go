package upstream

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strconv"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// read handles the child's lines until there are no more, and ends the link.
func (l *stdioLink) read(lines *jsonrpc.LineReader) {
	for {
		line, err := lines.Next()
		if err == nil {
			l.receive(line)
		} else if !l.readOn(err) {
			return
		}
	}
}

// readOn reports whether there may be more lines after err; if not, the link is
// lost.
func (l *stdioLink) readOn(err error) bool {
	var long *jsonrpc.TooLongError
	switch {
	case errors.As(err, &long):
		if !l.refuse(jsonrpc.ScanID(long.Head, long.Tail), "too_large", long) {
			l.skip(long.Head)
		}
		return true
	case errors.Is(err, io.EOF), errors.Is(err, os.ErrDeadlineExceeded):
		err = errors.New("the process closed its stdout")
	}
	l.brokenPipe("reset", err)
	return false
}

var bom = []byte("\xef\xbb\xbf")

// receive handles one line. What is no message is skipped: servers and their
// libraries print.
func (l *stdioLink) receive(line []byte) {
	line = bytes.TrimPrefix(line, bom)
	if len(line) > 0 && line[0] == '[' {
		// Revision 2025-03-26 has batches.
		if parts, ok, err := jsonrpc.Batch(line); ok && err == nil {
			for _, part := range parts {
				l.receiveOne(part)
			}
			return
		}
	}
	l.receiveOne(line)
}

func (l *stdioLink) receiveOne(line []byte) {
	m, err := jsonrpc.ParseServer(line)
	if err != nil {
		l.receiveOdd(line, err)
		return
	}
	switch m.Kind {
	case jsonrpc.Result, jsonrpc.Failure:
		l.answer(m)
	case jsonrpc.Notification:
		l.notified(m)
	case jsonrpc.Request:
		l.asked(m)
	}
}

// receiveOdd handles a line that is no message as a whole: one that answers a
// call against the rules fails that call; one with an answer behind something
// that was printed without a line's end has that answer; all else is skipped.
func (l *stdioLink) receiveOdd(line []byte, err error) {
	body := bytes.TrimSpace(line)
	if len(body) == 0 || body[len(body)-1] != '}' && bytes.IndexByte(body, '}') < 0 {
		l.skip(line)
		return
	}
	if body[0] == '{' && body[len(body)-1] == '}' {
		id := jsonrpc.ScanID(body, body)
		var e *jsonrpc.Error
		if errors.As(err, &e) && e.ID != nil {
			id = e.ID
		}
		if !l.refuse(id, "malformed", err) {
			l.skip(line)
		}
		return
	}
	if m, ok := buried(body); ok && l.waits(m) {
		l.skipped.Add(1)
		l.answer(m)
		return
	}
	l.skip(line)
}

// buried finds an answer that stands in a line behind or before something else,
// such as colour codes or a progress bar. Requests and notifications are not
// looked for: a log line that quotes one must not act.
func buried(line []byte) (jsonrpc.Message, bool) {
	start, end := bytes.Index(line, []byte(`{"`)), bytes.LastIndexByte(line, '}')
	if start < 0 || end < start {
		return jsonrpc.Message{}, false
	}
	m, err := jsonrpc.ParseServer(line[start : end+1 : end+1])
	return m, err == nil && (m.Kind == jsonrpc.Result || m.Kind == jsonrpc.Failure)
}

// skip counts a line that was no message, and keeps its beginning to be read.
func (l *stdioLink) skip(line []byte) {
	l.skipped.Add(1)
	if l.stderr == nil || len(bytes.TrimSpace(line)) == 0 {
		return
	}
	text := append([]byte("stdout: "), line[:min(len(line), 1000)]...)
	_, _ = l.stderr.Write(append(text, '\n'))
}

// linkID reads an id that may be one of ours.
func linkID(b []byte) (uint64, bool) {
	if len(b) == 0 || b[0] < '1' || b[0] > '9' {
		return 0, false
	}
	id, err := strconv.ParseUint(string(b), 10, 64)
	return id, err == nil
}

// take removes the call that an answer with this id is for. Answers that nobody
// waits for, duplicate, late or made up, have none.
func (l *stdioLink) take(raw []byte) *stdioCall {
	id, ok := linkID(raw)
	if !ok {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.pending[id]
	if c == nil {
		l.calls.late(id)
		return nil
	}
	delete(l.pending, id)
	l.calls.end(c.owner)
	return c
}

// answer hands an answer to its caller. It does not block.
func (l *stdioLink) answer(m jsonrpc.Message) {
	if c := l.take(m.ID.Of(m.Raw)); c != nil {
		c.answer <- outcome{message: m}
	}
}

// waits reports whether an answer's call is still open.
func (l *stdioLink) waits(m jsonrpc.Message) bool {
	_, ok := l.call(m.ID.Of(m.Raw))
	return ok
}

func (l *stdioLink) call(raw []byte) (*stdioCall, bool) {
	id, ok := linkID(raw)
	if !ok {
		return nil, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	c, ok := l.pending[id]
	return c, ok
}

// refuse fails the call with this id for an answer that cannot be used; the
// link is none the worse. It reports whether there is such a call.
func (l *stdioLink) refuse(id []byte, reason string, err error) bool {
	c := l.take(id)
	if c == nil {
		return false
	}
	c.answer <- outcome{err: &TransportError{Executed: ExecutedUnknown, Reason: reason, Err: err}}
	return true
}

// notified handles a notification of the server.
func (l *stdioLink) notified(m jsonrpc.Message) {
	switch m.MethodName() {
	case "notifications/progress":
		// The token is the id of the call; that of an ended one is dropped.
		c, ok := l.call(m.ProgressToken.Of(m.Raw))
		if !ok || c.peer == nil || c.token == nil {
			return
		}
		var e jsonrpc.Edits
		e.Replace(m.ProgressToken, c.token)
		if own, err := jsonrpc.ParseServer(e.Apply(nil, m.Raw)); err == nil {
			c.peer.Notified(own)
		}
	case "notifications/cancelled":
		if l.modern.Load() {
			l.refuse(m.RequestID.Of(m.Raw), "reset", errListenEnded)
			return
		}
		l.questions.withdraw(string(m.RequestID.Of(m.Raw)))
	case "notifications/message":
		if p := l.soleClient(); p != nil {
			p.Notified(m)
			return
		}
		fallthrough
	default:
		if l.inbox != nil {
			l.inbox.Notified(m)
		}
	}
}

// reply sends an answer of the link's own, without waiting. If the child does
// not read, the write deadline ends it soon, and the answer does not matter.
func (l *stdioLink) reply(b []byte) {
	if !l.out.full() {
		_ = l.out.send(&frame{b: append(b, '\n')})
	}
}
