package oauth

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// live is the Source of all flows whose tokens expire. At most one flight at a time
// looks for another token; requests go on with the one there is while it is valid, or
// wait for the flight.
type live struct {
	a    *Accounts
	t    *Target
	key  Key
	from origin

	// now is what requests take without a lock, nil if they have to look closer.
	now atomic.Pointer[ready]

	mu     sync.Mutex // guards what follows
	acct   *Account   // the one in use, nil for none
	loaded bool       // acct has been looked for
	flight *flight    // the one in the air, nil for none
	// turn counts what people did. A flight that began before does not change what they
	// did.
	turn int
	// needs is returned to all until the time held; a request after it tries again.
	needs *NeedsAuth
	held  time.Time
	// err is why the last flight failed, at the time failed; nil once one succeeded.
	err    error
	failed time.Time
	// fresh is when a token was renewed because the server refused the one before it,
	// zero once the server has taken it.
	fresh time.Time
	// ended is what the issuer answered when the token in use was to be renewed: it is
	// good until it expires.
	ended *NeedsAuth
	// blind is until when requests go without a token since the store cannot tell whether
	// there is one: a server that wants none is not to suffer from that.
	blind time.Time
	// open says that the server has taken a request without a token.
	open bool
	// stepped is when a flight found no token with the scopes that are wanted.
	stepped time.Time
	// told is the last need that was reported since a flight succeeded.
	told Why
	demand
}

// ready is a header for all requests until the time look, zero for ever.
type ready struct {
	header string
	look   time.Time
}

// An origin is where the tokens of a live source come from. Its methods are called by
// one goroutine at a time, next in a flight.
type origin interface {
	// next returns an account with a valid token, nil if there is none and requests
	// should go without one. The error is a *NeedsAuth, or says what is wrong for now.
	// An account beside an error takes the place of the one in use.
	next(ctx context.Context, c cause) (*Account, error)
	// renewable says whether next can have another token than a's without a person, and
	// widens, whether it can have one with more scopes. a is nil for none. They do not
	// block.
	renewable(a *Account) bool
	widens(a *Account) bool
}

// cause is why a flight looks for a token.
type cause struct {
	// last is the account in use, nil for none.
	last *Account
	// refused says that a server refused its token, with challenge if it did not take it
	// at all; again, that it was fresh. Without them it is about to expire, or has.
	refused, again bool
	challenge      http.Header
	// scopes are wanted, those that were granted before among them; nil for no others
	// than before.
	scopes []string
}

// The times of a source.
const (
	// maxLead is how long before it expires a token is renewed, if a tenth of its
	// lifetime is not less.
	maxLead = time.Minute
	// retry is how long a failure is the answer before there is another try.
	retry = time.Second
	// hold is how long the need of a sign-in, or that the store cannot be read, is the
	// answer before the store is read, or the server asked, again.
	hold = 10 * time.Second
	// freshness is how long a token that was renewed because of a refusal is not
	// renewed because of another one, unless it was taken in between.
	freshness = time.Minute
)

// Authorization implements Source.
func (s *live) Authorization(ctx context.Context) (string, error) {
	if r := s.now.Load(); r != nil && (r.look.IsZero() || time.Now().Before(r.look)) {
		return r.header, nil
	}
	for {
		s.mu.Lock()
		f, header, err := s.closer(time.Now())
		s.mu.Unlock()
		if f == nil {
			return header, err
		}
		if header, again, err := f.wait(ctx); !again {
			return header, err
		}
	}
}

// closer is Authorization without a header at hand: it returns the flight to wait
// for, or what to send. mu is held.
func (s *live) closer(now time.Time) (*flight, string, error) {
	switch {
	case s.needs != nil && now.Before(s.held):
		if s.open && s.needs.Why == NotSignedIn {
			return nil, "", nil // that one request needed it says nothing of the next
		}
		return nil, "", s.needs
	case s.acct.valid(now):
		s.needs = nil
		if (s.err != nil || s.acct.due(now)) && s.flight == nil && s.from.renewable(s.acct) {
			s.fly(cause{})
		}
		return nil, s.publish(now), nil
	case s.flight != nil:
		return s.flight, "", nil
	case s.err != nil && now.Sub(s.failed) < retry:
		return nil, "", s.err
	case s.loaded && s.acct == nil && s.needs == nil && !s.from.renewable(nil):
		return nil, "", nil
	case s.acct == nil && now.Before(s.blind):
		return nil, "", nil
	}
	s.needs = nil
	return s.fly(cause{}), "", nil
}

