package gateway

import (
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/interlock-mcp/interlock/policy"
)

// tombstone is how long an ended session's id is remembered, so that its seal
// does not bring it back.
const tombstone = 24 * time.Hour

// maxTombstones bounds how many ended sessions are remembered.
const maxTombstones = 100_000

var errFull = errors.New("too many sessions")

// sessions is the table of live sessions. A session may leave it without harm
// while it holds nothing but what its id carries: its next request revives it.
type sessions struct {
	mu    sync.RWMutex // guards all below
	byID  map[string]*session
	byKey map[string]*session
	of    map[owner]int        // how many there are of each principal that said who it is
	ended map[string]time.Time // keys of ended sessions, and when they ended
	order []string             // the keys in ended, oldest first
	left  time.Time            // when the last one went
}

func newSessions() *sessions {
	return &sessions{
		byID: make(map[string]*session), byKey: make(map[string]*session), of: make(map[owner]int), ended: make(map[string]time.Time), left: time.Now(),
	}
}

// find returns the live session with the sealed id, nil if there is none.
func (t *sessions) find(id string) *session {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.byID[id]
}

// named returns the live session with the key, nil if there is none.
func (t *sessions) named(key string) *session {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.byKey[key]
}

// add puts s in the table and returns it, or the one with its key that came
// first. At max sessions the one that is idle longest makes room, if any may
// go, and is returned as out; else the error is errFull. With half of them a
// principal makes room itself, so that it cannot push others out. A session that has
// ended is not let in again: errTicket.
func (t *sessions) add(s *session, max int) (in, out *session, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.ended[s.key]; ok {
		return nil, nil, errTicket
	}
	if old := t.byKey[s.key]; old != nil {
		return old, nil, nil
	}
	all := !s.principal.Anonymous() && t.of[ownerOf(s.principal)] >= (max+1)/2
	if all || len(t.byKey) >= max {
		if out = t.evict(func(other *session) bool { return !all || other.of(s.principal) }); out == nil {
			return nil, nil, errFull
		}
	}
	t.byKey[s.key] = s
	t.count1(s, 1)
	if s.id != "" {
		t.byID[s.id] = s
	}
	return s, out, nil
}

// count1 counts a session that comes, 1, or goes, -1. The caller holds mu.
func (t *sessions) count1(s *session, n int) {
	if s.principal.Anonymous() {
		return
	}
	who := ownerOf(s.principal)
	if t.of[who] += n; t.of[who] == 0 {
		delete(t.of, who)
	}
}

// evict forgets the session that was idle longest among those that may go and whose
// id alone can bring them back, and returns it; nil if there is none. The caller
// holds mu.
func (t *sessions) evict(may func(*session) bool) *session {
	var oldest *session
	for _, s := range t.byKey {
		if (oldest == nil || s.used.Load() < oldest.used.Load()) && may(s) && !s.busy() {
			oldest = s
		}
	}
	if oldest != nil {
		delete(t.byKey, oldest.key)
		delete(t.byID, oldest.id)
		t.count1(oldest, -1)
	}
	return oldest
}

// remove takes s out for good.
func (t *sessions) remove(s *session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byKey[s.key] == s {
		delete(t.byKey, s.key)
		delete(t.byID, s.id)
		t.count1(s, -1)
		t.left = time.Now()
	}
	if s.id == "" { // no seal brings it back
		return
	}
	t.ended[s.key] = time.Now()
	t.order = append(t.order, s.key)
	t.bury(time.Now())
}

// bury forgets ended sessions of long ago. The caller holds mu.
func (t *sessions) bury(now time.Time) {
	n := 0
	for n < len(t.order) && (len(t.order)-n > maxTombstones || now.Sub(t.ended[t.order[n]]) > tombstone) {
		delete(t.ended, t.order[n])
		n++
	}
	if n > 0 {
		t.order = append([]string(nil), t.order[n:]...)
	}
}

// all returns the live sessions.
func (t *sessions) all() []*session {
	t.mu.RLock()
	defer t.mu.RUnlock()
	out := make([]*session, 0, len(t.byKey))
	for _, s := range t.byKey {
		out = append(out, s)
	}
	return out
}

// count returns how many sessions are open.
func (t *sessions) count() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.byKey)
}

// unusedSince returns when the last session went, unless there is one.
func (t *sessions) unusedSince() (since time.Time, used bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.left, len(t.byKey) > 0
}

// expired sweeps the table and returns the sessions idle for longer than
// timeout.
func (t *sessions) expired(now time.Time, timeout time.Duration) []*session {
	var idle []*session
	for _, s := range t.all() {
		s.sweep(now)
		if since := s.unused(); s.id != "" && !since.IsZero() && now.Sub(since) > timeout {
			idle = append(idle, s)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.bury(now)
	return idle
}

// principalOf is the inverse of Principal.Key.
func principalOf(key string) *policy.Principal {
	issuer, subject, _ := strings.Cut(key, "\x00")
	return &policy.Principal{Issuer: issuer, Subject: subject}
}
