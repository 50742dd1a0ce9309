package oauth

import (
	"context"
	"errors"
	"time"
)

// flight is one search for a token, for all who wait for it. Its end is nobody's
// context but that of the accounts.
type flight struct {
	done chan struct{} // closed at the end; what follows is not read before
	// header is what to send, "" for none.
	header string
	err    error
	// again says that a person signed in or out meanwhile: look once more.
	again bool
}

// wait blocks until the flight has ended, or ctx.
func (f *flight) wait(ctx context.Context) (header string, again bool, err error) {
	select {
	case <-f.done:
		return f.header, f.again, f.err
	case <-ctx.Done():
		return "", false, ctx.Err()
	}
}

// errClosed is what requests get after Accounts.Close.
var errClosed = errors.New("the gateway is stopping")

// fly starts a flight. mu is held, and no other is in the air.
func (s *live) fly(c cause) *flight {
	f := &flight{done: make(chan struct{})}
	c.last = s.acct
	turn := s.turn
	s.flight = f
	if !s.a.run(func(ctx context.Context) {
		acct, err := s.from.next(ctx, c)
		s.land(f, turn, c, acct, err)
	}) {
		s.flight, f.err = nil, errClosed
		close(f.done)
	}
	return f
}

// land makes what a flight found the state of the source, and ends it.
func (s *live) land(f *flight, turn int, c cause, acct *Account, err error) {
	s.mu.Lock()
	s.flight = nil
	if turn != s.turn {
		f.again = true
		close(f.done)
		s.mu.Unlock()
		return
	}
	now := time.Now()
	if !c.refused && s.acct == nil && acct == nil && errors.Is(err, ErrUnknown) {
		// What a refusal found out is still true: err is as it was.
		s.blind = now.Add(hold)
		close(f.done)
		s.mu.Unlock()
		return
	}
	s.loaded = true
	// Another process may have forgotten it. Whoever says so comes too late to tell.
	gone := err == nil && acct == nil && c.last != nil && c.last.Client.How != exchanged
	event := s.take(now, c, acct, err)
	valid := s.acct.valid(now) && s.needs == nil
	if valid {
		s.publish(now)
	} else {
		s.now.Store(nil)
	}
	var needs *NeedsAuth
	switch {
	case s.needs != nil:
		f.err = s.needs
	case acct != nil && (valid || err == nil) && !errors.As(err, &needs) && !(c.refused && acct.header() == c.last.header()):
		f.header = s.acct.header() // also if it could not be stored, or hardly outlives its way here
	default:
		f.err = err
	}
	close(f.done)
	s.mu.Unlock()
	if event != nil {
		s.a.report(*event)
	}
	if gone {
		s.a.report(Event{Key: s.key, Kind: SignedOutEvent, Issuer: c.last.Issuer})
		s.a.changed(s.key)
	}
}

// take changes the state to what a flight found, and returns what there is to tell of
// it, nil for nothing. mu is held.
func (s *live) take(now time.Time, c cause, acct *Account, err error) *Event {
	if err == nil && c.refused && acct != nil && acct.header() == c.last.header() {
		n := &NeedsAuth{Key: s.key, Issuer: acct.Issuer, Why: Rejected} // the same token again
		if c.scopes != nil {
			n.Why, n.Scopes = MoreScope, c.scopes
		}
		err = n
	}
	if acct != nil || err == nil {
		s.acct = acct
	}
	event := Event{Key: s.key, Err: err}
	if s.acct != nil {
		event.Issuer = s.acct.Issuer
	}
	var needs *NeedsAuth
	switch {
	case err == nil:
		if acct != nil && c.refused {
			s.fresh = now
		}
		if c.scopes != nil {
			s.wider = nil
		}
		s.needs, s.ended, s.err, s.told = nil, nil, nil, ""
		return nil
	case errors.As(err, &needs):
		s.err = nil
		needs = s.need(now, c, needs)
		event.Kind, event.Err = Needed, needs
		if s.told != needs.Why {
			s.told = needs.Why
			return &event
		}
	default:
		first := s.err == nil
		s.err, s.failed = err, now
		if event.Kind = Failed; first {
			return &event
		}
	}
	return nil
}

// need keeps what a flight found that a person has to do, and returns it. mu is held.
func (s *live) need(now time.Time, c cause, n *NeedsAuth) *NeedsAuth {
	switch {
	case n.Why == MoreScope:
		s.wider, s.stepped = n, now
	case !c.refused && s.acct.valid(now):
		s.ended = n // the issuer ended the sign-in, the server has not noticed yet
	default:
		if n.Why == Expired && s.ended != nil {
			n = s.ended
		}
		s.needs, s.held = n, now.Add(hold)
	}
	return n
}
