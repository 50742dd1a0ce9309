package gateway

import (
	"sync"
	"sync/atomic"

	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// listener is one subscriptions/listen of a client of 2026-07-28 (basic/patterns/
// subscriptions).
type listener struct {
	x    *exchange
	out  outlet
	want listSet
	subs []subscription
	full func()       // called when the client reads too slowly to be told what changed
	told atomic.Int64 // messages, without the acknowledgement

	mu     sync.Mutex // guards the rest
	acked  bool
	before [][]byte // what came before the acknowledgement
}

// listeners are all that listen now.
type listeners struct {
	mu  sync.Mutex // guards all and closed
	all map[*listener]struct{}

	subs subscribers[*listener, heard]

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
		all: make(map[*listener]struct{}), over: make(chan struct{}),
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

// changed tells those whose lists differ, as differ says.
func (t *listeners) changed(differ func(asked string, p *policy.Principal) listSet) {
	t.mu.Lock()
	all := make([]*listener, 0, len(t.all))
	for l := range t.all {
		all = append(all, l)
	}
	t.mu.Unlock()
	for _, l := range all {
		set := differ(l.x.session.view, l.x.principal)
		for _, n := range listChanged {
			if set&l.want&n.list != 0 {
				l.tell(notificationOf(n.method, nil, l.x.id()))
			}
		}
	}
}

// updated tells those that subscribed to a resource on that link, and still see it.
func (t *listeners) updated(seen func(x *exchange, uri string) bool, up string, scope upstream.Scope, m jsonrpc.Message) {
	for l, h := range t.subs.of(up, m.Text(m.URI)) {
		if h.scope == scope.Key && seen(l.x, h.uri) {
			l.tell(l.tagged(m, h.uri))
		}
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
	l.told.Add(1)
	if !l.out.send(raw, optional) {
		l.full()
	}
}

// acknowledge sends what was agreed to, then what came meanwhile.
func (l *listener) acknowledge() {
	f := upstream.ListenFilter{Tools: l.want&listTools != 0, Prompts: l.want&listPrompts != 0, Resources: l.want&listResources != 0}
	for _, s := range l.subs {
		f.URIs = append(f.URIs, s.exposed)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.out.send(notificationOf("notifications/subscriptions/acknowledged", f.Append(nil), l.x.id()), needed)
	l.acked = true
	for _, raw := range l.before {
		l.told.Add(1)
		if !l.out.send(raw, optional) {
			l.full()
			break
		}
	}
	l.before = nil
}

// ended is the result of a subscription that the gateway ends.
func (l *listener) ended() answer {
	b := append([]byte(nil), `{"jsonrpc":"2.0","id":`...)
	b = append(append(b, l.x.id()...), `,"result":{"resultType":"complete","_meta":{"`+metaServerInfo+`":`...)
	b = append(append(b, l.x.view.serverInfo...), `,"`+metaSubscription+`":`...)
	return answer{head: append(append(b, l.x.id()...), "}}}"...)}
}
