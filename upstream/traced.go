package upstream

import (
	"context"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// Requester is told of a request that is made for a client besides calls, such as
// to subscribe, and gives it its trace context. w, which may be nil, is the witness of
// the call that it is. ended is called once, with the answer or the error.
type Requester func(method string) (t Trace, w Witness, ended func(m jsonrpc.Message, err error))

type requesterKey struct{}

// WithRequester returns a context under which Subscribe and Unsubscribe tell f of
// the request that they make, if they make one: that of another client may stand
// for it.
func WithRequester(ctx context.Context, f Requester) context.Context {
	return context.WithValue(ctx, requesterKey{}, f)
}

// traced gives the request of c its trace context. ended is never nil.
func traced(ctx context.Context, c *Call) (ended func(jsonrpc.Message, error)) {
	f, ok := ctx.Value(requesterKey{}).(Requester)
	if !ok {
		return func(jsonrpc.Message, error) {}
	}
	t, w, ended := f(c.Method)
	t.put(&c.Request)
	c.Witness = w
	return ended
}
