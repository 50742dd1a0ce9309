package upstream

import (
	"context"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// Requester is told of a request that is made for a client besides calls, such as
// to subscribe, and gives it its trace context. ended is called once, with the
// answer or the error.
type Requester func(method string) (t Trace, ended func(m jsonrpc.Message, err error))

type requesterKey struct{}

// WithRequester returns a context under which Subscribe and Unsubscribe tell f of
// the request that they make, if they make one: that of another client may stand
// for it.
func WithRequester(ctx context.Context, f Requester) context.Context {
	return context.WithValue(ctx, requesterKey{}, f)
}

// traced gives r its trace context. ended is never nil.
func traced(ctx context.Context, method string, r *Request) (ended func(jsonrpc.Message, error)) {
	f, ok := ctx.Value(requesterKey{}).(Requester)
	if !ok {
		return func(jsonrpc.Message, error) {}
	}
	t, ended := f(method)
	t.put(r)
	return ended
}
