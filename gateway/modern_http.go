package gateway

import (
	"net/http"
	"sync"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// serveModern takes one message of a client of 2026-07-28 (basic/transports/
// streamable-http).
func (g *Gateway) serveModern(w http.ResponseWriter, from visitor, view string, m *jsonrpc.Message) {
	r := from.request
	if m.Kind != jsonrpc.Request {
		g.serveModernOther(w, from, view, m)
		return
	}
	id := m.ID.Of(m.Raw)
	if bad := checkModern(r.Header, m); bad != nil {
		g.turnedDown(from, view, nil, m, refusedAs(bad.code))
		rpcError(w, http.StatusBadRequest, id, bad.code, bad.text, bad.data)
		return
	}
	if !g.enter() {
		g.turnedDown(from, view, nil, m, tooLate)
		g.unavailable(w, id)
		return
	}
	defer g.leave()
	p := &modernPost{post: post{g: g, w: w, r: r}}
	more := &p.more
	if err := g.enterModern(more, m, from.principal, view, "", r.Header); err != nil {
		g.turnedDown(from, view, nil, m, refusedAs(codeUnavailable))
		w.Header().Set("Retry-After", "5")
		rpcError(w, http.StatusServiceUnavailable, id, codeUnavailable, "too many clients with different capabilities are served", nil)
		return
	}
	defer more.leave()
	if m.MethodName() == "subscriptions/listen" {
		g.serveListen(w, from, m, more)
		return
	}
	g.serveModernRequest(p, from, m)
}

// serveModernOther takes what is no request: a notification is accepted, and there
// is none that the core protocol gives a meaning here; a response belongs to
// nothing.
func (g *Gateway) serveModernOther(w http.ResponseWriter, from visitor, view string, m *jsonrpc.Message) {
	if bad := missingID(*m); bad != nil {
		g.turnedDown(from, view, nil, m, refusedAs(bad.Code))
		rpcError(w, http.StatusBadRequest, nil, bad.Code, bad.Message, nil)
		return
	}
	if m.Kind != jsonrpc.Notification {
		g.tel.CallRejected(malformedBody)
		rpcError(w, http.StatusBadRequest, nil, jsonrpc.CodeInvalidRequest,
			"invalid request: a client of 2026-07-28 sends no responses: what it is asked is answered by a retry with params.inputResponses", nil)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

// modernPost is one POST of a client of 2026-07-28.
type modernPost struct {
	post
	more modernRequest
}

// serveModernRequest serves one request on its own POST. The connection's end is
// its cancellation.
func (g *Gateway) serveModernRequest(p *modernPost, from visitor, m *jsonrpc.Message) {
	x := &p.x
	defer p.ctx.cancel(nil)
	g.fill(x, p.more.client.session, *m, &p.post, from, p.ctx.cancel)
	x.modern = &p.more
	if g.overstepped(p.w, from, x) {
		return
	}
	g.posts.add(&p.post)
	a := p.await()
	g.posts.remove(&p.post)
	p.finish(a, modernStatus(int(x.code)))
}

// posts are POSTs in flight that are in no session.
type posts struct {
	mu  sync.Mutex // guards all
	all map[*post]struct{}
}

func (t *posts) add(p *post) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all == nil {
		t.all = make(map[*post]struct{})
	}
	t.all[p] = struct{}{}
}

func (t *posts) remove(p *post) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.all, p)
}

// cancel ends all of them.
func (t *posts) cancel(cause error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for p := range t.all {
		p.x.cancel(cause)
	}
}
