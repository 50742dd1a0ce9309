package upstream

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
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
	checked atomic.Int64                 // Unix ns of the last look at the era
	listen  *listening
}

// Do implements Link.
func (l *modernLink) Do(ctx context.Context, r *Request) (jsonrpc.Message, error) {
	method := r.Message.MethodName()
	if !r.Modern {
		switch method {
		case "ping":
			return l.ping(ctx)
		case "logging/setLevel":
			return emptyResult(), nil
		case "resources/subscribe", "resources/unsubscribe":
			return l.listen.changed(ctx, r)
		}
	}
	own := *r
	own.Edits = r.Edits.Clone()
	if !r.Modern {
		own.Edits.SetMeta(&own.Message, callerMeta(r.Client, l.dial)...)
	}
	m, err := l.send(ctx, &own)
	if err != nil || r.Modern || !requiresInput(method, m) {
		return m, err
	}
	return l.fulfil(ctx, &own, m)
}

// send sends one request, and looks at the era again where the answer makes one
// doubt it.
func (l *modernLink) send(ctx context.Context, r *Request) (jsonrpc.Message, error) {
	m, err := l.way.Do(ctx, r)
	if !doubtful(r, m, err) || l.dial.Config.Protocol == ModernProtocol {
		return m, err
	}
	if gone := l.stillModern(ctx); gone != nil {
		return jsonrpc.Message{}, gone
	}
	return m, err
}

// doubtful reports whether an answer is what a server would give that is not, or
// no longer, modern.
func doubtful(r *Request, m jsonrpc.Message, err error) bool {
	if err != nil {
		way, ok := errors.AsType[*TransportError](err)
		return ok && !way.Lost && way.Reason == "http_status" && way.Status < http.StatusInternalServerError
	}
	if m.Kind != jsonrpc.Failure {
		return false
	}
	switch newServerError(m).Code {
	case codeUnsupportedVersion:
		return true
	case jsonrpc.CodeMethodNotFound:
		switch r.Message.MethodName() {
		case "server/discover", "tools/call", "tools/list", "prompts/get", "prompts/list", "resources/read", "resources/list":
			return true
		}
	}
	return false
}

// Bounds of looking at a server's era again.
const (
	recheckPause = 10 * time.Second
	recheckLimit = 5 * time.Second
)

// stillModern asks the server what it is, at most once in a while. If it is
// modern no longer the link is lost, and the error says so: the request that
// found out was not executed.
func (l *modernLink) stillModern(ctx context.Context) error {
	now := time.Now().UnixNano()
	last := l.checked.Load()
	if last != 0 && now-last < int64(recheckPause) || !l.checked.CompareAndSwap(last, now) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, recheckLimit)
	defer cancel()
	if _, err := discover(ctx, l.way, l.dial); !errors.Is(err, errNotModern) {
		return nil
	}
	return l.obsolete()
}

// obsolete makes the link lost, since the server is of another era now.
func (l *modernLink) obsolete() error {
	if l.dial.Era != nil {
		l.dial.Era.forget()
	}
	err := &TransportError{Executed: ExecutedNo, Reason: "era", Lost: true, Err: errors.New("the server no longer speaks " + latestModern)}
	l.way.giveUp(err)
	return err
}

// ping sees whether the server is there: there is no ping in this era. What it
// says of itself is taken note of.
func (l *modernLink) ping(ctx context.Context) (jsonrpc.Message, error) {
	h, err := discover(ctx, l.way, l.dial)
	var refused *ServerError
	switch {
	case errors.Is(err, errNotModern) && l.dial.Config.Protocol != ModernProtocol:
		return jsonrpc.Message{}, l.obsolete()
	case err == nil:
		l.greeted(h)
	case errors.As(err, &refused), errors.Is(err, errNotModern): // an answer all the same
	default:
		return jsonrpc.Message{}, err
	}
	return emptyResult(), nil
}

// greeted takes over a new Hello if it says something new.
func (l *modernLink) greeted(h *Hello) {
	old := l.hello.Load()
	h.PID = old.PID
	if h.Instructions == old.Instructions && bytes.Equal(h.Capabilities, old.Capabilities) && bytes.Equal(h.ServerInfo, old.ServerInfo) {
		return
	}
	l.hello.Store(h)
	if l.dial.Renewed != nil {
		l.dial.Renewed(h) // the lists may have changed
	}
	l.listen.refit(h)
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
	l := &modernLink{Link: w, way: w, dial: d, log: log}
	l.hello.Store(h)
	l.listen = newListening(l)
	if in != nil {
		l.next = in.next
		in.modern.Store(l)
		l.listen.refit(h)
	}
	return l
}
