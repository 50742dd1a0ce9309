package gateway

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// post is the outlet of one POST. While nothing but the answer is sent, the
// answer goes out as JSON from the goroutine that serves the request; the first
// other message makes it a stream, which a goroutine of its own writes. A client
// of 2026-07-28 cannot come back for a stream: it ends with its connection.
type post struct {
	g       *Gateway
	w       http.ResponseWriter
	r       *http.Request
	ctx     callContext
	x       exchange
	stay    upstream.Stay[*post] // in g.lingering
	unwatch func() bool          // ends the watch for the loss of the connection, nil when there is none

	mu       sync.Mutex // guards all below
	stream   *stream    // nil until something is streamed
	answered bool
	written  chan struct{} // closed when the writer has let go of w
}

// servePostRequest serves one request on its own POST.
func (g *Gateway) servePostRequest(w http.ResponseWriter, from visitor, s *session, m jsonrpc.Message) {
	// The call may outlive the connection: a client that lost it can resume.
	p := &post{g: g, w: w, r: from.request}
	x := &p.x
	defer p.ctx.cancel(nil)
	g.fill(x, s, m, p, from, p.ctx.cancel)
	if g.overstepped(w, from, x) {
		return
	}
	if err := s.begin(x); err != nil {
		a := g.turnedAway(x, err)
		if errors.Is(err, errEnded) {
			noSession(w, x.id())
			return
		}
		writeJSON(w, http.StatusOK, a)
		return
	}
	a := p.await()
	s.done(x)
	p.finish(a, http.StatusOK)
}

// await serves the request and blocks until its answer is known.
func (p *post) await() answer {
	g := p.g
	if g.hard.Err() != nil {
		p.x.cancel(errDraining)
	}
	g.lingering.Enter(&p.stay, p, p.x.begun, unwatched)
	a := g.serve(&p.ctx, &p.x)
	g.lingering.Leave(&p.stay)
	if p.unwatch != nil {
		p.unwatch()
	}
	return a
}

// unwatched is for how long the loss of a connection goes unnoticed: most calls
// are over by then.
const unwatched = 20 * time.Millisecond

// lingers is called when the answer has been awaited for a while, and again
// after keepAlive. Whatever is in between cuts a connection that is silent for
// long: the answer becomes a stream, which sends comments.
func (p *post) lingers() (more time.Duration) {
	if p.unwatch == nil {
		p.unwatch = context.AfterFunc(p.r.Context(), p.clientGone)
		return keepAlive - unwatched
	}
	p.begin()
	return 0
}

// exchange makes the exchange for a request.
func (g *Gateway) exchange(s *session, m jsonrpc.Message, out outlet, from visitor, cancel context.CancelCauseFunc) *exchange {
	x := new(exchange)
	g.fill(x, s, m, out, from, cancel)
	return x
}

func (g *Gateway) fill(x *exchange, s *session, m jsonrpc.Message, out outlet, from visitor, cancel context.CancelCauseFunc) {
	v := g.view.Load()
	x.ask.Request.Message = m
	x.principal = from.who(s)
	if len(v.cfg.Profiles) > 0 {
		s.latest.Store(x.principal)
	}
	c, ok := v.catalogFor(s.view, x.principal)
	if !ok { // it was removed since the session began: nothing is left in its view
		c = emptyCatalog
	}
	x.session, x.view, x.catalog, x.msg, x.method, x.out, x.cancel = s, v, c, &x.ask.Request.Message, m.MethodName(), out, cancel
	x.begun = time.Now()
	s.used.Store(x.begun.UnixNano())
	if r := from.request; r != nil {
		x.from = r.RemoteAddr
		x.header = traceHeaderOf(r.Header)
	}
}

// begin makes the answer a stream, and returns it; nil if the answer is out.
func (p *post) begin() *stream {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stream == nil && !p.answered {
		gone := func() { p.x.cancel(errClientGone) }
		if p.resumable() {
			p.stream = p.x.session.newStream(p.x.id(), gone)
			p.stream.made = p.x.span.Ref()
		} else {
			p.stream = newStream("", "", false)
			p.stream.bare, p.stream.forgets = true, true
		}
		p.written = make(chan struct{})
		go func() {
			defer close(p.written)
			if err := p.stream.carry(p.r.Context(), p.w, 0, false); err != nil && !p.resumable() {
				gone() // also one that does not read
			}
		}()
	}
	return p.stream
}

// resumable reports whether the client may come back for its answer.
func (p *post) resumable() bool { return p.x.modern == nil }

// send implements outlet.
func (p *post) send(raw []byte, w weight) bool {
	st := p.begin()
	return st != nil && st.send(raw, w)
}

// finish sends the answer, with that status unless it is streamed, and returns
// when the connection has it, or is gone.
func (p *post) finish(a answer, status int) {
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
		st.hold(&p.g.backlog, len(raw))
		st.finish(raw)
		<-p.written
		if p.resumable() {
			p.x.session.retire(st)
		} else {
			st.forgotten()
		}
	case a.empty() && p.resumable():
		// Cancelled before anything was sent: an empty stream says that no
		// answer will come.
		p.w.Header().Set("Content-Type", "text/event-stream")
		p.w.WriteHeader(http.StatusOK)
	case a.empty(): // the client is gone
	case a.size() < largeAnswer: // nearly all: what follows would cost two allocations for nothing
		writeJSON(p.w, status, a)
	default:
		flow := &outflow{w: p.w}
		u := p.g.backlog.enter(a.size(), flow.cutOff)
		flow.json(status, a)
		p.g.backlog.leave(u)
	}
}

// clientGone runs when the connection is lost. With an event id the client may
// come back for the stream, which sees to that itself; without one nobody waits
// for the answer.
func (p *post) clientGone() {
	p.mu.Lock()
	nobody := !p.answered && (p.stream == nil || !p.resumable())
	p.mu.Unlock()
	if nobody {
		p.x.cancel(errClientGone)
	}
}
