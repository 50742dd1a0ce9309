package gateway

import (
	"io"
	"sync"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// pipe is the outlet of a client on stdio: one writer, messages one to a line.
type pipe struct {
	poke chan struct{} // capacity 1: there is something to write
	// backlog bounds what waits for a client that is one of many; nil for one that
	// harms itself alone. cut ends the client that reads too slowly for that.
	backlog *backlog
	cut     func()

	mu     sync.Mutex // guards all below
	queue  []queued
	size   int // bytes in queue
	closed bool
}

// queued is a message that waits to be written.
type queued struct {
	raw   []byte
	large *unread // in the backlog, nil for none
}

func newPipe() *pipe { return &pipe{poke: make(chan struct{}, 1)} }

// send implements outlet.
func (p *pipe) send(raw []byte, w weight) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || w == optional && p.size > maxUnsent || w != answering && len(p.queue) >= maxWaiting {
		return false
	}
	q := queued{raw: jsonrpc.OneLine(raw)}
	if p.backlog != nil {
		if p.size > maxBacklog {
			p.cut()
			return false
		}
		q.large = p.backlog.enter(len(raw), p.cut)
	}
	p.queue = append(p.queue, q)
	p.size += len(raw)
	select {
	case p.poke <- struct{}{}:
	default:
	}
	return true
}

// run writes until close and the queue is empty, or a write fails.
func (p *pipe) run(out io.Writer) error {
	defer p.discard()
	var buf []byte
	for {
		queue, closed := p.take()
		buf = buf[:0]
		for _, q := range queue {
			buf = append(append(buf, q.raw...), '\n')
		}
		if len(buf) > 0 {
			_, err := out.Write(buf)
			p.leave(queue)
			if err != nil {
				return err
			}
			continue
		}
		if closed {
			return nil
		}
		<-p.poke
	}
}

// take returns what waits, and whether nothing more will come.
func (p *pipe) take() (queue []queued, closed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	queue, closed = p.queue, p.closed
	p.queue, p.size = nil, 0
	return queue, closed
}

// leave takes messages out of the backlog.
func (p *pipe) leave(queue []queued) {
	if p.backlog != nil {
		for _, q := range queue {
			p.backlog.leave(q.large)
		}
	}
}

// discard lets go of what will not be written, and takes no more.
func (p *pipe) discard() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	queue, _ := p.take()
	p.leave(queue)
}

func (p *pipe) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	select {
	case p.poke <- struct{}{}:
	default:
	}
}
