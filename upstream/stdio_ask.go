package upstream

import (
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// maxQuestions bounds the questions of one server that are open at a time.
const maxQuestions = 256

// asked handles a request of the server: ping is answered at once, all else is
// relayed to the client it can be for, or refused. On stdio nothing says to
// which call a request belongs.
func (l *stdioLink) asked(m jsonrpc.Message) {
	id := m.ID.Of(m.Raw)
	method := m.MethodName()
	if method == "ping" {
		l.reply(jsonrpc.AppendResult(nil, id, []byte("{}")))
		return
	}
	if method == "roots/list" && !l.exclusive {
		l.reply(jsonrpc.AppendError(nil, id, jsonrpc.CodeMethodNotFound, "roots are not offered: clients share this process", nil))
		return
	}
	l.mu.Lock()
	if l.err != nil {
		l.mu.Unlock()
		return
	}
	if _, twice := l.questions[string(id)]; twice {
		l.mu.Unlock()
		l.skip(m.Raw) // any answer to it would be taken for the first one's
		return
	}
	relay, why := l.recipient()
	if relay != nil && len(l.questions) >= maxQuestions {
		relay, why = nil, "too many requests are waiting for an answer"
	}
	if relay == nil {
		l.mu.Unlock()
		l.reply(jsonrpc.AppendError(nil, id, jsonrpc.CodeInvalidRequest, "interlock did not relay "+method+": "+why, nil))
		return
	}
	gone := make(chan struct{})
	l.questions[string(id)] = gone
	l.mu.Unlock()
	relay(&Question{Message: m, Answer: l.answerer(string(id)), Gone: gone})
}

// recipient returns who is to be asked, or why nobody is. l.mu is held.
func (l *stdioLink) recipient() (relay func(*Question), why string) {
	owner, sole := l.calls.sole()
	switch {
	case l.exclusive:
		if p := l.newestPeer(nil); p != nil {
			return p.Asked, ""
		}
		if l.inbox != nil {
			return l.inbox.Asked, ""
		}
		return nil, "no client is there to be asked"
	case sole:
		if p := l.newestPeer(&owner); p != nil {
			return p.Asked, ""
		}
		return nil, "the client whose call it can be for no longer waits"
	case len(l.calls.owners) == 0:
		return nil, "no client's call is in flight"
	}
	return nil, "calls of several clients are in flight, and it does not say for which it is"
}

// newestPeer returns the peer of the newest open call that has one, of one
// owner only if owner is not nil. l.mu is held.
func (l *stdioLink) newestPeer(owner *string) Peer {
	var newest uint64
	for id, c := range l.pending {
		if c.peer != nil && id > newest && (owner == nil || c.owner == *owner) {
			newest = id
		}
	}
	if newest == 0 {
		return nil
	}
	return l.pending[newest].peer
}
