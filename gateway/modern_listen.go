package gateway

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/interlock-mcp/interlock/router"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// subscribeTimeout is how long an acknowledgement waits for upstreams to agree to
// what it is to say.
const subscribeTimeout = 5 * time.Second

// listener is one subscriptions/listen of a client of 2026-07-28 (basic/patterns/
// subscriptions).
type listener struct {
	x    *exchange
	out  outlet
	want listSet
	subs []subscription
	full func() // called when the client reads too slowly to be told what changed

	mu     sync.Mutex // guards the rest
	acked  bool
	before [][]byte // what came before the acknowledgement
}

// listeners are all that listen now.
type listeners struct {
	mu  sync.Mutex // guards all
	all map[*listener]struct{}
	by  map[string]map[*listener]heard // by upstream\x00target

	// over is closed when all are to end.
	over   chan struct{}
	closed bool
	serve  sync.WaitGroup // those that are being served
}

// heard is a resource as a listener knows it.
type heard struct {
	uri   string // that it used
	scope string // the key of the link that tells of it
}

func newListeners() *listeners {
	return &listeners{
		all: make(map[*listener]struct{}), by: make(map[string]map[*listener]heard), over: make(chan struct{}),
	}
}

// enter lets one in. It reports false once all are to end; each true needs a
// serve.Done.
func (t *listeners) enter(l *listener) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.serve.Add(1)
	t.all[l] = struct{}{}
	return true
}

func (t *listeners) subscribe(l *listener, s subscription) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := subKey(s.upstream, s.target)
	if t.by[key] == nil {
		t.by[key] = make(map[*listener]heard)
	}
	t.by[key][l] = heard{s.exposed, s.scope.Key}
}

func (t *listeners) unsubscribe(l *listener, s subscription) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := subKey(s.upstream, s.target)
	delete(t.by[key], l)
	if len(t.by[key]) == 0 {
		delete(t.by, key)
	}
}

func (t *listeners) leave(l *listener) {
	t.mu.Lock()
	delete(t.all, l)
	t.mu.Unlock()
	t.serve.Done()
}

// close ends all, and lets no more in.
func (t *listeners) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.closed = true
		close(t.over)
	}
}

// changed tells those whose lists differ from one view to the next.
func (t *listeners) changed(old, v *view, whole listSet) {
	t.mu.Lock()
	all := make([]*listener, 0, len(t.all))
	for l := range t.all {
		all = append(all, l)
	}
	t.mu.Unlock()
	for _, l := range all {
		set := whole
		if name := l.x.session.view; name != "" {
			before, _ := old.catalogFor(name)
			after, _ := v.catalogFor(name)
			set = changed(before, after)
		}
		for _, n := range listChanged {
			if set&l.want&n.list != 0 {
				l.tell(notificationOf(n.method, nil, l.x.id()))
			}
		}
	}
}

// updated tells those that subscribed to a resource on that link.
func (t *listeners) updated(up string, scope upstream.Scope, m jsonrpc.Message) {
	target := m.Text(m.URI)
	t.mu.Lock()
	tell := make(map[*listener]string)
	for l, h := range t.by[subKey(up, target)] {
		if h.scope == scope.Key {
			tell[l] = h.uri
		}
	}
	t.mu.Unlock()
	for l, uri := range tell {
		l.tell(l.tagged(m, uri))
	}
}

// tagged is an upstream's notification with the client's own URI and under the id
// of the listener.
func (l *listener) tagged(m jsonrpc.Message, uri string) []byte {
	var e jsonrpc.Edits
	if m.Text(m.URI) != uri {
		e.Replace(m.URI, jsonrpc.AppendString(nil, uri))
	}
	e.SetMeta(&m, jsonrpc.Member{Name: metaSubscription, Value: l.x.id()})
	return e.Apply(nil, m.Raw)
}

// notificationOf makes a notification for the listener with that id. members are
// those of params besides _meta, nil for none.
func notificationOf(method string, members, id []byte) []byte {
	p := append(append([]byte(`{"_meta":{"`+metaSubscription+`":`), id...), '}')
	if members != nil {
		p = append(append(p, ','), members...)
	}
	return jsonrpc.AppendRequest(nil, nil, method, append(p, '}'))
}

// tell sends a message to the client, after the acknowledgement. One that cannot be
// sent ends the stream: a client that does not know what it missed believes that
// nothing changed.
func (l *listener) tell(raw []byte) {
	l.mu.Lock()
	if !l.acked {
		if len(l.before) < maxWaiting {
			l.before = append(l.before, raw)
		}
		l.mu.Unlock()
		return
	}
	l.mu.Unlock()
	if !l.out.send(raw, optional) {
		l.full()
	}
}

