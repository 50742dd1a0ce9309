package gateway

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/interlock-mcp/interlock/router"
	"github.com/interlock-mcp/interlock/telemetry"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// subscribeTimeout is how long an acknowledgement waits for upstreams to agree to
// what it is to say.
const subscribeTimeout = 5 * time.Second

// filterOf reads params.notifications. bad says what is wrong with it.
func (x *exchange) filterOf() (want listSet, uris []string, bad string) {
	raw := x.msg.Raw
	at, _ := jsonrpc.Lookup(raw, x.msg.Params, "notifications")
	if x.kindOf(at) != '{' {
		return 0, nil, "params.notifications must be an object"
	}
	for key, v := range jsonrpc.Members(raw, at) {
		if key == "resourceSubscriptions" {
			if raw[v.Start] != '[' {
				return 0, nil, "params.notifications.resourceSubscriptions must be an array"
			}
			for e := range jsonrpc.Elements(raw, v) {
				if raw[e.Start] != '"' {
					return 0, nil, "params.notifications.resourceSubscriptions must be an array of strings"
				}
				if len(uris) == maxListened {
					return 0, nil, "params.notifications.resourceSubscriptions has too many"
				}
				uris = append(uris, x.text(e))
			}
		}
		for _, n := range listChanged {
			if key != n.filter {
				continue
			}
			switch string(v.Of(raw)) {
			case "true":
				want |= n.list
			case "false":
			default:
				return 0, nil, "params.notifications." + key + " must be true or false"
			}
		}
	}
	return want, uris, ""
}

// maxListened is how many resources one client may listen for at a time.
const maxListened = 1000

// subscribeAll asks the upstreams for the updates of the resources, all at once.
// What none of them agrees to in time is left out.
func (g *Gateway) subscribeAll(ctx context.Context, l *listener, uris []string) {
	ctx, cancel := context.WithTimeout(ctx, subscribeTimeout)
	defer cancel()
	agreed := make([]*subscription, len(uris))
	var all sync.WaitGroup
	seen := make(map[string]bool)
	for i, uri := range uris {
		r, err := l.x.catalog.Resource(uri)
		if err != nil || seen[uri] {
			continue
		}
		seen[uri] = true
		if r.Upstream == "" { // the gateway's own changes with the lists alone
			agreed[i] = &subscription{exposed: uri}
			continue
		}
		all.Go(func() { agreed[i] = g.subscribeOne(ctx, l, r) })
	}
	all.Wait()
	for _, s := range agreed {
		if s != nil {
			l.subs = append(l.subs, *s)
		}
	}
}

// subscribeOne returns nil if the upstream does not agree.
func (g *Gateway) subscribeOne(ctx context.Context, l *listener, r *router.Route) *subscription {
	u := l.x.view.upstreams[r.Upstream]
	if u == nil {
		return nil
	}
	s := subscription{r.Upstream, r.Target, r.Exposed, l.x.session.scope(u)}
	g.listeners.subs.add(l, s, heard{s.exposed, s.scope.Key}) // before the server knows: its first update may come at once
	rec := new(record)
	ctx = g.requesting(ctx, l.x, r)
	err := g.permitted(ctx, l.x, r, rec, func() error { return u.Subscribe(ctx, s.scope, s.target) })
	g.auditListen(l.x, r, rec, err)
	if err != nil {
		if errors.As(err, new(*withheld)) {
			_ = u.Unsubscribe(context.WithoutCancel(ctx), s.scope, s.target)
		}
		g.listeners.subs.remove(l, s)
		g.log.DebugContext(ctx, "subscription not agreed to", "upstream", r.Upstream, "uri", toldURI(r.Target), "error", err)
		return nil
	}
	return &s
}

// listen serves a subscriptions/listen until ctx is done or the gateway drains, and
// returns the result that ends it; the zero answer if there is nobody to send it
// to. bad is told at once what is wrong with the request.
func (g *Gateway) listen(ctx context.Context, l *listener, uris []string) answer {
	defer g.listeners.leave(l)
	tracing, span := g.startServer(ctx, l.x)
	g.subscribeAll(tracing, l, uris)
	defer g.unsubscribeAll(l)
	l.acknowledge()
	span.End(outcome{}) // what comes now may take hours
	l.x.ended = time.Time{}
	if l.want == 0 && len(l.subs) == 0 {
		return l.ended() // nothing will ever come
	}
	last := lasting{kind: telemetry.StreamListen, opened: span.Ref(), began: time.Now()}
	defer func() { g.streamEnded(&last, g.endingOf(ctx), l.told.Load()) }()
	select {
	case <-ctx.Done():
		return answer{}
	case <-g.listeners.over:
		return l.ended()
	}
}

// refuseListen answers a subscriptions/listen that is filled in wrongly.
func (g *Gateway) refuseListen(ctx context.Context, x *exchange, bad string) answer {
	_, span := g.startServer(ctx, x)
	span.End(outcome{Code: jsonrpc.CodeInvalidParams})
	return invalidParams(x.id(), bad)
}

// unsubscribeAll takes back what was agreed to. It does not wait for upstreams.
func (g *Gateway) unsubscribeAll(l *listener) {
	for _, s := range l.subs {
		u := g.set.Upstream(s.upstream)
		if u == nil {
			continue
		}
		g.listeners.subs.remove(l, s)
		g.parks.run(func() { // if not, the links are about to be closed
			ctx, cancel := context.WithTimeout(g.hard, answerTimeout)
			defer cancel()
			if err := u.Unsubscribe(ctx, s.scope, s.target); err != nil {
				g.log.Debug("unsubscribe", "upstream", s.upstream, "error", err)
			}
		})
	}
}

// serveListen serves a subscriptions/listen over HTTP.
func (g *Gateway) serveListen(w http.ResponseWriter, from visitor, m *jsonrpc.Message, more *modernRequest) {
	r := from.request
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	x := g.exchange(more.client.session, *m, nowhere{}, from, cancel)
	x.modern = more
	want, uris, bad := x.filterOf()
	if bad != "" {
		writeJSON(w, http.StatusBadRequest, g.refuseListen(ctx, x, bad))
		return
	}
	st := newStream("", "", false)
	st.bare, st.forgets = true, true
	l := &listener{x: x, out: st, want: want, full: func() { st.end(); cancel(errClientGone) }}
	if !g.listeners.enter(l) {
		g.dismissed(x, tooLate)
		g.unavailable(w, x.id())
		return
	}
	defer g.stay(from, l.full)()
	written := make(chan struct{})
	go func() {
		defer close(written)
		if err := st.carry(r.Context(), w, 0, false); err != nil {
			cancel(errClientGone)
		}
	}()
	a := g.listen(ctx, l, uris)
	var raw []byte
	if !a.empty() {
		raw = a.bytes()
	}
	st.finish(raw)
	<-written
}
