package upstream

import (
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// asked handles a request of the server: ping is answered at once, all else is
// relayed to the client it can be for, or refused. On stdio nothing says to
// which call a request belongs.
func (l *stdioLink) asked(m jsonrpc.Message) {
	if l.modern.Load() {
		return // it may not: it is sent requests only, and no answers
	}
	method := m.MethodName()
	if method == "ping" || method == "roots/list" && !l.exclusive {
		l.reply(ownAnswer(m))
		return
	}
	l.mu.Lock()
	if l.err != nil {
		l.mu.Unlock()
		return
	}
	relay, why := l.recipient()
	var q *Question
	if relay != nil {
		if q = l.questions.open(m, l.Notify); q == nil {
			why = "too many requests wait for an answer, or one with this id does"
		}
	}
	l.mu.Unlock()
	if q == nil {
		l.reply(jsonrpc.AppendError(nil, m.ID.Of(m.Raw), jsonrpc.CodeInvalidRequest, "interlock did not relay "+method+": "+why, nil))
		return
	}
	relay(q)
}

// recipient returns who is to be asked, or why nobody is. l.mu is held.
func (l *stdioLink) recipient() (relay func(*Question), why string) {
	owner, sole := l.calls.sole()
	switch {
	case sole || l.exclusive && len(l.calls.owners) == 0:
		if p := l.newestPeer(&owner); sole && p != nil {
			return p.Asked, ""
		}
		if l.exclusive && l.inbox != nil {
			return l.inbox.Asked, ""
		}
		return nil, "the client whose call it can be for no longer waits"
	case len(l.calls.owners) == 0:
		return nil, "no client's call is in flight"
	}
	return nil, "calls of several clients are in flight, and it does not say for which it is (isolation: session gives each client session a process of its own)"
}

// soleClient returns who is to see a log line of a shared process: the client
// whose calls alone are in flight. Nil if there is none, or several.
func (l *stdioLink) soleClient() Peer {
	l.mu.Lock()
	defer l.mu.Unlock()
	if owner, sole := l.calls.sole(); sole && !l.exclusive {
		return l.newestPeer(&owner)
	}
	return nil
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
