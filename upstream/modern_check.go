package upstream

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"reflect"
	"time"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// doubts are what an answer may make one think of the server.
type doubts uint8

const (
	undoubted      doubts = iota
	headersDoubted        // its tools want other headers than they did
	eraDoubted            // it is not, or no longer, modern
	versionRefused        // the same, and it said so
)

// doubt tells whether an answer is what a server would give that is not what it is
// taken for.
func doubt(r *Request, m jsonrpc.Message, err error) doubts {
	if err != nil {
		way, ok := errors.AsType[*TransportError](err)
		if !ok || way.Lost || way.Reason != "http_status" {
			return undoubted
		}
		switch way.Status { // by which a legacy server refuses what has no session
		case http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotAcceptable, http.StatusUnsupportedMediaType:
			return eraDoubted
		}
		return undoubted
	}
	if m.Kind != jsonrpc.Failure {
		return undoubted
	}
	switch newServerError(m).Code {
	case codeUnsupportedVersion:
		return versionRefused
	case codeHeaderMismatch:
		if r.Message.MethodName() == "tools/call" {
			return headersDoubted
		}
	case jsonrpc.CodeMethodNotFound:
		switch r.Message.MethodName() {
		case "server/discover", "tools/call", "tools/list", "prompts/get", "prompts/list", "resources/read", "resources/list":
			return eraDoubted
		}
	}
	return undoubted
}

// check takes the turn of asking the server what it is, and reports whether ctx
// lasted until then. done gives the turn back.
func (l *modernLink) check(ctx context.Context) (done func(), ok bool) {
	select {
	case l.checking <- struct{}{}:
		return func() { <-l.checking }, true
	case <-ctx.Done():
		return nil, false
	}
}

// remirror lists the tools again, at most once in a while, since the server has
// refused the headers of a call (Client Behavior), and reports whether those of
// this tool are to be made in another way now.
func (l *modernLink) remirror(ctx context.Context, tool string) bool {
	done, ok := l.check(ctx)
	if !ok {
		return false
	}
	seldom := l.relisted.IsZero() || time.Since(l.relisted) >= recheckPause
	if seldom {
		l.relisted = time.Now()
	}
	done() // the list may raise doubts of its own
	if l.mirrors == nil || !seldom {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, recheckLimit)
	defer cancel()
	tools, _, err := pages(ctx, l, "tools/list", "tools", maxPages, func(jsonrpc.Message) {})
	if err != nil {
		return false
	}
	now := readToolHeaders(&Inventory{Tools: tools})
	was := l.mirrors.Swap(now)
	l.missed() // the lists are not what they were
	return !reflect.DeepEqual(was.of(tool), now.of(tool))
}

// Bounds of looking at a server's era again.
const (
	recheckPause = 10 * time.Second
	recheckLimit = 5 * time.Second
)

// stillModern asks the server what it is, at most once in a while and once for all
// who doubt it. If it is modern no longer the link is lost, and the error says so:
// the request that found out was not executed.
func (l *modernLink) stillModern(ctx context.Context) error {
	done, ok := l.check(ctx)
	if !ok {
		return nil
	}
	defer done()
	if lost, ok := errors.AsType[*TransportError](l.way.Err()); ok && lost.Reason == "era" {
		return lost
	}
	if !l.checked.IsZero() && time.Since(l.checked) < recheckPause {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, recheckLimit)
	defer cancel()
	_, err := discover(ctx, l.way, l.dial)
	if errors.Is(err, errNotModern) {
		return l.obsolete()
	}
	l.checked = time.Now()
	return nil
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
