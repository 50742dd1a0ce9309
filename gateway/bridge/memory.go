package bridge

import (
	"crypto/rand"
	"encoding/hex"
	"strconv"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// memory is what a gateway knows of a legacy client and the next one must be
// told. Clients of 2026-07-28 say everything with each request; their open
// subscriptions are requests in flight.
type memory struct {
	initialize  []byte // its params; nil before it was answered well
	version     string // agreed in it
	initialized []byte // the notification, nil before it came
	level       []byte // params of logging/setLevel, nil for none
	subs        []subscription
}

type subscription struct {
	uri    string
	params []byte
}

// note remembers what a request brought about that was answered well.
func (m *memory) note(r *request, answer *jsonrpc.Message) {
	switch r.method {
	case "initialize", "logging/setLevel", "resources/subscribe", "resources/unsubscribe":
	default:
		return
	}
	asked, err := jsonrpc.Parse(r.raw)
	if err != nil { // it was parsed once already
		return
	}
	params := asked.Params.Of(asked.Raw)
	switch r.method {
	case "initialize":
		at, _ := jsonrpc.Lookup(answer.Raw, answer.Result, "protocolVersion")
		m.initialize, m.version = params, answer.Text(at)
	case "logging/setLevel":
		m.level = params
	case "resources/subscribe":
		m.forget(r.uri)
		m.subs = append(m.subs, subscription{r.uri, params})
	case "resources/unsubscribe":
		m.forget(r.uri)
	}
}

func (m *memory) forget(uri string) {
	for i, s := range m.subs {
		if s.uri == uri {
			m.subs = append(m.subs[:i], m.subs[i+1:]...)
			return
		}
	}
}

// replay tells a new gateway all of it, and returns what the client must hear
// then: what it knows may be old.
func (m *memory) replay(ask func(method string, params []byte), say func(raw []byte)) (changed [][]byte) {
	if m.initialize == nil {
		return nil
	}
	ask("initialize", m.initialize)
	if m.initialized != nil {
		say(m.initialized)
		for _, l := range listChanges {
			changed = append(changed, jsonrpc.AppendRequest(nil, nil, l.method, nil))
		}
	}
	if m.level != nil {
		ask("logging/setLevel", m.level)
	}
	for _, s := range m.subs {
		ask("resources/subscribe", s.params)
		changed = append(changed, updated(s.uri, nil))
	}
	return changed
}

// listChanges are the notifications of changed lists, and how a subscription of
// 2026-07-28 asks for each.
var listChanges = []struct{ method, filter string }{
	{"notifications/tools/list_changed", "toolsListChanged"},
	{"notifications/prompts/list_changed", "promptsListChanged"},
	{"notifications/resources/list_changed", "resourcesListChanged"},
}

// updated is the notification that a resource may have changed; meta is the _meta
// member, nil for none.
func updated(uri string, meta []byte) []byte {
	p := []byte("{")
	if meta != nil {
		p = append(append(p, meta...), ',')
	}
	p = append(jsonrpc.AppendString(append(p, `"uri":`...), uri), '}')
	return jsonrpc.AppendRequest(nil, nil, "notifications/resources/updated", p)
}

// missed are the notifications that an open subscription may have missed.
func missed(r *request) (all [][]byte) {
	m, err := jsonrpc.Parse(r.raw)
	if err != nil {
		return nil
	}
	meta := append(append([]byte(`"_meta":{"`+metaSubscription+`":`), r.id...), '}')
	want, _ := jsonrpc.Lookup(m.Raw, m.Params, "notifications")
	for _, l := range listChanges {
		if at, ok := jsonrpc.Lookup(m.Raw, want, l.filter); ok && string(at.Of(m.Raw)) == "true" {
			all = append(all, jsonrpc.AppendRequest(nil, nil, l.method, append(append([]byte("{"), meta...), '}')))
		}
	}
	uris, _ := jsonrpc.Lookup(m.Raw, want, "resourceSubscriptions")
	for at := range jsonrpc.Elements(m.Raw, uris) {
		all = append(all, updated(m.Text(at), meta))
	}
	return all
}

// newPrefix returns what begins the ids of one bridge: no client has them.
func newPrefix() string {
	b := make([]byte, 8)
	_, _ = rand.Read(b) // never fails
	return "interlock-" + hex.EncodeToString(b) + "-"
}

// ownID returns an id for a request of the bridge's own. The caller holds mu.
func (b *bridge) ownID() []byte {
	b.owned++
	return jsonrpc.AppendString(nil, b.prefix+strconv.Itoa(b.owned))
}
