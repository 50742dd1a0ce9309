package gateway

import (
	"context"

	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/router"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// consulted makes the call with the chain's leave, before it and after.
func (g *Gateway) consulted(ctx context.Context, c *call, u *upstream.Upstream, edits *jsonrpc.Edits) (jsonrpc.Message, error) {
	x := c.x
	if x.view.rules.chain.Empty() {
		g.capture.arguments(ctx, x.method, x.msg.Arguments.Of(x.msg.Raw))
		return g.reach(ctx, c, u, edits)
	}
	chain, err := g.enterChain(x, c.route.Upstream)
	if err != nil {
		return jsonrpc.Message{}, err
	}
	pc := g.policyCall(x, c.route, x.keepRecord())
	defer chain.Done(pc)
	if err := chain.Before(ctx, pc); err != nil {
		return jsonrpc.Message{}, err
	}
	if pc.Changed() {
		if x.method != "tools/call" && x.method != "prompts/get" {
			return jsonrpc.Message{}, &policy.Denial{Policy: x.record.policy, Reason: "it changed the arguments of a request that has none"}
		}
		edits = withArguments(edits, x.msg, pc.Arguments())
		x.changed = true
	}
	g.capture.arguments(ctx, x.method, pc.Arguments())
	if chain.Inbound() {
		c.sieve = newSieve(ctx, g, chain, pc)
		defer c.sieve.end()
	}
	m, err := g.reach(ctx, c, u, edits)
	if err != nil {
		return m, err
	}
	if c.sieve != nil { // what the server said before its answer goes out before it
		if err := c.sieve.drained(ctx); err != nil {
			return m, err
		}
		if m, err = c.sieve.input(ctx, x, m); err != nil {
			return m, err
		}
	}
	a := policy.Answer{Message: m}
	if err := chain.After(ctx, pc, &a); err != nil {
		if ctx.Err() != nil {
			return m, context.Cause(ctx)
		}
		return m, &withheld{err}
	}
	return a.Message, nil
}

// permitted does what a request asks for besides a call, such as to subscribe, with
// the chain's leave. The answer is an empty one.
func (g *Gateway) permitted(ctx context.Context, x *exchange, r *router.Route, rec *record, do func() error) error {
	if x.view.rules.chain.Empty() {
		return do()
	}
	chain, err := g.enterChain(x, r.Upstream)
	if err != nil {
		return err
	}
	pc := g.policyCall(x, r, rec)
	defer chain.Done(pc)
	if err := chain.Before(ctx, pc); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	empty, err := jsonrpc.ParseServer(emptyAnswer)
	if err != nil { // it is well-formed
		return err
	}
	if err := chain.After(ctx, pc, &policy.Answer{Message: empty}); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return &withheld{err}
	}
	return nil
}

var emptyAnswer = []byte(`{"jsonrpc":"2.0","id":1,"result":{}}`) // never changed

// mayResume has the chain decide on the retry of a parked call: it brings what a
// person or a model answered. over is to be called when the retry is answered. The
// call's answer is decided on where the call is made.
func (g *Gateway) mayResume(ctx context.Context, x *exchange, r *router.Route) (over func(), err error) {
	if x.view.rules.chain.Empty() {
		return func() {}, nil
	}
	chain, err := g.enterChain(x, r.Upstream)
	if err != nil {
		return nil, err
	}
	pc := g.policyCall(x, r, x.keepRecord())
	pc.Resumed = true
	if err := chain.Before(ctx, pc); err != nil {
		chain.Done(pc)
		return nil, err
	}
	return func() { chain.Done(pc) }, nil
}

// enterChain enters the chain of the exchange's view, or the one that came after
// it. The error is a *upstream.CallError at the gateway's end.
func (g *Gateway) enterChain(x *exchange, up string) (*policy.Chain, error) {
	chain := x.view.rules.chain
	for !chain.Enter() { // a reload came between: the call goes by the new policies
		next := g.view.Load().rules.chain
		if next == chain {
			return nil, &upstream.CallError{Upstream: up, Reason: "shutdown", Text: "the gateway is shutting down", Executed: upstream.ExecutedNo}
		}
		chain = next
	}
	return chain, nil
}

// policyCall is the request as policies see it. What they do to it goes into rec.
func (g *Gateway) policyCall(x *exchange, r *router.Route, rec *record) *policy.Call {
	pc := &policy.Call{
		Principal: x.principal, Session: x.sessionKey(), Profile: x.catalog.ProfileName(), Method: x.method,
		Upstream: r.Upstream, Target: r.Target, Exposed: r.Exposed, Message: x.msg,
		Definition: x.definition(r),
	}
	if u := x.view.upstreams[r.Upstream]; u != nil {
		pc.Tags = u.Config().Tags
	}
	pc.Keep(recordKey{}, rec)
	return pc
}

// sessionKey names the client's session, "" for one that has none.
func (x *exchange) sessionKey() string {
	if x.modern != nil {
		return ""
	}
	return x.session.key
}

// keepRecord returns the exchange's own record.
func (x *exchange) keepRecord() *record {
	if x.record == nil {
		x.record = new(record)
	}
	return x.record
}

// withArguments puts other arguments into a request.
func withArguments(e *jsonrpc.Edits, m *jsonrpc.Message, raw []byte) *jsonrpc.Edits {
	e = withEdits(e)
	if m.Arguments.Ok() {
		e.Replace(m.Arguments, raw)
		return e
	}
	member := append(append([]byte(`"arguments":`), raw...), ',')
	e.Insert(int(m.Params.Start)+1, member) // there is a name behind it
	return e
}

// withheld is a policy's refusal of an answer: the call has run.
type withheld struct{ error }

func (w *withheld) Unwrap() error { return w.error }
