package oauth

import (
	"context"
	"net/http"
	"sync"
)

// bearer is the Source of a token that was issued by hand.
type bearer struct {
	a      *Accounts
	key    Key
	header string

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
	s.mu.Unlock()
	if first {
		s.a.report(Event{Key: s.key, Kind: Needed, Err: needs})
	}
	return needs
}

// Accepted implements Source. It is not called: nothing is sent once more.
func (s *bearer) Accepted(string) {}

// set implements lasting: people cannot sign in to it.
func (s *bearer) set(*Account, loading) {}

func (s *bearer) inherit(lasting) {}

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
