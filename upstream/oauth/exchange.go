package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const accessTokenType = "urn:ietf:params:oauth:token-type:access_token"

// subjects are the tokens with which principals came to the gateway. They are in
// memory only.
type subjects struct {
	mu sync.Mutex // guards of
	of map[string]subject
}

// subject is a principal's own token.
type subject struct {
	token   Secret
	expires time.Time // zero if that is not known
}

// maxSubjects bounds how many tokens are kept. Those of principals who come back are
// given anew.
const maxSubjects = 10_000

func (s *subjects) put(principal string, sub subject) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.of[principal]; !known && len(s.of) >= maxSubjects {
		now := time.Now()
		for p, old := range s.of {
			if !old.valid(now) {
				delete(s.of, p)
			}
		}
		for p := range s.of { // half of them at a time: not all are looked at for each that comes
			if len(s.of) <= maxSubjects/2 {
				break
			}
			delete(s.of, p)
		}
	}
	s.of[principal] = sub
}

func (s *subjects) get(principal string) subject {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.of[principal]
}

func (s subject) valid(now time.Time) bool {
	return s.token != "" && (s.expires.IsZero() || now.Before(s.expires))
}

// exchange gets tokens in exchange for the principal's own (RFC 8693), from the issuer
// that is configured: a server must not be able to name one and so get that token.
type exchange struct {
	a   *Accounts
	t   *Target
	key Key
	// found is where tokens come from, nil if that has to be discovered (again).
	found *Discovery
	// no is the last token that the issuer did not want to exchange.
	no atomic.Pointer[declined]
}

// declined is a principal's token, and until when it is not offered again.
type declined struct {
	token Secret
	until time.Time
}

// made says whether a came by an exchange: these have no refresh token, and are the
// only ones that are not stored.
func (x *exchange) made(a *Account) bool { return a != nil && a.Client.How == exchanged }

// exchanged marks accounts that came by an exchange. They are never stored.
const exchanged Registering = "exchange"

// possible says whether there is something to exchange, and somebody to ask.
func (x *exchange) possible() bool {
	c := x.t.Config
	if !c.Exchange || c.Issuer == "" || c.ClientID == "" || x.key.Principal == "" {
		return false
	}
	now := time.Now()
	s, no := x.a.subjects.get(x.key.Principal), x.no.Load()
	return s.valid(now) && (no == nil || no.token != s.token || !now.Before(no.until))
}

// next returns an account that was exchanged, nil and no error if that is not
// possible or the issuer does not want to: then a person is asked.
func (x *exchange) next(ctx context.Context, c cause) (*Account, error) {
	if !x.possible() || c.again {
		return nil, nil
	}
	if x.found == nil || c.challenge != nil {
		d, err := Discover(ctx, x.t, c.challenge)
		if err != nil {
			return nil, err
		}
		x.found = d
	}
	d, subject := x.found, x.a.subjects.get(x.key.Principal).token
	if !sameIssuer(d.Server.Issuer, x.t.Config.Issuer) || !slices.Contains(d.Server.GrantTypesSupported, grantExchange) {
		x.found = nil
		x.no.Store(&declined{subject, time.Now().Add(freshness)})
		return nil, nil
	}
	g := grant{
		target: x.t, client: *x.t.preregistered(d, ""), endpoint: d.Server.TokenEndpoint, kind: grantExchange,
		resource: d.Resource, scopes: x.t.scopes(d, c),
		params: url.Values{
			"subject_token":        {string(subject)},
			"subject_token_type":   {accessTokenType},
			"requested_token_type": {accessTokenType},
		},
	}
	a, err := g.account(ctx, x.key, d)
	if err == nil {
		a.Client.How = exchanged
		if c.last != nil {
			x.a.report(Event{Key: x.key, Kind: Renewed, Issuer: a.Issuer})
		}
		return a, wider(a, c)
	}
	x.found = nil
	err = fmt.Errorf("exchanging the principal's token: %w", err)
	if _, refused := errors.AsType[*Refusal](err); refused {
		x.no.Store(&declined{subject, time.Now().Add(freshness)})
		x.a.report(Event{Key: x.key, Kind: Failed, Issuer: d.Server.Issuer, Err: err})
		return nil, nil
	}
	return nil, err
}
