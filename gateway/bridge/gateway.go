package bridge

import (
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// metaSubscription names the subscription that a notification is for
// (2026-07-28 basic/patterns/subscriptions).
const metaSubscription = jsonrpc.MetaPrefix + "subscriptionId"

// fromGateway takes one line of the gateway.
func (b *bridge) fromGateway(l *link, line []byte) {
	m, err := jsonrpc.ParseServer(line)
	if err != nil { // the client may make something of it
		b.tell(line)
		return
	}
	b.mu.Lock()
	forClient := true
	switch m.Kind {
	case jsonrpc.Request:
		l.questions[string(m.ID.Of(line))] = m.ID.Of(line)
	case jsonrpc.Notification:
		forClient = b.heard(l, &m)
	default:
		forClient = b.concluded(l, &m)
	}
	b.mu.Unlock()
	if forClient {
		b.tell(line)
	}
	b.finish()
}

// heard takes a notification and reports whether it is for the client. The caller
// holds mu.
func (b *bridge) heard(l *link, m *jsonrpc.Message) bool {
	switch m.MethodName() {
	case methodRefused:
		if r := b.flight.find(m.RequestID.Of(m.Raw)); r != nil {
			r.sent = false
		}
		return false
	case "notifications/cancelled":
		delete(l.questions, string(m.RequestID.Of(m.Raw)))
	case "notifications/subscriptions/acknowledged":
		at, _ := jsonrpc.Lookup(m.Raw, m.Params, "_meta", metaSubscription)
		id := at.Of(m.Raw)
		if r := b.flight.find(id); r != nil {
			r.acked = true
		}
		if _, ok := l.again[string(id)]; ok {
			delete(l.again, string(id))
			return false
		}
	}
	return true
}

// concluded takes an answer and reports whether it is the client's. The caller
// holds mu.
func (b *bridge) concluded(l *link, m *jsonrpc.Message) bool {
	id := m.ID.Of(m.Raw)
	if method, ok := l.own[string(id)]; ok {
		delete(l.own, string(id))
		if m.Kind == jsonrpc.Failure && method == "initialize" {
			l.hangUp() // a gateway without the session is of no use
		}
		return false
	}
	r := b.flight.find(id)
	if r == nil {
		return true
	}
	b.flight.remove(r)
	if m.Kind == jsonrpc.Result {
		b.memory.note(r, m)
	}
	return true
}

// begin makes l the connection: it tells the gateway what it must know of the
// client, and sends the requests that wait. The client hears what may have
// changed before anything that the new gateway says.
func (b *bridge) begin(l *link) {
	b.mu.Lock()
	changed := b.memory.replay(func(method string, params []byte) {
		id := b.ownID()
		l.own[string(id)] = method
		l.send(jsonrpc.AppendRequest(nil, id, method, params))
	}, func(raw []byte) { l.send(raw) })
	for _, r := range b.flight {
		r.again = r.again || r.sent
		if r.acked {
			l.again[string(r.id)] = struct{}{}
			changed = append(changed, missed(r)...)
		}
		l.send(r.raw, r)
	}
	b.link = l
	b.mu.Unlock()
	b.tell(changed...)
}

// lost takes l out of use and answers the requests that only it could answer.
func (b *bridge) lost(l *link) {
	b.mu.Lock()
	b.link = nil
	var words [][]byte
	for _, r := range b.flight.take(func(r *request) bool {
		return r.sent && (!r.repeatable() || r.again && r.method != methodListen)
	}) {
		words = append(words, lostOnTheWay().answer(r))
	}
	if len(b.flight) > 0 {
		b.wait()
	}
	for _, id := range l.questions { // nobody waits for the answer
		params := append(append([]byte(`{"requestId":`), id...), `,"reason":"the gateway is gone"}`...)
		words = append(words, jsonrpc.AppendRequest(nil, nil, "notifications/cancelled", params))
	}
	b.mu.Unlock()
	b.tell(words...)
	b.finish()
}

// unreachable answers all requests, since no gateway could be reached. Open
// subscriptions go on waiting for one.
func (b *bridge) unreachable(why error) {
	b.mu.Lock()
	var words [][]byte
	for _, r := range b.flight.take(func(r *request) bool { return !r.acked }) {
		f := notSent(why)
		if r.sent {
			f = lostOnTheWay()
		}
		words = append(words, f.answer(r))
	}
	b.mu.Unlock()
	b.tell(words...)
	b.finish()
}
