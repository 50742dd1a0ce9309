package gateway

import (
	"context"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// converseModernHere takes one request of a client of 2026-07-28 on stdio. It does
// not wait for the answer.
func (g *Gateway) converseModernHere(ctx context.Context, s *session, m *jsonrpc.Message) {
	id := m.ID.Of(m.Raw)
	if bad := checkModern(nil, m); bad != nil {
		g.turnedDown(visitor{}, "", s, m, refusedAs(bad.code))
		s.home.send(errorOf(id, bad.code, bad.text, bad.data).bytes(), answering)
		return
	}
	if !g.enter() {
		g.tel.CallRejected("shutdown")
		g.turnedDown(visitor{}, "", s, m, tooLate)
		s.refuse(id)
		return
	}
	more := new(modernRequest)
	if err := g.enterModern(more, m, s.principal, s.view, s.key, nil); err != nil {
		g.turnedDown(visitor{}, "", s, m, refusedAs(codeUnavailable))
		g.leave()
		s.home.send(errorOf(id, codeUnavailable, "too many clients with different capabilities are served", nil).bytes(), answering)
		return
	}
	ctx, cancel := context.WithCancelCause(ctx)
	x := g.exchange(more.client.session, *m, s.home, visitor{}, cancel)
	x.modern = more
	// Only what comes over one pipe can be told apart, and cancelled, by its id.
	if err := s.begin(x); err != nil {
		cancel(nil)
		more.leave()
		g.leave()
		s.home.send(g.turnedAway(x, err).bytes(), answering)
		return
	}
	listens := x.method == "subscriptions/listen"
	if !listens { // that one lasts as long as the client likes: its end is not awaited
		s.owe(1)
	}
	go func() {
		defer g.leave()
		defer more.leave()
		defer cancel(nil)
		if listens {
			g.listenHere(ctx, s, x)
			return
		}
		defer s.owe(-1)
		defer context.AfterFunc(g.hard, func() { cancel(errDraining) })()
		a := g.serve(ctx, x)
		s.done(x)
		if !a.empty() {
			s.home.send(a.bytes(), answering)
		}
	}()
}

// listenHere serves a subscriptions/listen on stdio.
func (g *Gateway) listenHere(ctx context.Context, s *session, x *exchange) {
	defer s.done(x)
	want, uris, bad := x.filterOf()
	if bad != "" {
		s.home.send(g.refuseListen(ctx, x, bad).bytes(), answering)
		return
	}
	l := &listener{x: x, out: s.home, want: want, full: func() { x.cancel(errClientGone) }}
	if !g.listeners.enter(l) {
		g.tel.CallRejected("shutdown")
		g.dismissed(x, tooLate)
		s.refuse(x.id())
		return
	}
	a := g.listen(ctx, l, uris)
	if a.empty() || s.attached && g.draining.Load() {
		return
	}
	// basic/patterns/cancellation asks for this, basic/patterns/subscriptions for
	// the result.
	s.home.send(jsonrpc.AppendRequest(nil, nil, "notifications/cancelled",
		append(append([]byte(`{"requestId":`), x.id()...), `,"reason":"the gateway is shutting down"}`...)), needed)
	s.home.send(a.bytes(), answering)
}
