package gateway

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// serveModern takes one message of a client of 2026-07-28 (basic/transports/
// streamable-http).
func (g *Gateway) serveModern(w http.ResponseWriter, r *http.Request, view string, m *jsonrpc.Message) {
	if m.Kind != jsonrpc.Request {
		g.serveModernOther(w, m)
		return
	}
	id := m.ID.Of(m.Raw)
	if bad := checkModern(r.Header, m); bad != nil {
		rpcError(w, http.StatusBadRequest, id, bad.code, bad.text, bad.data)
		return
	}
	if !g.enter() {
		g.unavailable(w, id)
		return
	}
	defer g.leave()
	p := &modernPost{w: w, r: r}
	more := &p.more
	if err := g.enterModern(more, m, view, "", r.Header); err != nil {
		w.Header().Set("Retry-After", "5")
		rpcError(w, http.StatusServiceUnavailable, id, codeUnavailable, "too many clients with different capabilities are served", nil)
		return
	}
	defer more.leave()
	if m.MethodName() == "subscriptions/listen" {
		g.serveListen(w, r, m, more)
		return
	}
	g.serveModernRequest(p, m)
}

// serveModernOther takes what is no request: a notification is accepted, and there
// is none that the core protocol gives a meaning here; a response belongs to
// nothing.
func (g *Gateway) serveModernOther(w http.ResponseWriter, m *jsonrpc.Message) {
	if bad := missingID(*m); bad != nil {
		rpcError(w, http.StatusBadRequest, nil, bad.Code, bad.Message, nil)
		return
	}
	if m.Kind != jsonrpc.Notification {
		rpcError(w, http.StatusBadRequest, nil, jsonrpc.CodeInvalidRequest,
			"invalid request: a client of 2026-07-28 sends no responses: what it is asked is answered by a retry with params.inputResponses", nil)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

// modernPost is the outlet of one POST of a client of 2026-07-28: JSON while
// nothing but the answer is sent, else a stream that ends with its connection.
type modernPost struct {
	w       http.ResponseWriter
	r       *http.Request
	ctx     callContext
	x       exchange
	more    modernRequest
	stay    upstream.Stay[*modernPost] // in g.awaited
	unwatch func() bool                // ends the watch for the loss of the connection, nil when there is none

	prev, next *modernPost // in g.posts

	mu       sync.Mutex // guards the rest
	stream   *stream    // nil until something is streamed
	answered bool
	written  chan struct{} // closed when the writer has let go of w
}

// serveModernRequest serves one request on its own POST. The connection's end is
// its cancellation.
func (g *Gateway) serveModernRequest(p *modernPost, m *jsonrpc.Message) {
	x, ctx, cancel := &p.x, &p.ctx, p.ctx.cancel
	defer cancel(nil)
	g.fill(x, p.more.client.session, *m, p, p.r, cancel)
	x.modern = &p.more
	g.posts.add(p)
	if g.hard.Err() != nil {
		cancel(errDraining)
	}
	g.awaited.Enter(&p.stay, p, time.Now(), unwatched)
	a := g.serve(ctx, x)
	g.awaited.Leave(&p.stay)
	if p.unwatch != nil {
		p.unwatch()
	}
	g.posts.remove(p)
	p.finish(&g.backlog, a, modernStatus(x.code))
}

// lingers is called when the answer has been awaited for a while, and again after
// keepAlive, as post.lingers is. From then on the connection's end is noticed.
func (p *modernPost) lingers() (more time.Duration) {
	if p.unwatch == nil {
		p.unwatch = context.AfterFunc(p.r.Context(), p.clientGone)
		return keepAlive - unwatched
	}
	p.begin()
	return 0
}

// clientGone runs when the connection is lost.
func (p *modernPost) clientGone() {
	p.mu.Lock()
	answered := p.answered
	p.mu.Unlock()
	if !answered {
		p.x.cancel(errClientGone)
	}
}

// begin makes the answer a stream, and returns it; nil if the answer is out.
func (p *modernPost) begin() *stream {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stream == nil && !p.answered {
		p.stream = newStream("", "", false)
		p.stream.bare, p.stream.forgets = true, true
		p.written = make(chan struct{})
		go func() {
			defer close(p.written)
			if err := p.stream.carry(p.r.Context(), p.w, 0, false); err != nil {
				p.x.cancel(errClientGone) // also one that does not read
			}
		}()
	}
	return p.stream
}

// send implements outlet.
func (p *modernPost) send(raw []byte, w weight) bool {
	st := p.begin()
	return st != nil && st.send(raw, w)
}

// finish sends the answer and returns when the connection has it, or is gone.
func (p *modernPost) finish(b *backlog, a answer, status int) {
	p.mu.Lock()
	p.answered = true
	st := p.stream
	p.mu.Unlock()
	switch {
	case st != nil:
		var raw []byte
		if !a.empty() {
			raw = a.bytes()
		}
		st.hold(b, len(raw))
		st.finish(raw)
		<-p.written
		st.forgotten()
	case a.empty(): // the client is gone
	case a.size() < largeAnswer:
		writeJSON(p.w, status, a)
	default:
		flow := &outflow{w: p.w}
		u := b.enter(a.size(), flow.cutOff)
		flow.json(status, a)
		b.leave(u)
	}
}

// modernPosts are the POSTs in flight.
type modernPosts struct {
	mu    sync.Mutex // guards the list
	first *modernPost
}

func (l *modernPosts) add(p *modernPost) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p.next = l.first
	if p.next != nil {
		p.next.prev = p
	}
	l.first = p
}

func (l *modernPosts) remove(p *modernPost) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.next != nil {
		p.next.prev = p.prev
	}
	if p.prev != nil {
		p.prev.next = p.next
	} else {
		l.first = p.next
	}
}

func (l *modernPosts) each(f func(*modernPost)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for p := l.first; p != nil; p = p.next {
		f(p)
	}
}
