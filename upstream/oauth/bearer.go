package oauth

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
)

// bearer is the Source of a token that was issued by hand.
type bearer struct {
	a      *Accounts
	key    Key
	header string

	// doubted says that needs is Rejected, for Accepted, which is called with each request.
	doubted atomic.Bool

	mu    sync.Mutex // guards what follows
	needs *NeedsAuth // of the last refusal, nil for none
	demand
}

// Authorization implements Source.
func (s *bearer) Authorization(context.Context) (string, error) { return s.header, nil }

// Refused implements Source: nobody can renew the token.
func (s *bearer) Refused(_ context.Context, _ string, status int, h http.Header) error {
	s.mu.Lock()
	first := s.needs == nil
	s.keep(h)
	if status == http.StatusForbidden {
		s.needs = s.widen(s.key, nil)
	} else {
		s.needs = &NeedsAuth{Key: s.key, Why: Rejected}
	}
	needs := s.needs
	s.doubted.Store(needs.Why == Rejected)
	s.mu.Unlock()
	if first {
		s.a.report(Event{Key: s.key, Kind: Needed, Err: needs})
	}
	return needs
}

// Accepted implements Source: a server that takes the token again had a bad moment. That
// it wants more than was granted stays true.
func (s *bearer) Accepted(string) {
	if !s.doubted.Load() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.doubted.Store(false)
	s.needs = nil
	if s.wider != nil {
		s.needs = s.wider
	}
}

// set implements lasting: people cannot sign in to it.
func (s *bearer) set(*Account, loading) {}

func (s *bearer) inherit(lasting) {}

func (s *bearer) current() *Account { return nil }

func (s *bearer) state() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return State{Signed: true, Needs: s.needs}
}

func (s *bearer) asked() (challenge http.Header, more []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.give()
}
