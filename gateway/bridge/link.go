package bridge

import (
	"io"
	"sync"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// link is one connection to a gateway.
type link struct {
	conn io.ReadWriteCloser
	once sync.Once
	gone chan struct{} // closed when it is to end
	poke chan struct{} // capacity 1: there is something to write

	// The bridge's mu guards the rest.
	queue     []outgoing
	size      int                 // bytes in queue
	questions map[string][]byte   // the gateway's requests that are not answered, by id
	own       map[string]string   // methods of requests of the bridge's own, by id
	again     map[string]struct{} // ids of subscriptions whose acknowledgement the client has already
}

// outgoing is a line for the gateway, and the client's requests in it.
type outgoing struct {
	raw      []byte
	requests []*request
}

// maxQueue bounds the bytes that wait for a gateway that does not read.
const maxQueue = 64 << 20

func newLink(conn io.ReadWriteCloser) *link {
	return &link{
		conn: conn, gone: make(chan struct{}), poke: make(chan struct{}, 1),
		questions: make(map[string][]byte), own: make(map[string]string), again: make(map[string]struct{}),
	}
}

// hangUp ends the connection, and with it what reads and writes it.
func (l *link) hangUp() {
	l.once.Do(func() {
		close(l.gone)
		_ = l.conn.Close()
	})
}

// send queues a line. It reports false if too much waits already. The caller
// holds the bridge's mu.
func (l *link) send(raw []byte, requests ...*request) bool {
	if l.size > maxQueue {
		return false
	}
	l.queue = append(l.queue, outgoing{raw, requests})
	l.size += len(raw)
	select {
	case l.poke <- struct{}{}:
	default:
	}
	return true
}

// withdraw takes a request out of the queue. It reports false if it is on its
// way. The caller holds the bridge's mu.
func (l *link) withdraw(r *request) bool {
	for i, o := range l.queue {
		if len(o.requests) == 1 && o.requests[0] == r {
			l.queue = append(l.queue[:i], l.queue[i+1:]...)
			l.size -= len(o.raw)
			return true
		}
	}
	return false
}

// write writes what is queued until the link ends.
func (b *bridge) write(l *link) {
	var buf []byte
	for {
		b.mu.Lock()
		queue := l.queue
		l.queue, l.size = nil, 0
		for _, o := range queue {
			for _, r := range o.requests {
				r.sent = true
			}
		}
		b.mu.Unlock()
		buf = buf[:0]
		for _, o := range queue {
			buf = append(append(buf, o.raw...), '\n')
		}
		if len(buf) > 0 {
			if n, err := l.conn.Write(buf); err != nil {
				b.unsend(queue, n)
				l.hangUp()
				return
			}
			continue
		}
		select {
		case <-l.gone:
			return
		case <-l.poke:
		}
	}
}

// unsend notes which of the requests were not begun when a write broke off after
// n bytes.
func (b *bridge) unsend(queue []outgoing, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := 0
	for _, o := range queue {
		if at >= n {
			for _, r := range o.requests {
				r.sent = false
			}
		}
		at += len(o.raw) + 1
	}
}

// maxAnswer is the longest line in bytes that a gateway may send: its own limits
// are below.
const maxAnswer = 1 << 30

// read takes what the gateway says until the link ends.
func (b *bridge) read(l *link) {
	lines := jsonrpc.NewLineReader(l.conn, maxAnswer)
	for {
		line, err := lines.Next()
		if err != nil {
			return
		}
		if len(line) > 0 {
			b.fromGateway(l, line)
		}
	}
}
