package upstream

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// maxOpen is how many questions may be open on one stream.
const maxOpen = 256

// errWithdrawn is the answer to an answer that nobody waits for.
var errWithdrawn = errors.New("the server no longer waits for the answer")

// openQuestions are the server's requests on one stream that wait for an
// answer. The zero value is ready to use.
type openQuestions struct {
	mu   sync.Mutex               // guards gone
	gone map[string]chan struct{} // by the server's id
}

// open makes the Question for m, whose answer goes through send. It returns nil
// if too many are open, or one has the same id.
func (o *openQuestions) open(m jsonrpc.Message, send func(context.Context, []byte) error) *Question {
	id := string(m.ID.Of(m.Raw))
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.gone[id] != nil || len(o.gone) >= maxOpen {
		return nil
	}
	if o.gone == nil {
		o.gone = make(map[string]chan struct{})
	}
	gone := make(chan struct{})
	o.gone[id] = gone
	answer := func(ctx context.Context, response []byte) error {
		if !o.withdraw(id) {
			return errWithdrawn
		}
		return send(ctx, response)
	}
	return &Question{Message: m, Answer: answer, Gone: gone}
}

// withdraw closes a question and reports whether it was open.
func (o *openQuestions) withdraw(id string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	gone := o.gone[id]
	if gone == nil {
		return false
	}
	close(gone)
	delete(o.gone, id)
	return true
}

// close closes all of them.
func (o *openQuestions) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, gone := range o.gone {
		close(gone)
	}
	clear(o.gone)
}

// ownAnswer is the answer that a link gives itself: to a ping, or to a request
// that there is nobody to ask.
func ownAnswer(m jsonrpc.Message) []byte {
	id := m.ID.Of(m.Raw)
	switch m.MethodName() {
	case "ping":
		return jsonrpc.AppendResult(nil, id, []byte("{}"))
	case "roots/list":
		return jsonrpc.AppendError(nil, id, jsonrpc.CodeMethodNotFound, "roots are not offered: clients share this connection", nil)
	}
	return jsonrpc.AppendError(nil, id, jsonrpc.CodeInvalidRequest,
		"interlock did not relay "+m.MethodName()+": it belongs to no call of a client that waits", nil)
}

// reconnectPause returns the pause before the nth try (from 1): base, doubled
// each time up to limit, less up to a quarter at random, so that a thousand
// sessions do not come back in one moment.
func reconnectPause(n int, base, limit time.Duration) time.Duration {
	d := limit
	if n < 30 {
		d = min(base<<(n-1), limit)
	}
	return d - rand.N(d/4+1)
}

// rest waits for d and reports whether ctx lasted so long.
func rest(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
