package gateway

import (
	"context"

	"github.com/interlock-mcp/interlock/router"
	"github.com/interlock-mcp/interlock/telemetry"
	"github.com/interlock-mcp/interlock/upstream"
)

// signInKey is the key of the sign-in among the inputs that are required.
const signInKey = "sign_in"

// signInFirst answers a request of 2026-07-28 that needs a person to sign in first: its
// client opens a link and sends the request again (2026-07-28 client/elicitation,
// basic/patterns/mrtr). It reports false for a client that can open none, or whose
// account it would not be.
func (g *Gateway) signInFirst(x *exchange, r *router.Route, err error) (answer, bool) {
	need := needsAuth(err)
	if need == nil || !x.modern.client.able.url || !takesInput(x.method) {
		return answer{}, false
	}
	l, err := g.signIns.offer(x, need)
	if err != nil {
		return answer{}, false
	}
	s := x.stateFor(stateSignedIn, r.Upstream, 2*offerTTL)
	s.inner = []byte(l.name)
	x.executed = string(upstream.ExecutedNo)
	x.span.Set(telemetry.String(telemetry.AttrResultType, resultInput))
	request := appendLink([]byte(`"`+signInKey+`":{"method":"elicitation/create","params":{`), l)
	return x.inputRequired(append(request, "}}"...), g.seal.sealState(s)), true
}

// awaitOffer blocks until the sign-in that a retry says was begun is done (nil) or came
// to nothing. Of one that was over before, which is nil, nothing is known: the call
// finds out.
func (g *Gateway) awaitOffer(ctx context.Context, r *router.Route, o *offer) error {
	if o == nil {
		return nil
	}
	select {
	case <-o.over:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if o.err != nil {
		return unsigned(ctx, r.Upstream, o.err)
	}
	if u := g.set.Upstream(o.Upstream); u != nil {
		g.awake(ctx, u)
	}
	return nil
}
