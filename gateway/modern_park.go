package gateway

import (
	"context"
	"errors"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/interlock-mcp/interlock/router"
	"github.com/interlock-mcp/interlock/telemetry"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

const (
	// maxParked bounds how many calls are kept open for clients that have been
	// asked something and may never come back.
	maxParked = 1000
	// maxParkedOfOne is how many of them may be one principal's that said who it is.
	maxParkedOfOne = 250
	// gather is how long a call waits for further questions after one, so that
	// those which a server asks at once are one round.
	gather = 15 * time.Millisecond
)

var errParkTime = errors.New("the client did not answer in time")

// parked is a call of a client of 2026-07-28 to a server that asks in the older
// way, by requests of its own while the call is open. Its own goroutine makes the
// call. A request of the client waits with it; when the server asks, that request
// is answered with what it asks for, and the call stays open for the retry that
// brings the answers. The call itself is never made again.
type parked struct {
	g      *Gateway
	call   *call
	first  *exchange // the request that the call was made for
	cancel context.CancelCauseFunc
	done   chan struct{} // closed when message and err are known

	message jsonrpc.Message
	err     error

	poke chan struct{} // capacity 1: the server asks something

	mu      sync.Mutex // guards the rest
	waiter  *exchange  // the request that waits now; nil while parked
	open    []*put     // what the client has to answer, in the order it was asked
	count   int        // questions so far
	name    string     // what the request state that is out names; "" for none
	expiry  *time.Timer
	lacking string // capabilities that the client would have needed
}

// put is a question of the server that was, or is to be, put to the client.
type put struct {
	*upstream.Question
	key   string
	trace *asking
}

// converseModern makes a call that may be parked, and blocks until there is
// something to answer x with.
func (g *Gateway) converseModern(ctx context.Context, x *exchange, c *call, u *upstream.Upstream, edits *jsonrpc.Edits) (answer, outcome) {
	own, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	p := &parked{
		g: g, call: c, first: x, waiter: x, cancel: cancel,
		done: make(chan struct{}), poke: make(chan struct{}, 1),
	}
	c.parked = p
	x.modern.client.users.Add(1)
	if !g.parks.run(func() {
		defer x.modern.client.users.Add(-1)
		defer cancel(nil)
		defer close(p.done)
		defer p.end()
		defer func() {
			if fault := recover(); fault != nil {
				g.log.ErrorContext(ctx, "panic while serving a request", "method", x.method, "panic", fault, "stack", string(debug.Stack()))
				p.err = errors.New("this is a defect of the gateway, and its log has the details")
			}
		}()
		p.message, p.err = g.consulted(own, c, u, edits)
	}) {
		x.modern.client.users.Add(-1)
		cancel(nil)
		return g.failed(x, c.route, &upstream.CallError{
			Upstream: c.route.Upstream, Reason: "shutdown", Text: "the gateway is shutting down", Executed: upstream.ExecutedNo,
		})
	}
	return p.await(ctx, x)
}

// await blocks until the call is over, its server asks something, or ctx is done,
// and answers x.
func (p *parked) await(ctx context.Context, x *exchange) (answer, outcome) {
	for {
		select {
		case <-p.done:
			return p.conclude(ctx, x)
		case <-p.poke:
		case <-ctx.Done():
			p.cancel(context.Cause(ctx))
			<-p.done
			return p.conclude(ctx, x)
		}
		t := time.NewTimer(gather)
		select {
		case <-p.done:
		case <-ctx.Done():
		case <-t.C:
			if requests, state := p.park(x); requests != nil {
				x.executed = string(upstream.ExecutedUnknown) // it has begun
				x.span.Set(telemetry.String(telemetry.AttrResultType, resultInput))
				return x.inputRequired(requests, state), outcome{}
			}
		}
		t.Stop()
	}
}

// conclude answers x with what became of the call.
func (p *parked) conclude(ctx context.Context, x *exchange) (answer, outcome) {
	p.mu.Lock()
	lacking := p.lacking
	p.mu.Unlock()
	if p.first.record != nil {
		x.keepRecord().inherit(p.first.record)
	}
	if p.err == nil {
		return p.g.modernAnswer(x, p.call.route, p.message, lacking)
	}
	if ctx.Err() != nil && errors.Is(context.Cause(ctx), p.err) || errors.Is(p.err, errDraining) {
		return p.g.aborted(x, p.call.route, p.err)
	}
	return p.g.gaveUp(ctx, x, p.call.route, p.err)
}

// asked takes a question of the server. It is called on the link's reader.
func (p *parked) asked(q *upstream.Question) {
	method := q.Message.MethodName()
	if !askable(method) {
		go unable(q, clipName(method))
		return
	}
	lacking := p.first.modern.client.able.lacking(&q.Message)
	p.mu.Lock()
	defer p.mu.Unlock()
	if lacking != "" {
		p.lacking = lacking
		p.call.notAsked(method, "the client declared no "+lacking)
		go unable(q, "what this asks for: it declared no "+lacking)
		return
	}
	if len(p.open) >= maxWaiting {
		p.call.notAsked(method, "too many requests of this call wait for the client")
		go refuse(q, "too many requests of this call wait for the client")
		return
	}
	p.count++
	a := &put{q, strconv.Itoa(p.count), p.g.startAsking(p.call, p.first.session, p.call.route.Upstream, &q.Message)}
	p.open = append(p.open, a)
	p.call.waiting.Add(1)
	p.prod()
	p.g.parks.run(func() { p.watch(a) }) // if not, the call is about to be cancelled
}

func (p *parked) prod() {
	select {
	case p.poke <- struct{}{}:
	default:
	}
}

// watch forgets a question that the server takes back.
func (p *parked) watch(a *put) {
	select {
	case <-a.Gone:
		if p.settle(a) {
			a.trace.unanswered(telemetry.OutcomeWithdrawn)
		}
	case <-p.done:
	}
}

// settle takes a question out of those that are open, and reports whether it was
// among them.
func (p *parked) settle(a *put) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, other := range p.open {
		if other == a {
			p.open = append(p.open[:i:i], p.open[i+1:]...)
			p.call.waiting.Add(-1)
			return true
		}
	}
	return false
}

