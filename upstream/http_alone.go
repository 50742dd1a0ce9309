package upstream

import (
	"sync"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// alone knows the calls on a session whose clients have no stream of their own for
// what a server asks outside of a call's stream (basic/transports, Listening for
// Messages from the Server). While there is one, the question is for that.
type alone struct {
	mu    sync.Mutex // guards the rest, and is held while a peer is asked
	calls map[*exchange]struct{}
	given bool // a call was given up, and may be running still: what is asked may be its own
}

// begin enters a call.
func (a *alone) begin(x *exchange) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.calls == nil {
		a.calls = make(map[*exchange]struct{})
	}
	a.calls[x] = struct{}{}
}

// end takes a call out again, which is asked nothing afterwards.
func (a *alone) end(x *exchange) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.calls, x)
	a.given = a.given || x.answer.Kind == jsonrpc.Invalid
}

// asked puts q to the one call that it can be for, and reports false if there is
// none, or more. Roots are asked for when a session begins, whatever is called
// meanwhile: no call is held up for them.
func (a *alone) asked(q *Question) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.given || len(a.calls) != 1 || q.Message.MethodName() == "roots/list" {
		return false
	}
	for x := range a.calls {
		x.r.Peer.Asked(q)
	}
	return true
}
