package gateway

import (
	"context"
	"net/http"
	"sync"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// batch is a JSON-RPC batch of a client (2025-03-26 basic/transports).
type batch struct {
	messages []jsonrpc.Message
	requests int
}

// parseBatch reads the parts of a batch. The error is of the first message that
// may not be in one; id is that message's, if it has any.
func parseBatch(parts [][]byte) (batch, *jsonrpc.Error) {
	var b batch
	for _, part := range parts {
		m, err := jsonrpc.Parse(part)
		if bad := asRPC(err); bad != nil {
			return batch{}, bad
		}
		if bad := missingID(m); bad != nil {
			return batch{}, bad
		}
		if m.Kind == jsonrpc.Request {
			if m.MethodName() == "initialize" {
				return batch{}, &jsonrpc.Error{
					Code: jsonrpc.CodeInvalidRequest, Message: "invalid request: initialize must not be part of a batch", ID: m.ID.Of(m.Raw),
				}
			}
			b.requests++
		}
		b.messages = append(b.messages, m)
	}
	return b, nil
}

// serveBatch answers a batch with one stream that carries all answers.
func (g *Gateway) serveBatch(w http.ResponseWriter, from visitor, s *session, parts [][]byte) {
	r := from.request
	b, bad := parseBatch(parts)
	switch {
	case bad != nil:
		g.tel.CallRejected(malformedBody)
		rpcError(w, http.StatusBadRequest, bad.ID, bad.Code, bad.Message, nil)
		return
	case b.requests == 0:
		for _, m := range b.messages {
			g.notified(s, m, new(sync.WaitGroup))
		}
		w.WriteHeader(http.StatusAccepted)
		return
	case g.anyOverstepped(w, from, s, parts):
		return
	case !g.enter():
		for _, m := range b.messages {
			g.turnedDown(from, "", s, &m, tooLate)
		}
		g.unavailable(w, nil)
		return
	}
	defer g.leave()
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(r.Context()))
	defer cancel(nil)
	defer context.AfterFunc(g.hard, func() { cancel(errDraining) })()
	st := s.newStream(nil, func() { cancel(errClientGone) })
	written := make(chan struct{})
	go func() {
		defer close(written)
		_ = st.carry(r.Context(), w, 0, false)
	}()
	var all sync.WaitGroup
	for _, m := range b.messages {
		if m.Kind != jsonrpc.Request {
			g.notified(s, m, new(sync.WaitGroup))
			continue
		}
		ctx, x, err := g.enlist(ctx, s, m, st, from)
		if err != nil {
			st.send(g.turnedAway(x, err).bytes(), answering)
			continue
		}
		all.Go(func() {
			defer x.cancel(nil)
			a := g.serve(ctx, x)
			s.done(x)
			if !a.empty() {
				st.send(a.bytes(), answering)
			}
		})
	}
	all.Wait()
	st.finish(nil)
	<-written
	s.retire(st)
}

// anyOverstepped is overstepped for messages that have no exchange yet.
func (g *Gateway) anyOverstepped(w http.ResponseWriter, from visitor, s *session, all [][]byte) bool {
	if from.auth() == nil {
		return false
	}
	for _, raw := range all {
		m, err := jsonrpc.Parse(raw)
		if err == nil && m.Kind == jsonrpc.Request && g.overstepped(w, from, g.exchange(s, m, nowhere{}, from, func(error) {})) {
			return true
		}
	}
	return false
}

// enlist enters one request of several that share an outlet, with a context of
// its own that x.cancel ends. It is done before the next message is looked at,
// since that may cancel this one. The errors are those of begin.
func (g *Gateway) enlist(ctx context.Context, s *session, m jsonrpc.Message, out outlet, from visitor) (context.Context, *exchange, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	x := g.exchange(s, m, out, from, cancel)
	if err := s.begin(x); err != nil {
		cancel(nil)
		return nil, x, err
	}
	return ctx, x, nil
}