// acknowledge sends what was agreed to, then what came meanwhile.
func (l *listener) acknowledge() {
	b := []byte(`"notifications":{`)
	comma := func() {
		if b[len(b)-1] != '{' {
			b = append(b, ',')
		}
	}
	for _, n := range listChanged {
		if l.want&n.list != 0 {
			comma()
			b = append(append(append(b, '"'), n.filter...), `":true`...)
		}
	}
	if len(l.subs) > 0 {
		comma()
		b = append(b, `"resourceSubscriptions":[`...)
		for i, s := range l.subs {
			if i > 0 {
				b = append(b, ',')
			}
			b = jsonrpc.AppendString(b, s.exposed)
		}
		b = append(b, ']')
	}
	b = append(b, '}')
	l.mu.Lock()
	defer l.mu.Unlock()
	l.out.send(notificationOf("notifications/subscriptions/acknowledged", b, l.x.id()), needed)
	l.acked = true
	for _, raw := range l.before {
		if !l.out.send(raw, optional) {
			l.full()
			break
		}
	}
	l.before = nil
}

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
	g.listeners.subscribe(l, s) // before the server knows: its first update may come at once
	if err := u.Subscribe(ctx, s.scope, s.target); err != nil {
		g.listeners.unsubscribe(l, s)
		g.log.Debug("subscription not agreed to", "upstream", r.Upstream, "uri", clipURI(r.Target), "error", err)
		return nil
	}
	return &s
}

// listen serves a subscriptions/listen until ctx is done or the gateway drains, and
// returns the result that ends it; the zero answer if there is nobody to send it
// to. bad is told at once what is wrong with the request.
func (g *Gateway) listen(ctx context.Context, l *listener, uris []string) answer {
	defer g.listeners.leave(l)
	g.subscribeAll(ctx, l, uris)
	defer g.unsubscribeAll(l)
	l.acknowledge()
	if l.want == 0 && len(l.subs) == 0 {
		return l.ended() // nothing will ever come
	}
	select {
	case <-ctx.Done():
		return answer{}
	case <-g.listeners.over:
		return l.ended()
	}
}

// unsubscribeAll takes back what was agreed to. It does not wait for upstreams.
func (g *Gateway) unsubscribeAll(l *listener) {
	for _, s := range l.subs {
		u := g.set.Upstream(s.upstream)
		if u == nil {
			continue
		}
		g.listeners.unsubscribe(l, s)
		g.parks.run(func() { // if not, the links are about to be closed
			ctx, cancel := context.WithTimeout(g.hard, answerTimeout)
			defer cancel()
			if err := u.Unsubscribe(ctx, s.scope, s.target); err != nil {
				g.log.Debug("unsubscribe", "upstream", s.upstream, "error", err)
			}
		})
	}
}

// ended is the result of a subscription that the gateway ends.
func (l *listener) ended() answer {
	b := append([]byte(nil), `{"jsonrpc":"2.0","id":`...)
	b = append(append(b, l.x.id()...), `,"result":{"resultType":"complete","_meta":{"`+metaServerInfo+`":`...)
	b = append(append(b, l.x.view.serverInfo...), `,"`+metaSubscription+`":`...)
	return answer{head: append(append(b, l.x.id()...), "}}}"...)}
}

// serveListen serves a subscriptions/listen over HTTP.
func (g *Gateway) serveListen(w http.ResponseWriter, r *http.Request, m *jsonrpc.Message, more *modernRequest) {
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	x := g.exchange(more.client.session, *m, nowhere{}, r, cancel)
	x.modern = more
	want, uris, bad := x.filterOf()
	if bad != "" {
		writeJSON(w, http.StatusBadRequest, invalidParams(x.id(), bad))
		return
	}
	st := newStream("", "", false)
	st.bare, st.forgets = true, true
	l := &listener{x: x, out: st, want: want, full: func() { st.end(); cancel(errClientGone) }}
	if !g.listeners.enter(l) {
		g.unavailable(w, x.id())
		return
	}
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

// listenHere serves a subscriptions/listen on stdio.
func (g *Gateway) listenHere(ctx context.Context, s *session, x *exchange) {
	defer s.done(x)
	want, uris, bad := x.filterOf()
	if bad != "" {
		s.home.send(invalidParams(x.id(), bad).bytes(), answering)
		return
	}
	l := &listener{x: x, out: s.home, want: want, full: func() { x.cancel(errClientGone) }}
	if !g.listeners.enter(l) {
		s.home.send(errorOf(x.id(), codeDraining, "the gateway is shutting down", nil).bytes(), answering)
		return
	}
	a := g.listen(ctx, l, uris)
	if a.empty() {
		return
	}
	// basic/patterns/cancellation asks for this, basic/patterns/subscriptions for
	// the result.
	s.home.send(jsonrpc.AppendRequest(nil, nil, "notifications/cancelled",
		append(append([]byte(`{"requestId":`), x.id()...), `,"reason":"the gateway is shutting down"}`...)), needed)
	s.home.send(a.bytes(), answering)
}
