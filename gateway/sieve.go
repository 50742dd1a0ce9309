package gateway

import (
	"context"
	"strconv"
	"sync"

	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// maxSifted is how many messages of a server may wait for the policies to decide
// on them.
const maxSifted = 1024

// sieve has policies decide on what a server sends of itself, in the order in which
// it comes, and never on the goroutine that reads the server. Where nobody looks at
// such messages there is none.
type sieve struct {
	g     *Gateway
	ctx   context.Context //nolint:containedctx // the call's, or the gateway's
	chain *policy.Chain   // of the call, which has entered it; nil outside of calls
	call  *policy.Call    // nil outside of calls
	idle  func()          // called without mu when nothing waits any more; nil for nothing

	mu      sync.Mutex // guards the rest
	waiting []func()
	working bool
	ended   bool
	empty   chan struct{} // closed when nothing waits; nil while nobody wants to know
}

// newSieve is one for what belongs to a call.
func newSieve(ctx context.Context, g *Gateway, chain *policy.Chain, pc *policy.Call) *sieve {
	return &sieve{g: g, ctx: ctx, chain: chain, call: pc}
}

// add has f run after what was added before, and reports false if there is too much
// or the call is over.
func (s *sieve) add(f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || len(s.waiting) >= maxSifted {
		return false
	}
	s.waiting = append(s.waiting, f)
	if !s.working {
		s.working = true
		go s.work()
	}
	return true
}

// work does what waits, and ends.
func (s *sieve) work() {
	for {
		s.mu.Lock()
		if len(s.waiting) == 0 {
			s.working = false
			if s.empty != nil {
				close(s.empty)
				s.empty = nil
			}
			s.mu.Unlock()
			if s.idle != nil {
				s.idle()
			}
			return
		}
		f := s.waiting[0]
		s.waiting = s.waiting[1:]
		s.mu.Unlock()
		f()
	}
}

// drained blocks until all is done that was added before, or ctx is.
func (s *sieve) drained(ctx context.Context) error {
	s.mu.Lock()
	if !s.working {
		s.mu.Unlock()
		return nil
	}
	if s.empty == nil {
		s.empty = make(chan struct{})
	}
	empty := s.empty
	s.mu.Unlock()
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// end drops what waits and blocks until what is under way is done: the call is
// over, and leaves the chain.
func (s *sieve) end() {
	s.mu.Lock()
	s.ended, s.waiting = true, nil
	s.mu.Unlock()
	_ = s.drained(context.Background())
}

// notified hands a notification on, as the policies let it. It does not block.
func (s *sieve) notified(to recipient, m jsonrpc.Message, on func(jsonrpc.Message)) {
	if !s.add(func() {
		if next, err := s.received(to, m); err == nil {
			on(next)
		}
	}) {
		s.g.dropped(s.ctx, to.name)
	}
}

// dropped counts a notification that was dropped because too many of its kind wait
// for policies, and tells the log the first time and at each doubling.
func (g *Gateway) dropped(ctx context.Context, upstream string) {
	if n := g.messagesDropped.Add(1); n&(n-1) == 0 {
		g.log.WarnContext(ctx, "notifications of servers dropped: the policies do not keep up with them", "upstream", upstream, "dropped", n)
	}
}

// asked hands a question on, as the policies let it, or answers it with their
// refusal. It does not block.
func (s *sieve) asked(to recipient, q *upstream.Question, on func(*upstream.Question)) {
	if !s.add(func() {
		next, err := s.received(to, q.Message)
		if err != nil {
			go deny(q, err)
			return
		}
		own := *q
		own.Message = next
		on(&own)
	}) {
		go refuse(q, "too much that the server sent waits for the policies of this gateway, or the call has ended")
	}
}

// recipient is whom a server's message is for; the zero value is for nobody in
// particular.
type recipient struct {
	upstream  *upstream.Upstream
	name      string
	principal *policy.Principal
	session   string
}

// received asks the policies, and returns what they make of the message.
func (s *sieve) received(to recipient, m jsonrpc.Message) (jsonrpc.Message, error) {
	chain := s.chain
	if s.call == nil {
		if chain = s.g.enterNow(); chain == nil {
			return m, errDraining
		}
		defer chain.Leave()
	}
	sm := policy.ServerMessage{Principal: to.principal, Session: to.session, Upstream: to.name, Call: s.call, Message: m}
	if to.upstream != nil {
		sm.Tags = to.upstream.Config().Tags
	}
	err := chain.Received(s.ctx, &sm)
	return sm.Message, err
}

// enterNow enters the chain that is in the view, nil at the gateway's end.
func (g *Gateway) enterNow() *policy.Chain {
	var last *policy.Chain
	for {
		chain := g.view.Load().rules.chain
		if chain != nil && chain == last {
			return nil
		}
		if chain == nil {
			return policy.NewChain(nil) // its policies went: all passes
		}
		if chain.Enter() {
			return chain
		}
		last = chain
	}
}

// deny answers a server's request with a policy's refusal. It blocks for the write.
func deny(q *upstream.Question, why error) {
	ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
	defer cancel()
	id := q.Message.ID.Of(q.Message.Raw)
	f := faultOf("", why)
	_ = q.Answer(ctx, jsonrpc.AppendError(nil, id, f.code, "interlock: "+f.text, f.json()))
}

// input has policies decide on what an answer of 2026-07-28 requires of the client:
// these are requests of the server, too. One that is refused ends the call.
func (s *sieve) input(ctx context.Context, x *exchange, m jsonrpc.Message) (jsonrpc.Message, error) {
	if x.modern == nil || resultType(&m) != resultInput {
		return m, nil
	}
	requests, ok := jsonrpc.Lookup(m.Raw, m.Result, "inputRequests")
	if !ok || m.Raw[requests.Start] != '{' {
		return m, nil
	}
	var e jsonrpc.Edits
	n := 0
	for _, at := range jsonrpc.Members(m.Raw, requests) {
		method, _ := jsonrpc.Lookup(m.Raw, at, "method")
		params, has := jsonrpc.Lookup(m.Raw, at, "params")
		n++
		q, err := jsonrpc.ParseServer(jsonrpc.AppendRequest(nil, strconv.AppendInt(nil, int64(n), 10), m.Text(method), params.Of(m.Raw)))
		if err != nil {
			continue // the client will say what is wrong with it
		}
		sm := policy.ServerMessage{Principal: x.principal, Session: x.sessionKey(), Upstream: s.call.Upstream, Tags: s.call.Tags, Call: s.call, Message: q}
		if err := s.chain.Received(ctx, &sm); err != nil {
			if ctx.Err() != nil {
				return m, context.Cause(ctx)
			}
			return m, &halfway{err}
		}
		if sm.Changed() && has {
			e.Replace(params, append([]byte(nil), sm.Params()...))
		}
	}
	if e.Empty() {
		return m, nil
	}
	return jsonrpc.ParseServer(e.Apply(nil, m.Raw))
}

// halfway is a policy's refusal of what a server asks for during a call: it is not
// known how much of the call has run.
type halfway struct{ error }

func (h *halfway) Unwrap() error { return h.error }
