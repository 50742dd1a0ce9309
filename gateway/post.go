package gateway

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// post is the outlet of one POST. While nothing but the answer is sent, the
// answer goes out as JSON from the goroutine that serves the request; the first
// other message makes it a stream, which a goroutine of its own writes.
type post struct {
	g       *Gateway
	session *session
	id      []byte
	w       http.ResponseWriter
	r       *http.Request
	cancel  context.CancelCauseFunc

	mu       sync.Mutex // guards all below
	stream   *stream    // nil until something is streamed
	answered bool
	written  chan struct{} // closed when the writer has let go of w
}

// servePostRequest serves one request on its own POST.
func (g *Gateway) servePostRequest(w http.ResponseWriter, r *http.Request, s *session, m jsonrpc.Message) {
	// The call may outlive the connection: a client that lost it can resume.
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(r.Context()))
	defer cancel(nil)
	p := &post{g: g, session: s, id: m.ID.Of(m.Raw), w: w, r: r, cancel: cancel}
	x := g.exchange(s, m, p, r, cancel)
	switch err := s.begin(x); {
	case errors.Is(err, errEnded):
		noSession(w, x.id())
		return
	case err != nil:
		writeJSON(w, http.StatusOK, x.turnedAway(err))
		return
	}
	if g.hard.Err() != nil {
		cancel(errDraining)
	}
	defer context.AfterFunc(r.Context(), p.clientGone)()
	a := g.serve(ctx, x)
	s.done(x)
	p.finish(a)
}

// breakSilence makes streams, which send comments, of answers that have been
// awaited for keepAlive: whatever is in between cuts a silent connection. It is
// one look at all of them now and then, so that a call needs no timer for it.
func (g *Gateway) breakSilence(now time.Time) {
	for _, s := range g.sessions.all() {
		for _, x := range s.underWay() {
			if p, ok := x.out.(*post); ok && now.UnixNano()-x.begun >= int64(keepAlive) {
				p.begin()
			}
		}
	}
}

// exchange makes the exchange for a request. r is nil on stdio.
func (g *Gateway) exchange(s *session, m jsonrpc.Message, out outlet, r *http.Request, cancel context.CancelCauseFunc) *exchange {
	v := g.view.Load()
	c, ok := v.catalogFor(s.view)
	if !ok { // its upstream was removed since the session began: nothing is left in its view
		c = emptyCatalog
	}
	x := &exchange{session: s, view: v, catalog: c, msg: m, method: m.MethodName(), out: out, begun: s.used.Load(), cancel: cancel}
	if r != nil {
		x.from = r.RemoteAddr
		x.header = traceHeader{r.Header.Get("Traceparent"), r.Header.Get("Tracestate"), r.Header.Get("Baggage")}
	}
	return x
}

// begin makes the answer a stream, and returns it; nil if the answer is out.
func (p *post) begin() *stream {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stream == nil && !p.answered {
		p.stream = p.session.newStream(p.id, func() { p.cancel(errClientGone) })
		p.written = make(chan struct{})
		go func() {
			defer close(p.written)
			_ = p.stream.carry(p.r.Context(), p.w, 0, false)
		}()
	}
	return p.stream
}

// send implements outlet.
func (p *post) send(raw []byte, w weight) bool {
	st := p.begin()
	return st != nil && st.send(raw, w)
}

// finish sends the answer and returns when the connection has it, or is gone.
func (p *post) finish(a answer) {
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
		st.finish(raw)
		<-p.written
		p.session.retire(st)
	case a.empty():
		// Cancelled before anything was sent: an empty stream says that no
		// answer will come.
		p.w.Header().Set("Content-Type", "text/event-stream")
		p.w.WriteHeader(http.StatusOK)
	default:
		writeJSON(p.w, http.StatusOK, a)
	}
}

// clientGone runs when the connection is lost. With an event id the client may
// come back for the stream, which sees to that itself; without one nobody waits
// for the answer.
func (p *post) clientGone() {
	p.mu.Lock()
	nobody := p.stream == nil && !p.answered
	p.mu.Unlock()
	if nobody {
		p.cancel(errClientGone)
	}
}