// Refused implements Source.
func (s *live) Refused(ctx context.Context, sent string, status int, h http.Header) error {
	for {
		s.mu.Lock()
		f, joined, event, err := s.refused(time.Now(), sent, status, h)
		s.mu.Unlock()
		if event != nil {
			s.a.report(*event)
		}
		if f == nil {
			return err
		}
		header, again, err := f.wait(ctx)
		if again || joined && (err == nil && header == sent || errors.Is(err, ErrUnstored)) {
			continue // that flight knew nothing of this refusal
		}
		return err
	}
}

// Accepted implements Source.
func (s *live) Accepted(sent string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sent == "" {
		s.open = true
		return
	}
	if s.acct.header() == sent {
		s.fresh = time.Time{}
	}
}

// refused is Refused up to the flight to wait for, nil for none; joined says that it
// was in the air already. mu is held.
func (s *live) refused(now time.Time, sent string, status int, h http.Header) (f *flight, joined bool, event *Event, err error) {
	switch {
	case s.needs != nil && now.Before(s.held):
		return nil, false, nil, s.needs
	case s.acct.valid(now) && s.acct.header() != sent:
		return nil, false, nil, nil
	case s.flight != nil:
		return s.flight, true, nil, nil
	case s.err != nil && now.Sub(s.failed) < retry && !errors.Is(s.err, ErrUnstored): // which says nothing of the token
		return nil, false, nil, s.err
	}
	s.keep(h)
	c := cause{refused: s.acct.header() == sent}
	if status != http.StatusForbidden {
		c.challenge = s.challenge
		c.again = !s.fresh.IsZero() && now.Sub(s.fresh) < freshness
		return s.fly(c), false, nil, nil
	}
	before := s.wider
	needs := s.widen(s.key, s.acct)
	tried := now.Sub(s.stepped) < freshness && before != nil && len(before.Scopes) == len(needs.Scopes)
	if s.from.widens(s.acct) && !s.acct.granted(needs.Scopes) && !tried {
		c.scopes = needs.Scopes
		return s.fly(c), false, nil, nil
	}
	if before == nil {
		event = &Event{Key: s.key, Kind: Needed, Issuer: needs.Issuer, Err: needs}
	}
	return nil, false, event, needs
}

// publish gives requests the header of a valid account without a lock, until there is
// something to look after. mu is held.
func (s *live) publish(now time.Time) string {
	look := s.acct.dueAt()
	if !look.IsZero() && !now.Before(look) || s.err != nil {
		look = now.Add(retry)
	}
	if end := s.acct.Expires; !end.IsZero() && look.After(end) {
		look = end
	}
	// The clock of the wall: that of the process stands still while a laptop sleeps.
	r := &ready{header: s.acct.header(), look: look.Round(0)}
	s.now.Store(r)
	return r.header
}

// set makes acct the one in use, by a person's doing. A nil one that is not loaded is
// looked for by the next request.
func (s *live) set(acct *Account, loaded loading) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turn++
	s.acct, s.loaded = acct, loaded == isLoaded
	s.needs, s.ended, s.err, s.fresh, s.told, s.demand = nil, nil, nil, time.Time{}, "", demand{}
	s.now.Store(nil)
}

// asked is Accounts.Wanted.
func (s *live) asked() (challenge http.Header, more []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.give()
}

func (s *live) current() *Account {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.acct
}

func (s *live) inherit(from lasting) {
	if old, ok := from.(*live); ok {
		old.mu.Lock()
		defer old.mu.Unlock()
		s.demand = old.demand
	}
}

// loading says whether an account, or that there is none, has been read.
type loading int

const (
	notLoaded loading = iota
	isLoaded
)

// state is Accounts.State.
func (s *live) state() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := State{Needs: s.needs}
	if st.Needs == nil {
		st.Needs = s.wider
	}
	if s.err != nil {
		st.Err = s.err.Error()
	}
	if a := s.acct; a != nil {
		st.Signed, st.Issuer, st.Scopes, st.Expires = a.AccessToken != "", a.Issuer, a.Scopes, a.Expires
		st.Renewable = s.from.renewable(a)
	}
	return st
}
