package gateway

import (
	"context"
	"errors"
	"maps"
	"sync"

	"github.com/interlock-mcp/interlock/router"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// subscription is a client's interest in a resource.
type subscription struct {
	upstream, target string // where it is, and its URI there
	exposed          string // the URI that the client used
	scope            upstream.Scope
}

// subscribers tells who wants the updates of a resource: K is one, V is how it
// knows the resource. The zero value is ready to use.
type subscribers[K comparable, V any] struct {
	mu sync.Mutex         // guards by
	by map[string]map[K]V // upstream\x00target
}

func subKey(up, target string) string { return up + "\x00" + target }

func (t *subscribers[K, V]) add(who K, sub subscription, as V) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := subKey(sub.upstream, sub.target)
	if t.by == nil {
		t.by = make(map[string]map[K]V)
	}
	if t.by[key] == nil {
		t.by[key] = make(map[K]V)
	}
	t.by[key][who] = as
}

func (t *subscribers[K, V]) remove(who K, sub subscription) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := subKey(sub.upstream, sub.target)
	delete(t.by[key], who)
	if len(t.by[key]) == 0 {
		delete(t.by, key)
	}
}

// of returns those that want the updates.
func (t *subscribers[K, V]) of(up, target string) map[K]V {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make(map[K]V, len(t.by[subKey(up, target)]))
	maps.Copy(out, t.by[subKey(up, target)])
	return out
}

// subscribe serves resources/subscribe (server/resources, "Subscriptions").
func (g *Gateway) subscribe(ctx context.Context, x *exchange) (answer, outcome) {
	r, a, out := g.resource(ctx, x)
	if r == nil {
		return a, out
	}
	if r.Upstream == "" { // the gateway's own resource changes with the lists alone
		return resultOf(x.id(), []byte("{}")), outcome{}
	}
	u := x.view.upstreams[r.Upstream]
	if u == nil {
		return g.failed(x, r, &upstream.CallError{Upstream: r.Upstream, Reason: "removed", Text: "it is no longer configured", Executed: upstream.ExecutedNo})
	}
	x.route = r
	s := x.session
	sub := subscription{r.Upstream, r.Target, r.Exposed, s.scope(u)}
	s.mu.Lock()
	_, have := s.subs[sub.exposed]
	s.mu.Unlock()
	if have { // subscribing twice is subscribing once
		return resultOf(x.id(), []byte("{}")), outcome{}
	}
	ctx = g.requesting(ctx, x, r)
	g.subs.add(s, sub, sub.exposed) // before the server knows: its first update may come at once
	if err := g.permitted(ctx, x, r, x.keepRecord(), func() error { return u.Subscribe(ctx, sub.scope, sub.target) }); err != nil {
		if errors.As(err, new(*withheld)) {
			_ = u.Unsubscribe(context.WithoutCancel(ctx), sub.scope, sub.target)
		}
		if !s.holds(sub) {
			g.subs.remove(s, sub)
		}
		return g.subscriptionFailed(ctx, x, r, err)
	}
	switch err := s.keep(sub); {
	case errors.Is(err, errDuplicate):
		_ = u.Unsubscribe(ctx, sub.scope, sub.target)
	case err != nil:
		g.dropSubscription(context.WithoutCancel(ctx), s, sub)
		return answer{}, outcome{Type: "cancelled"}
	}
	return resultOf(x.id(), []byte("{}")), outcome{}
}

// keep notes a subscription that the server agreed to. The error is errEnded, or
// errDuplicate if the session had it already.
func (s *session) keep(sub subscription) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return errEnded
	}
	if _, ok := s.subs[sub.exposed]; ok {
		return errDuplicate
	}
	if s.subs == nil {
		s.subs = make(map[string]subscription)
	}
	s.subs[sub.exposed] = sub
	return nil
}

// holds reports whether the session has a subscription to the resource, by
// whatever URI.
func (s *session) holds(sub subscription) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, other := range s.subs {
		if other.upstream == sub.upstream && other.target == sub.target {
			return true
		}
	}
	return false
}

