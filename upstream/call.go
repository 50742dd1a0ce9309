package upstream

import (
	"context"
	"encoding/json"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// Scope says which link of an upstream is meant. The zero Scope is the
// supervised link, which all share.
type Scope struct {
	// Key tells links apart: a client session, a principal.
	Key string
	// Capabilities are the client capabilities that the link declares.
	Capabilities json.RawMessage
	// Exclusive says that one client session owns the link, so that Capabilities
	// are declared as they are. They are not used otherwise.
	Exclusive bool
}

// Call is a request for an upstream, and how it may be treated.
type Call struct {
	Scope   Scope
	Request Request
	// Method is the request's MCP method.
	Method string
	// Idempotent says that the request may be sent once more when it is unknown
	// whether it ran.
	Idempotent bool
	// Waiting tells whether a person is being waited for: then silence does not
	// count, and the call leaves its slot to others. It may be nil.
	Waiting func() bool
	// Event is told of what befalls the call: queued, waiting, retry, dial. It
	// may be nil.
	Event func(kind string)
}

// Call sends a request and blocks until its answer, which is a Result or a
// Failure under an id of the link's. The error is a *CallError, or
// context.Cause(ctx) when ctx ended first.
func (u *Upstream) Call(ctx context.Context, c *Call) (jsonrpc.Message, error) {
	return jsonrpc.Message{}, &CallError{Upstream: u.name, Reason: "starting", Text: "not started", Executed: ExecutedNo}
}

// Notify sends a notification on a link that is there; where there is none,
// there is nobody to tell, and nil is returned.
func (u *Upstream) Notify(ctx context.Context, scope Scope, raw []byte) error { return nil }

// Subscribe asks for the updates of a resource on the scope's link. Several may
// ask for the same: each needs its own Unsubscribe. It is renewed when the link
// is made anew. The error is a *CallError, a *ServerError with the server's
// refusal, or context.Cause(ctx).
func (u *Upstream) Subscribe(ctx context.Context, scope Scope, uri string) error { return nil }

// Unsubscribe takes back one Subscribe. Its errors are those of Subscribe; the
// subscription has ended whatever it returns.
func (u *Upstream) Unsubscribe(ctx context.Context, scope Scope, uri string) error { return nil }

// SetLevel asks for log messages of that level on the scope's link, now and
// whenever the link is made anew. A server without logging is not asked.
func (u *Upstream) SetLevel(ctx context.Context, scope Scope, level string) {}