// park lets x be answered with the open questions and keeps the call for the
// retry. It returns the entries of inputRequests and the request state; nil if
// nothing is open any more, or the call could not be kept.
func (p *parked) park(x *exchange) (requests []byte, state string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.open) == 0 {
		return nil, ""
	}
	name, ok := p.g.parks.put(p)
	if !ok {
		for _, a := range p.open {
			a.trace.unanswered(telemetry.OutcomeUnreachable)
			go refuse(a.Question, "too many calls wait for their clients' answers already")
		}
		p.call.waiting.Add(-int32(len(p.open)))
		p.open = nil
		return nil, ""
	}
	for i, a := range p.open {
		if i > 0 {
			requests = append(requests, ',')
		}
		requests = appendInputRequest(requests, a.key, &a.Message, a.trace)
	}
	s := x.stateFor(stateParked, p.call.route.Upstream, parkTTL)
	s.inner = []byte(name)
	p.name, p.waiter = name, nil
	p.expiry = time.AfterFunc(parkTTL, func() { p.expire(name) })
	return requests, p.g.seal.sealState(s)
}

// expire ends the call if nobody came with the state of that name.
func (p *parked) expire(name string) {
	if p.g.parks.take(name) != nil {
		p.cancel(errParkTime)
	}
}

// resume serves the retry of a parked call. It blocks as await does.
func (g *Gateway) resume(ctx context.Context, x *exchange, r *router.Route, s requestState) (answer, outcome) {
	if at := badResponse(x); at != "" {
		return x.badParams(at + " must be an object: it is the result of what was asked")
	}
	over, err := g.mayResume(ctx, x, r)
	switch {
	case err == nil:
		defer over()
	case ctx.Err() != nil && errors.Is(context.Cause(ctx), err):
		return g.aborted(x, r, err)
	default: // the call goes on waiting for another retry, until its time is over
		return g.failed(x, r, err)
	}
	p := g.parks.take(string(s.inner))
	if p == nil {
		return x.staleState()
	}
	x.span.Link(p.first.span.Ref(), linkedAs(telemetry.LinkParked))
	p.mu.Lock()
	p.expiry.Stop()
	p.name, p.waiter = "", x
	open := append([]*put(nil), p.open...)
	p.mu.Unlock()
	answered := 0
	for _, a := range open {
		at, ok := jsonrpc.Lookup(x.msg.Raw, x.msg.InputResponses, a.key)
		if !ok {
			continue
		}
		if answered++; p.settle(a) {
			p.answer(ctx, a, at.Of(x.msg.Raw))
		}
	}
	if answered < len(open) {
		p.prod() // what was not answered is asked again
	}
	return p.await(ctx, x)
}

// badResponse names the input response that is none, "" for none.
func badResponse(x *exchange) string {
	at := x.msg.InputResponses
	if !at.Ok() {
		return ""
	}
	if x.kindOf(at) != '{' {
		return "params.inputResponses"
	}
	for key, value := range jsonrpc.Members(x.msg.Raw, at) {
		if x.kindOf(value) != '{' {
			return "params.inputResponses[" + clipName(key) + "]"
		}
	}
	return ""
}

// answer carries a client's answer to the server that asked.
func (p *parked) answer(ctx context.Context, a *put, result []byte) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTimeout)
	defer cancel()
	// A link that was lost meanwhile has nobody waiting on it.
	a.trace.result(result, jsonrpc.Whole(result))
	_ = a.Answer(ctx, jsonrpc.AppendResult(nil, a.Message.ID.Of(a.Message.Raw), result))
}

// notified passes on what the server says on behalf of the call, to the request
// that waits now and under the token that it gave. While none waits there is
// nobody to tell.
func (p *parked) notified(m jsonrpc.Message) {
	p.mu.Lock()
	x := p.waiter
	p.mu.Unlock()
	if x != nil {
		x.tell(m)
	}
}

// end takes back what is still open: the call is over.
func (p *parked) end() {
	p.call.over.Store(true)
	p.mu.Lock()
	open := p.open
	p.open = nil
	p.call.waiting.Add(-int32(len(open)))
	p.mu.Unlock()
	for _, a := range open {
		a.trace.unanswered(telemetry.OutcomeEnded)
		go refuse(a.Question, "the call that this request belongs to has ended")
	}
}
