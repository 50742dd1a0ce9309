package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync"
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
		for p := range s.of {
			if len(s.of) < maxSubjects {
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
}

// made says whether a came by an exchange: these have no refresh token, and are the
// only ones that are not stored.
func (x *exchange) made(a *Account) bool { return a != nil && a.Client.How == exchanged }

// exchanged marks accounts that came by an exchange. They are never stored.
const exchanged Registering = "exchange"

// possible says whether there is something to exchange, and somebody to ask.
func (x *exchange) possible() bool {
	c := x.t.Config
	return c.Exchange && c.Issuer != "" && c.ClientID != "" && x.key.Principal != "" &&
		x.a.subjects.get(x.key.Principal).valid(time.Now())
}

// next returns an account that was exchanged, nil and no error if that is not
// possible or the issuer does not want to: then a person is asked.
func (x *exchange) next(ctx context.Context, c cause) (*Account, error) {
	if !x.possible() || c.again {
		return nil, nil
	}
	if x.found == nil || c.refused {
		d, err := Discover(ctx, x.t, c.challenge)
		if err != nil {
			return nil, err
		}
		x.found = d
	}
	d := x.found
	if !oneIssuer(d.Server.Issuer, x.t.Config.Issuer) || !slices.Contains(d.Server.GrantTypesSupported, grantExchange) {
		x.found = nil
		return nil, nil
	}
	g := grant{
		target: x.t, client: x.t.byHand(d), endpoint: d.Server.TokenEndpoint, kind: grantExchange,
		resource: d.Resource, scopes: x.t.scopes(d, c),
		params: url.Values{
			"subject_token":        {string(x.a.subjects.get(x.key.Principal).token)},
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
		x.a.report(Event{Key: x.key, Kind: Failed, Issuer: d.Server.Issuer, Err: err})
		return nil, nil
	}
	return nil, err
}
