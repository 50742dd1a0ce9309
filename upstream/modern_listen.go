package upstream

import (
	"context"
	"slices"
	"sync"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// listening keeps a modern server telling what changes
// (basic/patterns/subscriptions of 2026-07-28). Over HTTP there is one listen
// stream, for the lists and for the union of the resources that are wanted; when
// the union changes another is opened, and the old one is closed once the new
// one is acknowledged, so that nothing is lost between the two. Over stdio
// streams cost nothing, and servers mix up two with the same subject: there each
// resource has its own.
type listening struct {
	link   *modernLink
	each   bool            // resource has a stream of its own
	ctx    context.Context //nolint:containedctx // the life of the link: it ends with it
	cancel context.CancelFunc
	work   sync.WaitGroup // listeners and streams

	mu      sync.Mutex // guards the rest, and all listeners
	closed  bool
	main    *listener            // for the lists and, unless each, all resources
	byURI   map[string]*listener // if each
	streams map[uint64]*listenStream
}

func newListening(l *modernLink) *listening {
	_, stdio := l.way.(*stdioLink)
	x := &listening{link: l, each: stdio, byURI: make(map[string]*listener), streams: make(map[uint64]*listenStream)}
	x.ctx, x.cancel = context.WithCancel(context.Background())
	return x
}

// close ends all streams and waits for them.
func (x *listening) close() {
	x.mu.Lock()
	x.closed = true
	x.mu.Unlock()
	x.cancel()
	x.work.Wait()
}

// refit makes the lists listened to those whose changes the server tells.
func (x *listening) refit(h *Hello) {
	tells := func(list string) bool {
		at, ok := jsonrpc.Lookup(h.Capabilities, jsonrpc.Whole(h.Capabilities), list, "listChanged")
		return ok && string(at.Of(h.Capabilities)) == "true"
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	f := ListenFilter{Tools: tells("tools"), Prompts: tells("prompts"), Resources: tells("resources")}
	if x.main == nil {
		if f.empty() {
			return
		}
		x.main = x.begin()
	}
	f.URIs = x.main.want.URIs
	x.main.set(f)
}

// begin starts a listener that wants nothing yet. x.mu is held.
func (x *listening) begin() *listener {
	s := &listener{x: x, kick: make(chan struct{}, 1), settling: make(chan struct{})}
	var ctx context.Context
	ctx, s.stop = context.WithCancel(x.ctx)
	if !x.closed {
		x.work.Go(func() { s.run(ctx) })
	}
	return s
}

// changed does what resources/subscribe or resources/unsubscribe asks for, and
// blocks until the server has agreed to the first. The answer is the one that a
// legacy server would have given.
func (x *listening) changed(ctx context.Context, r *Request) (jsonrpc.Message, error) {
	uri := r.Message.Text(r.Message.URI)
	if r.Message.MethodName() == "resources/unsubscribe" {
		x.mu.Lock()
		x.drop(uri)
		x.mu.Unlock()
		return emptyResult(), nil
	}
	x.mu.Lock()
	s := x.want(uri)
	version := s.version
	x.mu.Unlock()
	agreed, err := s.settledAt(ctx, version)
	var refused *ServerError
	switch {
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case err == nil && !slices.Contains(agreed.URIs, uri):
		refused = &ServerError{Code: jsonrpc.CodeInvalidParams, Message: "the server does not tell of changes of this resource"}
	case err == nil:
		return emptyResult(), nil
	default:
		refused, _ = err.(*ServerError) //nolint:errorlint // made by the listener, not wrapped
	}
	x.mu.Lock()
	x.drop(uri)
	x.mu.Unlock()
	if refused == nil {
		return jsonrpc.Message{}, err
	}
	return jsonrpc.ParseServer(jsonrpc.AppendError(nil, []byte("0"), refused.Code, refused.Message, nil))
}

// want adds a resource, and returns the listener that is for it. x.mu is held.
func (x *listening) want(uri string) *listener {
	if x.each {
		s := x.byURI[uri]
		if s == nil {
			s = x.begin()
			x.byURI[uri] = s
			s.set(ListenFilter{URIs: []string{uri}})
		}
		return s
	}
	if x.main == nil {
		x.main = x.begin()
	}
	f := x.main.want
	if i, found := slices.BinarySearch(f.URIs, uri); !found {
		f.URIs = slices.Insert(slices.Clone(f.URIs), i, uri)
	}
	x.main.set(f)
	return x.main
}

// drop takes a resource away. x.mu is held.
func (x *listening) drop(uri string) {
	if x.each {
		if s := x.byURI[uri]; s != nil {
			delete(x.byURI, uri)
			s.stop()
		}
		return
	}
	if x.main == nil {
		return
	}
	f := x.main.want
	if i, found := slices.BinarySearch(f.URIs, uri); found {
		f.URIs = slices.Delete(slices.Clone(f.URIs), i, i+1)
		x.main.set(f)
	}
}

// heard takes a notification that belongs to no call. It does not block.
func (l *modernLink) heard(m jsonrpc.Message) {
	switch m.MethodName() {
	case "notifications/subscriptions/acknowledged":
		at, _ := jsonrpc.Lookup(m.Raw, m.Meta, metaSubscriptionID)
		if s := l.listen.stream(at.Of(m.Raw)); s != nil {
			s.acknowledge(m)
		}
		return
	case "notifications/tools/list_changed", "notifications/prompts/list_changed",
		"notifications/resources/list_changed", "notifications/resources/updated":
		m = withoutSubscription(m)
	}
	if l.next != nil && m.Kind != jsonrpc.Invalid {
		l.next.Notified(m)
	}
}

// stream returns the stream with this id, which is JSON; nil for none.
func (x *listening) stream(id []byte) *listenStream {
	n, ok := parseID(id)
	if !ok {
		return nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.streams[n]
}

// withoutSubscription returns a notification less the id of the stream it came
// on, which means nothing to anybody else.
func withoutSubscription(m jsonrpc.Message) jsonrpc.Message {
	members := 0
	var id, before jsonrpc.Span // the member, from the end of the one before it
	end := m.Meta.Start + 1
	for key, v := range jsonrpc.Members(m.Raw, m.Meta) {
		members++
		if key == metaSubscriptionID {
			id, before = v, jsonrpc.Span{Start: end, End: v.End}
		}
		end = v.End
	}
	if !id.Ok() {
		return m
	}
	var e jsonrpc.Edits
	if before.Start == m.Meta.Start+1 && members > 1 { // the first: the comma after it goes too
		for before.End < m.Meta.End && m.Raw[before.End] != ',' {
			before.End++
		}
		before.End++
	}
	e.Delete(before)
	own, err := jsonrpc.ParseServer(e.Apply(make([]byte, 0, len(m.Raw)), m.Raw))
	if err != nil {
		return m
	}
	return own
}
