package upstream

import (
	"errors"
	"sync/atomic"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// modernPosts is what the POSTs to a modern server have of their own: each
// mirrors its body in headers, there are no sessions and no GET streams, nothing
// is resumed, and closing the response cancels the request.
type modernPosts struct {
	tools atomic.Pointer[toolHeaders]
}

// newModernSession makes what requests of the modern era are sent with. It is a
// session in name only: it needs no making and is never forgotten.
func newModernSession(l *httpLink) *httpSession {
	s := newHTTPSession(l)
	s.modern = new(modernPosts)
	s.setHeader(latestModern)
	return s
}

// modern makes the link one to a server that turned out to be modern.
func (l *httpLink) modern(s *httpSession, h *Hello, x *Dial, in *eraInbox) Link {
	s.hello = h
	l.session.Store(s)
	l.first.Do(func() {
		if x.Spawned != nil {
			x.Spawned(0)
		}
	})
	m := newModernLink(l, x, in, h, l.log)
	m.mirrors = &s.modern.tools
	return m
}

// documents takes a response in JSON that holds one message after the other, on
// lines of their own: some servers answer a request to listen so.
func (x *exchange) documents(resp *response) *TransportError {
	lines := jsonrpc.NewLineReader(resp.body, x.s.link.max)
	for x.answer.Kind == jsonrpc.Invalid {
		line, err := lines.Next()
		switch {
		case err != nil:
			return streamCut(errors.New("the stream ended before the answer"))
		case len(line) == 0:
			continue
		}
		if err := x.take(line); err != nil {
			return err
		}
	}
	return nil
}
