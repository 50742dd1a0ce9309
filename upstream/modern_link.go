package upstream

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// way is a link that carries single requests to a modern server.
type way interface {
	Link
	// giveUp makes the link lost because of err.
	giveUp(err error)
}

// modernLink is a link to a server of 2026-07-28. Such a server knows nothing but
// the request before it, so all that legacy servers are told once goes into each
// request, and what they ask for in requests of their own is fulfilled by sending
// the request again (basic/patterns/mrtr). Who uses it need not know: it takes
// the verbs of a legacy link and translates them.
//
//	ping                      server/discover
//	resources/subscribe       one listen stream with another set of resources
//	logging/setLevel          nothing: each request carries its level
//
// It owns the goroutines of its listen streams, which end with Close.
type modernLink struct {
	Link // the way's; hello is ours
	way  way
	dial *Dial
	next Inbox // receives what belongs to no request
	log  *slog.Logger

	hello   atomic.Pointer[Hello]
	mirrors *atomic.Pointer[toolHeaders] // nil on stdio
	asked   atomic.Uint64                // questions put to clients, whose ids they are
	listen  *listening

	checking chan struct{} // capacity 1: who put a token in asks the server what it is
	checked  time.Time     // when that was last; guarded by checking
	relisted time.Time     // when the tools were listed for their headers; guarded by checking
}

// Do implements Link.
func (l *modernLink) Do(ctx context.Context, r *Request) (jsonrpc.Message, error) {
	method := r.Message.MethodName()
	switch {
	case r.Modern: // it says all itself
		return l.send(ctx, r)
	case method == "ping":
		return l.ping(ctx)
	case method == "logging/setLevel":
		return emptyResult(), nil
	case method == "resources/subscribe", method == "resources/unsubscribe":
		return l.listen.changed(ctx, r)
	}
	own := *r
	own.Edits = r.Edits.Clone()
	own.Edits.SetMeta(&own.Message, callerMeta(r.Client, l.dial)...)
	m, err := l.send(ctx, &own)
	if err != nil || !requiresInput(method, m) {
		return m, err
	}
	return l.fulfil(ctx, &own, m)
}

// send sends one request, and once more if it was refused, and so not executed,
// for something that could be mended.
func (l *modernLink) send(ctx context.Context, r *Request) (jsonrpc.Message, error) {
	m, err := l.way.Do(ctx, r)
	switch d := doubt(r, m, err); {
	case d == headersDoubted && l.remirror(ctx, r.Message.Text(r.Message.Name)):
		return l.way.Do(ctx, r)
	case d < eraDoubted, l.dial.Config.Protocol == ModernProtocol:
		return m, err
	case d >= eraDoubted:
		if gone := l.stillModern(ctx); gone != nil {
			return jsonrpc.Message{}, gone
		}
		if d == versionRefused {
			return l.way.Do(ctx, r) // it does speak it
		}
	}
	return m, err
}

// Notify sends a notification. Those that this revision did away with are not
// sent: there is nobody to tell.
func (l *modernLink) Notify(ctx context.Context, raw []byte) error {
	m, err := jsonrpc.Parse(raw)
	if err != nil {
		return &TransportError{Executed: ExecutedNo, Reason: "malformed", Err: err}
	}
	switch method := m.MethodName(); {
	case m.Kind != jsonrpc.Notification, method == "notifications/cancelled", method == "notifications/progress",
		method == "notifications/initialized", strings.HasPrefix(method, "notifications/roots/"):
		return nil
	}
	return l.way.Notify(ctx, raw)
}

// Hello implements Link.
func (l *modernLink) Hello() *Hello { return l.hello.Load() }

// Skipped returns how many lines on a child's stdout were no messages.
func (l *modernLink) Skipped() uint64 {
	if w, ok := l.way.(interface{ Skipped() uint64 }); ok {
		return w.Skipped()
	}
	return 0
}

// Close implements Link.
func (l *modernLink) Close(ctx context.Context) StopKind {
	l.listen.close()
	return l.way.Close(ctx)
}

func emptyResult() jsonrpc.Message {
	m, _ := jsonrpc.ParseServer([]byte(`{"jsonrpc":"2.0","id":0,"result":{}}`))
	return m
}

// eraInbox stands between a link and its Inbox, and hands what the server says
// to the modernLink once the server has turned out to be modern.
type eraInbox struct {
	next   Inbox
	modern atomic.Pointer[modernLink]
}

// eraDial returns d with an inbox before its own, if it has one: without there is
// nobody to tell.
func eraDial(d *Dial) (*Dial, *eraInbox) {
	if d.Inbox == nil {
		return d, nil
	}
	in := &eraInbox{next: d.Inbox}
	own := *d
	own.Inbox = in
	return &own, in
}

// Notified implements Inbox.
func (i *eraInbox) Notified(m jsonrpc.Message) {
	if l := i.modern.Load(); l != nil {
		l.heard(m)
		return
	}
	i.next.Notified(m)
}

// Asked implements Inbox.
func (i *eraInbox) Asked(q *Question) { i.next.Asked(q) }

// newModernLink makes the link over w, past its handshake, and begins to listen
// if in is not nil.
func newModernLink(w way, d *Dial, in *eraInbox, h *Hello, log *slog.Logger) *modernLink {
	l := &modernLink{Link: w, way: w, dial: d, log: log, checking: make(chan struct{}, 1)}
	l.hello.Store(h)
	l.listen = newListening(l)
	if in != nil {
		l.next = in.next
		in.modern.Store(l)
		l.listen.refit(h)
	}
	return l
}
