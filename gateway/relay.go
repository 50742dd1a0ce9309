package gateway

import (
	"bytes"
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/interlock-mcp/interlock/telemetry"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// answerTimeout bounds the write of a client's answer to an upstream.
const answerTimeout = 10 * time.Second

// question is a server's request that a client has been asked.
type question struct {
	*upstream.Question
	call     *call // nil for one that belongs to no call
	upstream string
	out      outlet
	token    []byte        // the server's progress token, as bytes
	settled  chan struct{} // closed when it is answered or withdrawn
	trace    *asking
}

// refuse answers a server's request with an error of ours. It blocks for the
// write.
func refuse(q *upstream.Question, why string) {
	ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
	defer cancel()
	id := q.Message.ID.Of(q.Message.Raw)
	// The link may be gone; then nobody waits for the answer.
	_ = q.Answer(ctx, jsonrpc.AppendError(nil, id, jsonrpc.CodeInvalidRequest, "interlock: "+why, nil))
}

// unable answers a server's request that the client never said it can serve.
func unable(q *upstream.Question, what string) {
	ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
	defer cancel()
	id := q.Message.ID.Of(q.Message.Raw)
	_ = q.Answer(ctx, jsonrpc.AppendError(nil, id, jsonrpc.CodeMethodNotFound, "interlock: the client does not support "+what, nil))
}

// putTo relays a server's request to the client of s on out, under an id of the
// session's own. It never blocks.
func (g *Gateway) putTo(s *session, uq *upstream.Question, out outlet, c *call, up string) {
	method := uq.Message.MethodName()
	if what, ok := s.capable(method); !ok {
		c.notAsked(method, "the client does not support "+what)
		go unable(uq, what)
		return
	}
	q := &question{Question: uq, call: c, upstream: up, out: out, settled: make(chan struct{})}
	q.trace = g.startAsking(c, s, up, &uq.Message)
	if t := uq.Message.MetaProgressToken; t.Ok() {
		q.token = t.Of(uq.Message.Raw)
	}
	s.mu.Lock()
	s.asked++
	n := s.asked
	if s.questions == nil {
		s.questions = make(map[uint64]*question)
	}
	s.questions[n] = q
	s.note(up, uq.Message)
	if c != nil {
		c.waiting.Add(1)
	}
	s.mu.Unlock()
	q.trace.under(n)
	var e jsonrpc.Edits
	e.Replace(uq.Message.ID, strconv.AppendUint(nil, n, 10))
	q.trace.inject(&e, &uq.Message)
	if !out.send(e.Apply(nil, uq.Message.Raw), needed) {
		if s.take(n) != nil {
			q.trace.unanswered(telemetry.OutcomeUnreachable)
			go refuse(uq, "the client has no open stream to be asked on")
		}
		return
	}
	go s.watch(n, q)
	if c != nil && c.over.Load() { // it ended meanwhile, and may not have seen this one
		s.withdraw(c)
	}
}

// maxElicited bounds how many URL elicitations of a session are remembered.
const maxElicited = 64

// note remembers to whom a URL elicitation went: the server says that it is
// complete by its id alone, maybe long after the call (MCP 2025-11-25
// client/elicitation, "Completion Notifications"). The caller holds mu.
func (s *session) note(up string, m jsonrpc.Message) {
	id, ok := jsonrpc.Lookup(m.Raw, m.Params, "elicitationId")
	if !ok || m.MethodName() != "elicitation/create" {
		return
	}
	if len(s.elicited) == maxElicited {
		s.elicited = append([]string(nil), s.elicited[1:]...)
	}
	s.elicited = append(s.elicited, up+"\x00"+m.Text(id))
}

// elicitationOver tells the session that was asked, whichever it is, that a URL
// elicitation on a link that several share is complete.
func (g *Gateway) elicitationOver(up string, scope upstream.Scope, m jsonrpc.Message) {
	id, ok := jsonrpc.Lookup(m.Raw, m.Params, "elicitationId")
	if !ok {
		return
	}
	key := up + "\x00" + m.Text(id)
	for _, s := range g.sessions.all() {
		s.mu.Lock()
		asked := slices.Contains(s.elicited, key)
		s.mu.Unlock()
		if asked && g.on(scope, s, up) {
			s.tell(m.Raw, needed)
		}
	}
}

// watch takes the question back when the server no longer waits for it.
func (s *session) watch(n uint64, q *question) {
	select {
	case <-q.settled:
	case <-q.Gone:
		if s.take(n) != nil {
			q.trace.unanswered(telemetry.OutcomeWithdrawn)
			q.out.send(cancelledBy(n, "the server no longer waits for the answer"), needed)
		}
	}
}

func cancelledBy(n uint64, why string) []byte {
	b := append([]byte(nil), `{"requestId":`...)
	b = strconv.AppendUint(b, n, 10)
	b = append(b, `,"reason":`...)
	b = append(jsonrpc.AppendString(b, why), '}')
	return jsonrpc.AppendRequest(nil, nil, "notifications/cancelled", b)
}

// capable reports whether the client said that it serves the method, and what
// the capability is called.
func (s *session) capable(method string) (string, bool) {
	c := s.capabilities()
	switch method {
	case "sampling/createMessage":
		return "sampling", c.sampling
	case "elicitation/create":
		return "elicitation", c.elicitation
	case "roots/list":
		return "roots", c.roots
	}
	return clipName(method), false
}

// take removes a question and returns it; nil if it is settled already.
func (s *session) take(n uint64) *question {
	s.mu.Lock()
	q := s.questions[n]
	delete(s.questions, n)
	s.mu.Unlock()
	if q != nil {
		close(q.settled)
		if q.call != nil {
			q.call.waiting.Add(-1)
		}
	}
	return q
}

// answered carries a client's response to the server that asked, under the
// server's id. An unknown or repeated one is dropped.
func (s *session) answered(m jsonrpc.Message, told *sync.WaitGroup) {
	n, err := strconv.ParseUint(string(m.ID.Of(m.Raw)), 10, 64)
	if err != nil {
		return
	}
	q := s.take(n)
	if q == nil {
		return
	}
	q.trace.answered(&m)
	var e jsonrpc.Edits
	e.Replace(m.ID, q.Message.ID.Of(q.Message.Raw))
	raw := e.Apply(nil, m.Raw)
	// A link that was lost meanwhile has nobody waiting on it.
	s.toward(q.upstream, told, func(ctx context.Context) { _ = q.Answer(ctx, raw) })
}

// progressed carries a client's progress on a question to the server that
// asked. The token is the server's own, so that it goes as it is.
func (g *Gateway) progressed(s *session, m jsonrpc.Message, told *sync.WaitGroup) {
	token := m.ProgressToken.Of(m.Raw)
	if token == nil {
		return
	}
	s.mu.Lock()
	var up string
	for _, open := range s.questions {
		if bytes.Equal(open.token, token) {
			up = open.upstream
			break
		}
	}
	s.mu.Unlock()
	if u := g.set.Upstream(up); u != nil {
		g.notify(s, u, m, told)
	}
}

// notify passes a notification on to the session's link with an upstream.
func (g *Gateway) notify(s *session, u *upstream.Upstream, m jsonrpc.Message, told *sync.WaitGroup) {
	if s.crowded(u.Name()) {
		return
	}
	s.toward(u.Name(), told, func(ctx context.Context) {
		if err := u.Notify(ctx, s.scope(u), m.Raw); err != nil {
			g.log.DebugContext(ctx, "notification not delivered", "upstream", u.Name(), "method", m.MethodName(), "error", err)
		}
	})
}

// withdraw takes back the questions of a call that has ended, and tells the
// server. One for roots stays open: roots are the session's, and a server asks
// for them when it is new, which is while the first call is under way.
func (s *session) withdraw(c *call) {
	if c.waiting.Load() == 0 {
		return
	}
	s.mu.Lock()
	var open []uint64
	for n, q := range s.questions {
		if q.call == c && q.Message.MethodName() != "roots/list" {
			open = append(open, n)
		}
	}
	s.mu.Unlock()
	for _, n := range open {
		if q := s.take(n); q != nil {
			q.trace.unanswered(telemetry.OutcomeEnded)
			q.out.send(cancelledBy(n, "the call has ended"), needed)
			go refuse(q.Question, "the call that this request belongs to has ended")
		}
	}
}