// unsubscribe serves resources/unsubscribe.
func (g *Gateway) unsubscribe(ctx context.Context, x *exchange) (answer, outcome) {
	if x.kindOf(x.msg.URI) != '"' {
		return x.badParams("params.uri must be a string")
	}
	s, uri := x.session, x.text(x.msg.URI)
	s.mu.Lock()
	sub, ok := s.subs[uri]
	s.mu.Unlock()
	if !ok {
		return resultOf(x.id(), []byte("{}")), outcome{}
	}
	r := &router.Route{Upstream: sub.upstream, Target: sub.target, Exposed: sub.exposed}
	x.route = r
	ctx = g.requesting(ctx, x, r)
	err := g.permitted(ctx, x, r, x.keepRecord(), func() error {
		s.mu.Lock()
		_, still := s.subs[uri]
		delete(s.subs, uri)
		s.mu.Unlock()
		if still {
			g.dropSubscription(ctx, s, sub)
		}
		return nil
	})
	if err != nil {
		return g.subscriptionFailed(ctx, x, r, err)
	}
	return resultOf(x.id(), []byte("{}")), outcome{}
}

// dropSubscription ends a subscription that the session no longer holds. That
// the upstream is down is no error: it has nobody to tell any more.
func (g *Gateway) dropSubscription(ctx context.Context, s *session, sub subscription) {
	if !s.holds(sub) {
		g.subs.remove(s, sub)
	}
	if u := g.set.Upstream(sub.upstream); u != nil {
		ctx, cancel := context.WithTimeout(ctx, answerTimeout)
		defer cancel()
		if err := u.Unsubscribe(ctx, sub.scope, sub.target); err != nil {
			g.log.DebugContext(ctx, "unsubscribe", "upstream", sub.upstream, "error", err)
		}
	}
}

func (g *Gateway) subscriptionFailed(ctx context.Context, x *exchange, r *router.Route, err error) (answer, outcome) {
	if ctx.Err() != nil && errors.Is(context.Cause(ctx), err) {
		return g.aborted(x, r, err)
	}
	if server, ok := errors.AsType[*upstream.ServerError](err); ok {
		b := append([]byte(nil), `{"jsonrpc":"2.0","id":`...)
		b = append(append(b, x.id()...), `,"error":`...)
		return refused(answer{head: append(append(b, server.Raw...), '}')}, server.Code)
	}
	return g.failed(x, r, err)
}

// heard passes on what a server said outside of calls.
func (g *Gateway) heard(up string, scope upstream.Scope, m jsonrpc.Message) {
	method := m.MethodName()
	if method == "notifications/resources/updated" {
		g.listeners.updated(g.seesStill, up, scope, m)
	}
	if !scope.Exclusive {
		switch method {
		case "notifications/resources/updated":
			for s, uri := range g.subs.of(up, m.Text(m.URI)) {
				if g.on(scope, s, up) && g.seesResource(s, uri) {
					s.updated(m, uri)
				}
			}
		case "notifications/elicitation/complete":
			g.elicitationOver(up, scope, m)
		}
		return
	}
	s := g.sessions.named(scope.Key)
	if s == nil || !g.sees(s, up) {
		return
	}
	switch method {
	case "notifications/resources/updated":
		for owner, uri := range g.subs.of(up, m.Text(m.URI)) {
			if owner == s && g.seesResource(s, uri) {
				s.updated(m, uri)
			}
		}
	case "notifications/message":
		if s.wants(m) {
			s.tell(m.Raw, optional)
		}
	default: // also what the gateway does not know: the session owns the link
		s.tell(m.Raw, optional)
	}
}

// asked relays a server's request outside of calls, which it does only where one
// session owns the link.
func (g *Gateway) asked(up string, scope upstream.Scope, q *upstream.Question) {
	s := g.sessions.named(scope.Key)
	if scope.Exclusive && s == nil {
		go refuse(q, "this request does not say to which of the calls it belongs, and a client of "+modernVersion+" is asked only by its calls")
		return
	}
	if !scope.Exclusive {
		go refuse(q, "this request belongs to no client's call, and the server is shared by several clients: set isolation: session for "+clipName(up))
		return
	}
	if !g.sees(s, up) {
		go refuse(q, "the client does not see this server")
		return
	}
	s.mu.Lock()
	home, standing := s.home, s.standing
	s.mu.Unlock()
	if home == nil || standing != nil && !standing.live() {
		go refuse(q, "the client has no open stream to be asked on")
		return
	}
	g.putTo(s, q, home, nil, up)
}

// updated tells the client of a changed resource by the URI it subscribed to.
func (s *session) updated(m jsonrpc.Message, uri string) {
	raw := m.Raw
	if m.Text(m.URI) != uri {
		var e jsonrpc.Edits
		e.Replace(m.URI, jsonrpc.AppendString(nil, uri))
		raw = e.Apply(nil, raw)
	}
	s.tell(raw, optional)
}
