package upstream

import (
	"errors"
	"sync"
	"time"
)

// SessionEnd is a session with a server that is over.
type SessionEnd struct {
	Upstream string
	// Remote is false for one with a child.
	Remote bool
	// Version is the protocol revision that was agreed on.
	Version string
	Took    time.Duration
	// Reason is why it ended, as in a TransportError; "" if this side ended it.
	Reason string
}

// tenure is the session of one link. A link to a server of 2026-07-28 has none.
type tenure struct {
	mu      sync.Mutex // guards the rest
	began   time.Time  // zero for none
	version string
}

// begin begins a session.
func (t *tenure) begin(version string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.began, t.version = time.Now(), version
}

// end ends it and returns what it was; false if there is none.
func (t *tenure) end() (e SessionEnd, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.began.IsZero() {
		return e, false
	}
	e.Version, e.Took = t.version, time.Since(t.began)
	t.began = time.Time{}
	return e, true
}

// inSession begins the session of a link that was just made. Its end is told by
// sessionLost, in whatever way it comes.
func (u *Upstream) inSession(l *live) {
	if u.set.o.SessionEnded == nil || l.Hello().Modern() {
		return
	}
	l.tenure.begin(l.Hello().Version)
	if l.dead() { // before there was a session to end
		u.sessionLost(l, l.Err())
	}
}

// sessionLost ends the session of a link that is lost because of err.
func (u *Upstream) sessionLost(l *live, err error) {
	reason := ""
	if way, ok := errors.AsType[*TransportError](err); ok {
		reason = way.Reason
	}
	u.sessionEnded(l, reason)
}

func (u *Upstream) sessionEnded(l *live, reason string) {
	e, ok := l.tenure.end()
	if !ok {
		return
	}
	e.Upstream, e.Remote, e.Reason = u.name, u.Config().Kind() != Stdio, reason
	u.set.o.SessionEnded(e)
}

// anotherSession is inSession for a link whose server had forgotten the session, and
// that has made another one.
func (u *Upstream) anotherSession(l *live, h *Hello) {
	if u.set.o.SessionEnded == nil {
		return
	}
	u.sessionEnded(l, "session")
	if !h.Modern() {
		l.tenure.begin(h.Version)
	}
}
