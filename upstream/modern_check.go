package upstream

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// doubtful reports whether an answer is what a server would give that is not, or
// no longer, modern.
func doubtful(r *Request, m jsonrpc.Message, err error) bool {
	if err != nil {
		way, ok := errors.AsType[*TransportError](err)
		if !ok || way.Lost || way.Reason != "http_status" {
			return false
		}
		switch way.Status { // by which a legacy server refuses what has no session
		case http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotAcceptable, http.StatusUnsupportedMediaType:
			return true
		}
		return false
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

// stillModern asks the server what it is, at most once in a while and once for all
// who doubt it. If it is modern no longer the link is lost, and the error says so:
// the request that found out was not executed.
func (l *modernLink) stillModern(ctx context.Context) error {
	select {
	case l.checking <- struct{}{}:
		defer func() { <-l.checking }()
	case <-ctx.Done():
		return nil
	}
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
