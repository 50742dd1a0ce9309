package gateway

import (
	"sync"

	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// strays are the messages of servers that belong to no call, while policies decide
// on them: those of one link in their order. The zero value is ready to use.
type strays struct {
	mu     sync.Mutex // guards byLink, and that what is added to one of them is worked at
	byLink map[linkName]*sieve
}

// with calls f with the sieve of a link.
func (t *strays) with(g *Gateway, l linkName, f func(*sieve)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.byLink[l]
	if s == nil {
		s = &sieve{g: g, ctx: g.hard}
		s.idle = func() { t.forget(l, s) }
		if t.byLink == nil {
			t.byLink = make(map[linkName]*sieve)
		}
		t.byLink[l] = s
	}
	f(s)
}

// forget drops a sieve with nothing to do.
func (t *strays) forget(l linkName, s *sieve) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.working && t.byLink[l] == s {
		delete(t.byLink, l)
	}
}

// Notified implements upstream.Handler: what a server says outside of calls.
func (g *Gateway) Notified(up string, scope upstream.Scope, m jsonrpc.Message) {
	if !g.view.Load().rules.chain.Inbound() {
		g.heard(up, scope, m)
		return
	}
	g.strays.with(g, linkName{up, scope.Key}, func(s *sieve) {
		s.notified(g.ownerOf(up, scope), m, func(m jsonrpc.Message) { g.heard(up, scope, m) })
	})
}

// Asked implements upstream.Handler: a server's request outside of calls.
func (g *Gateway) Asked(up string, scope upstream.Scope, q *upstream.Question) {
	if !g.view.Load().rules.chain.Inbound() {
		g.asked(up, scope, q)
		return
	}
	g.strays.with(g, linkName{up, scope.Key}, func(s *sieve) {
		s.asked(g.ownerOf(up, scope), q, func(q *upstream.Question) { g.asked(up, scope, q) })
	})
}

// ownerOf is whom a link belongs to.
func (g *Gateway) ownerOf(up string, scope upstream.Scope) recipient {
	to := recipient{upstream: g.set.Upstream(up), name: up}
	if s := g.sessions.named(scope.Key); scope.Exclusive && s != nil {
		to.principal, to.session = s.principal, s.key
	}
	return to
}
