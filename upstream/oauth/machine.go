package oauth

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// machine is the origin of a service account's tokens (client credentials, RFC 6749
// section 4.4). They are in memory only.
type machine struct {
	a   *Accounts
	t   *Target
	key Key
	// found is where tokens come from, nil if that has to be discovered (again).
	found *Discovery
}

func (*machine) renewable(*Account) bool { return true }
func (*machine) widens(*Account) bool    { return true }

// next implements origin.
func (o *machine) next(ctx context.Context, c cause) (*Account, error) {
	if c.again {
		return nil, &NeedsAuth{Key: o.key, Issuer: c.last.issuer(), Why: Rejected}
	}
	if o.found == nil || c.challenge != nil {
		d, err := Discover(ctx, o.t, c.challenge)
		if err != nil {
			return nil, err
		}
		o.found = d
	}
	d := o.found
	g := grant{
		target: o.t, client: *o.t.preregistered(d, ""), endpoint: d.Server.TokenEndpoint, kind: grantMachine,
		resource: d.Resource, scopes: o.t.scopes(d, c),
	}
	a, err := g.account(ctx, o.key, d)
	if err == nil {
		if c.last != nil {
			o.a.report(Event{Key: o.key, Kind: Renewed, Issuer: a.Issuer})
		}
		return a, wider(a, c)
	}
	o.found = nil // its endpoints may have moved
	var refusal *Refusal
	if errors.As(err, &refusal) && (refusal.Code == "invalid_client" || refusal.Code == "unauthorized_client") {
		return nil, &NeedsAuth{Key: o.key, Issuer: d.Server.Issuer, Why: BadClient}
	}
	return nil, fmt.Errorf("signing in with client credentials: %w", err)
}

// account makes the request and an account of its answer, which has no refresh token.
func (g *grant) account(ctx context.Context, k Key, d *Discovery) (*Account, error) {
	tok, err := g.fetch(ctx)
	if err != nil {
		return nil, err
	}
	a := &Account{
		Key: k, Issuer: d.Server.Issuer, Resource: d.Resource, Scopes: tok.scopes, Client: g.client,
		TokenEndpoint: g.endpoint, RevocationEndpoint: d.Server.RevocationEndpoint,
		AccessToken: tok.access, Expires: tok.expires, Obtained: time.Now().Round(0),
	}
	if a.Scopes == nil {
		a.Scopes = g.scopes
	}
	return a, nil
}

// scopes are those to ask for without a person: those that c wants, else the
// configured ones, else those that the server names, and all that were granted before.
func (t *Target) scopes(d *Discovery, c cause) []string {
	var granted []string
	if c.last != nil {
		granted = c.last.Scopes
	}
	list := t.Config.Scopes
	if len(list) == 0 {
		list = d.Scopes
	}
	return union(granted, list, c.scopes)
}

// wider is the need of a person if a does not have the scopes that c wants.
func wider(a *Account, c cause) error {
	if a.granted(c.scopes) {
		return nil
	}
	return &NeedsAuth{Key: a.Key, Issuer: a.Issuer, Scopes: c.scopes, Why: MoreScope}
}

func (a *Account) issuer() string {
	if a == nil {
		return ""
	}
	return a.Issuer
}
