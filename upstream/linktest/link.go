package linktest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// Link is a link to a scripted server.
type Link struct {
	// Dial is what it was made with.
	Dial   *upstream.Dial
	server *Server
	pid    int
	lost   chan struct{}

	mu       sync.Mutex // guards the rest
	err      error
	notified []string
	playing  map[*context.CancelCauseFunc]struct{} // the scripts that run, to end them
}

// Lose makes the link end as if the process had exited.
func (l *Link) Lose() {
	l.end(&upstream.TransportError{
		Executed: upstream.ExecutedUnknown, Reason: "exit", Lost: true, Err: errors.New("signal: killed"),
	})
}

func (l *Link) end(err error) {
	l.mu.Lock()
	if l.err != nil {
		l.mu.Unlock()
		return
	}
	l.err = err
	close(l.lost)
	for cancel := range l.playing {
		(*cancel)(err)
	}
	l.mu.Unlock()
	if l.Dial.Ended != nil {
		l.Dial.Ended(err)
	}
}

// over is what a request is told on a link that has ended.
func (l *Link) over(executed upstream.Executed) error {
	err := l.Err()
	if lost, ok := errors.AsType[*upstream.TransportError](err); ok {
		return &upstream.TransportError{Executed: executed, Reason: lost.Reason, Lost: true, Err: lost.Err}
	}
	return &upstream.TransportError{Executed: executed, Reason: "closed", Lost: true, Err: err}
}

// Do implements upstream.Link.
func (l *Link) Do(ctx context.Context, r *upstream.Request) (jsonrpc.Message, error) {
	if l.Err() != nil {
		return jsonrpc.Message{}, l.over(upstream.ExecutedNo)
	}
	if ctx.Err() != nil {
		return jsonrpc.Message{}, context.Cause(ctx)
	}
	s := l.server
	method := r.Message.MethodName()
	s.mu.Lock()
	if s.asked == nil {
		s.asked = make(map[string]int)
	}
	s.asked[method]++
	script, tools := s.OnRequest, s.Tools
	s.mu.Unlock()

	var result json.RawMessage
	var err error
	if script != nil {
		result, err = l.play(ctx, func(ctx context.Context) (json.RawMessage, error) { return script(ctx, l, method, r) })
	}
	switch {
	case l.Err() != nil:
		return jsonrpc.Message{}, l.over(upstream.ExecutedUnknown)
	case ctx.Err() != nil:
		return jsonrpc.Message{}, context.Cause(ctx)
	case err == nil && result == nil:
		result = canned(method, tools)
	}
	var refusal *upstream.ServerError
	switch {
	case errors.As(err, &refusal) && refusal.Raw != nil:
		return jsonrpc.ParseServer(append(append([]byte(`{"jsonrpc":"2.0","id":1,"error":`), refusal.Raw...), '}'))
	case errors.As(err, &refusal):
		return jsonrpc.ParseServer(jsonrpc.AppendError(nil, []byte("1"), refusal.Code, refusal.Message, nil))
	case err != nil:
		return jsonrpc.Message{}, err
	}
	return jsonrpc.ParseServer(jsonrpc.AppendResult(nil, []byte("1"), result))
}

// play runs a script under a context that ends with ctx and with the link.
func (l *Link) play(ctx context.Context, script func(context.Context) (json.RawMessage, error)) (json.RawMessage, error) {
	parent := ctx
	h, hooked := ctx.(upstream.Hooked)
	if hooked { // its end is told by the hook, as the real links have it
		parent = context.WithoutCancel(ctx)
	}
	inner, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	if hooked {
		if !h.Hook(func() { cancel(context.Cause(ctx)) }) {
			panic("linktest: the context of a call has a hook already")
		}
		defer h.Unhook()
	}
	if !l.join(&cancel) {
		cancel(l.Err())
	}
	defer l.leave(&cancel)
	return script(inner)
}

// join has cancel called at the end of the link; false means that it has ended.
func (l *Link) join(cancel *context.CancelCauseFunc) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return false
	}
	if l.playing == nil {
		l.playing = make(map[*context.CancelCauseFunc]struct{})
	}
	l.playing[cancel] = struct{}{}
	return true
}

func (l *Link) leave(cancel *context.CancelCauseFunc) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.playing, cancel)
}

func canned(method string, tools []string) json.RawMessage {
	switch method {
	case "resources/list":
		return json.RawMessage(`{"resources":[]}`)
	case "resources/templates/list":
		return json.RawMessage(`{"resourceTemplates":[]}`)
	case "tools/list":
	default:
		return json.RawMessage(`{}`)
	}
	var items []string
	for _, name := range tools {
		items = append(items, fmt.Sprintf(`{"name":%q,"inputSchema":{"type":"object"}}`, name))
	}
	return json.RawMessage(`{"tools":[` + strings.Join(items, ",") + `]}`)
}

// Notify implements upstream.Link.
func (l *Link) Notify(_ context.Context, raw []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.notified = append(l.notified, string(raw))
	return nil
}

// Notifications returns what Notify was given.
func (l *Link) Notifications() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.notified)
}

// Say makes the server send a notification that belongs to no request.
func (l *Link) Say(method string) {
	m, err := jsonrpc.ParseServer(jsonrpc.AppendRequest(nil, nil, method, nil))
	if err != nil {
		panic(err)
	}
	l.Dial.Inbox.Notified(m)
}

// Hello implements upstream.Link.
func (l *Link) Hello() *upstream.Hello {
	h := &upstream.Hello{
		Version:      "2025-11-25",
		Capabilities: json.RawMessage(`{"tools":{"listChanged":true},"logging":{},"resources":{"subscribe":true}}`),
		ServerInfo:   json.RawMessage(`{"name":"fake","version":"1"}`),
		PID:          l.pid,
	}
	l.server.mu.Lock()
	defer l.server.mu.Unlock()
	h.Instructions = l.server.Instructions
	if l.server.Version != "" {
		h.Version = l.server.Version
	}
	if l.server.Capabilities != nil {
		h.Capabilities = l.server.Capabilities
	}
	return h
}

// Lost implements upstream.Link.
func (l *Link) Lost() <-chan struct{} { return l.lost }

// Err implements upstream.Link.
func (l *Link) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Close implements upstream.Link.
func (l *Link) Close(ctx context.Context) upstream.StopKind {
	kind := upstream.Graceful
	l.server.mu.Lock()
	took, script := l.server.CloseTime, l.server.OnClose
	l.server.mu.Unlock()
	switch {
	case script != nil:
		kind = script(ctx, l)
	case Sleep(ctx, took) != nil:
		kind = upstream.Killed
	}
	l.end(upstream.ErrClosed)
	l.server.dialer.happened("close " + l.server.Name)
	return kind
}
