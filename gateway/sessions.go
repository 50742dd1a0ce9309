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

var errFull = errors.New("too many sessions")

// sessions is the table of live sessions. A session may leave it without harm
// while it holds nothing but what its id carries: its next request revives it.
type sessions struct {
	mu    sync.RWMutex // guards all below
	byID  map[string]*session
	byKey map[string]*session
	ended map[string]time.Time // keys of ended sessions, and when they ended
}

func newSessions() *sessions {
	return &sessions{
		byID: make(map[string]*session), byKey: make(map[string]*session), ended: make(map[string]time.Time),
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
// go; else the error is errFull.
func (t *sessions) add(s *session, max int) (*session, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.ended[s.key]; ok {
		return nil, errTicket
	}
	if old := t.byKey[s.key]; old != nil {
		return old, nil
	}
	if len(t.byKey) >= max && !t.evict() {
		return nil, errFull
	}
	t.byKey[s.key] = s
	if s.id != "" {
		t.byID[s.id] = s
	}
	return s, nil
}

// evict forgets the session that was idle longest among those whose id alone
// can bring them back. The caller holds mu.
func (t *sessions) evict() bool {
	var oldest *session
	for _, s := range t.byKey {
		if (oldest == nil || s.used.Load() < oldest.used.Load()) && !s.busy() {
			oldest = s
		}
	}
	if oldest == nil {
		return false
	}
	delete(t.byKey, oldest.key)
	delete(t.byID, oldest.id)
	return true
}

// remove takes s out for good.
func (t *sessions) remove(s *session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byKey[s.key] == s {
		delete(t.byKey, s.key)
		delete(t.byID, s.id)
	}
	t.ended[s.key] = time.Now()
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

// expired sweeps the table and returns the sessions idle for longer than
// timeout.
func (t *sessions) expired(now time.Time, timeout time.Duration) []*session {
	var idle []*session
	for _, s := range t.all() {
		s.sweep(now)
		if s.id != "" && now.Sub(time.Unix(0, s.used.Load())) > timeout && !s.active() {
			idle = append(idle, s)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, at := range t.ended {
		if now.Sub(at) > tombstone {
			delete(t.ended, key)
		}
	}
	return idle
}

// principalOf is the inverse of Principal.Key.
func principalOf(key string) policy.Principal {
	issuer, subject, _ := strings.Cut(key, "\x00")
	return policy.Principal{Issuer: issuer, Subject: subject}
}
