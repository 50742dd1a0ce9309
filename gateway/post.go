package gateway

import (
	"context"
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
	if err := s.begin(x); err != nil {
		writeJSON(w, http.StatusOK, x.turnedAway(err))
		return
	}
	defer s.done(x)
	defer context.AfterFunc(r.Context(), p.clientGone)()
	defer context.AfterFunc(g.hard, func() { cancel(errDraining) })()
	// A silent connection is cut by whatever is in between: begin a stream,
	// which sends comments, before that.
	quiet := time.AfterFunc(keepAlive, func() { p.begin() })
	defer quiet.Stop()
	p.finish(g.serve(ctx, x))
}

// exchange makes the exchange for a request. r is nil on stdio.
func (g *Gateway) exchange(s *session, m jsonrpc.Message, out outlet, r *http.Request, cancel context.CancelCauseFunc) *exchange {
	v := g.view.Load()
	c, ok := v.catalogFor(s.view)
	if !ok { // its upstream was removed since the session began: nothing is left in its view
		c = emptyCatalog
	}
	x := &exchange{session: s, view: v, catalog: c, msg: m, method: m.MethodName(), out: out, cancel: cancel}
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
func (p *post) send(raw []byte, droppable bool) bool {
	st := p.begin()
	return st != nil && st.send(raw, droppable)
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

// serveBatch answers a JSON-RPC batch (2025-03-26 basic/transports) with one
// stream that carries all answers.
func (g *Gateway) serveBatch(w http.ResponseWriter, r *http.Request, s *session, parts [][]byte) {
	var requests []jsonrpc.Message
	for _, part := range parts {
		m, err := jsonrpc.Parse(part)
		bad := asRPC(err)
		if bad == nil {
			bad = missingID(m)
		}
		switch {
		case bad != nil:
			rpcError(w, http.StatusBadRequest, bad.ID, bad.Code, bad.Message, nil)
			return
		case m.Kind == jsonrpc.Request && m.MethodName() == "initialize":
			rpcError(w, http.StatusBadRequest, m.ID.Of(m.Raw), jsonrpc.CodeInvalidRequest, "invalid request: initialize must not be part of a batch", nil)
			return
		case m.Kind == jsonrpc.Request:
			requests = append(requests, m)
		default:
			defer g.notified(r.Context(), s, m)
		}
	}
	if len(requests) == 0 {
		w.WriteHeader(http.StatusAccepted)
		return
	}
	if !g.enter() {
		g.unavailable(w, nil)
		return
	}
	defer g.leave()
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(r.Context()))
	defer cancel(nil)
	defer context.AfterFunc(g.hard, func() { cancel(errDraining) })()
	st := s.newStream(nil, func() { cancel(errClientGone) })
	written := make(chan struct{})
	go func() {
		defer close(written)
		_ = st.carry(r.Context(), w, 0, false)
	}()
	var all sync.WaitGroup
	for _, m := range requests {
		all.Go(func() {
			if a := g.serveOne(ctx, s, m, st, r); !a.empty() {
				st.push(event{data: jsonrpc.OneLine(a.bytes()), final: true}, false)
			}
		})
	}
	all.Wait()
	st.finish(nil)
	<-written
}

// serveOne serves one request of several that share an outlet, each with a
// context of its own.
func (g *Gateway) serveOne(ctx context.Context, s *session, m jsonrpc.Message, out outlet, r *http.Request) answer {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	x := g.exchange(s, m, out, r, cancel)
	if err := s.begin(x); err != nil {
		return x.turnedAway(err)
	}
	defer s.done(x)
	return g.serve(ctx, x)
}
