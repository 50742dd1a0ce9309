package oauth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/oauth2"
)

// LoopbackRedirect is the redirect URI of a person who signs in at the machine of the
// gateway (RFC 8252 section 7.3), unless its port is taken.
const LoopbackRedirect = "http://127.0.0.1:7780/callback"

// BeginOptions is what a sign-in of a person is about.
type BeginOptions struct {
	// Principal is whose account it will be: see Key.
	Principal string
	// RedirectURI is where the person's browser comes back to.
	RedirectURI string
	// Document is the https address of a Client ID Metadata Document of our own that
	// lists RedirectURI, "" for none. Config.ClientMetadata goes before it.
	Document string
	// Offered is the address of another one, of a gateway that may be out of reach or of
	// another version: it is taken if it is found to list RedirectURI. "" for none.
	Offered string
	// Challenge is the header of the answer 401 or 403 that asked for the sign-in, nil
	// if there is none: see Discover.
	Challenge http.Header
	// More are scopes to ask for besides, those that a refusal wanted for example.
	More []string
	// Store has the account of before, and registrations.
	Store Store
}

// Attempt is a sign-in that has begun: a person goes to URL, and what comes back to
// the redirect URI is given to Finish, once. It is in memory only, and its secrets are
// in no field of it, so that nothing prints them.
type Attempt struct {
	Key
	// URL is where the person goes: https, or http to loopback.
	URL string
	// State comes back with the person (RFC 6749 section 10.12). Who knows it can end
	// the attempt, but not get a token with it.
	State string
	// Issuer and Resource are where the sign-in is, and for which server.
	Issuer, Resource string
	// Scopes are asked for, nil for the authorization server's choice.
	Scopes []string

	// issued says that the issuer names itself in what it sends back (RFC 9207).
	issued bool
	// exchange fetches the tokens of a code, walk goes to URL.
	exchange func(ctx context.Context, code string) (*Account, error)
	walk     func(context.Context) (url.Values, error)
	used     atomic.Bool
}

// Begin discovers, registers if needed and makes the address that a person goes to
// (RFC 6749 section 4.1 with PKCE S256, RFC 8707, RFC 9207). It blocks for a few
// requests.
func Begin(ctx context.Context, t *Target, o BeginOptions) (*Attempt, error) {
	if f := t.Config.flow(); f != AuthorizationCode {
		return nil, fmt.Errorf("nobody signs in to this upstream: auth.flow is %s", f)
	}
	if u, err := url.Parse(o.RedirectURI); err != nil || u.Fragment != "" || u.Scheme != "https" && (u.Scheme != "http" || !loopbackHost(u.Hostname())) {
		return nil, fmt.Errorf("%q is no redirect URI: https, or http to loopback", clean(o.RedirectURI))
	}
	d, err := Discover(ctx, t, o.Challenge)
	if err != nil {
		return nil, err
	}
	switch s := &d.Server; {
	case s.AuthorizationEndpoint == "":
		return nil, fmt.Errorf("%s has no authorization endpoint: it signs in no persons", s.Issuer)
	case !slices.Contains(s.CodeChallengeMethodsSupported, "S256"):
		return nil, fmt.Errorf("%s does not say that it supports PKCE with S256 (code_challenge_methods_supported), without which there is no safe sign-in (MCP specification, authorization code protection)", s.Issuer)
	}
	key := Key{Upstream: t.Upstream, Principal: o.Principal}
	before, err := o.Store.Account(ctx, key)
	if err != nil && !errors.Is(err, ErrNoAccount) {
		return nil, err
	}
	if before != nil && !sameIssuer(before.Issuer, d.Server.Issuer) {
		if t.Config.ClientSecret != "" && t.Config.Issuer == "" {
			return nil, fmt.Errorf("%s relies on another authorization server now, %s instead of %s, which auth.client_secret is for: see that it is meant, then set auth.issuer", redacted(t.URL), d.Server.Issuer, before.Issuer)
		}
		before = nil // what was granted there means nothing here
	}
	var granted []string
	if before != nil {
		granted = before.Scopes
	}
	scopes := wanted(&t.Config, d, granted, o.More)
	r, err := t.register(ctx, d, &o, scopes)
	if err != nil {
		return nil, err
	}
	return t.attempt(d, &o, r, scopes)
}

// attempt makes the authorization request.
func (t *Target) attempt(d *Discovery, o *BeginOptions, r *Registration, scopes []string) (*Attempt, error) {
	u, err := t.address(d.Server.AuthorizationEndpoint)
	if err != nil {
		return nil, err
	}
	verifier := oauth2.GenerateVerifier()
	a := &Attempt{
		Key:   Key{Upstream: t.Upstream, Principal: o.Principal},
		State: rand.Text(), Issuer: d.Server.Issuer, Resource: d.Resource, Scopes: scopes,
		issued: d.Server.AuthorizationResponseIssParameterSupported,
	}
	q := u.Query() // RFC 6749 section 3.1: the endpoint's own stays, but not in place of ours
	for k, v := range map[string]string{
		"response_type": "code", "client_id": r.ClientID, "redirect_uri": o.RedirectURI, "state": a.State, "resource": d.Resource,
		"code_challenge": oauth2.S256ChallengeFromVerifier(verifier), "code_challenge_method": "S256",
	} {
		q.Set(k, v)
	}
	q.Del("scope")
	if len(scopes) > 0 {
		q.Set("scope", strings.Join(scopes, " "))
	}
	if slices.Contains(scopes, offline) {
		q.Set("prompt", "consent") // OpenID Connect Core section 11: it is ignored without
	}
	u.RawQuery = q.Encode()
	a.URL = u.String()
	a.walk = func(ctx context.Context) (url.Values, error) { return t.walk(ctx, a.URL, o.RedirectURI) }
	a.exchange = func(ctx context.Context, code string) (*Account, error) {
		g := &grant{
			target: t, client: *r, endpoint: d.Server.TokenEndpoint, kind: grantCode, resource: d.Resource,
			params: url.Values{"code": {code}, "redirect_uri": {o.RedirectURI}, "code_verifier": {verifier}},
		}
		return a.account(ctx, g, d.Server.RevocationEndpoint, o.Store)
	}
	return a, nil
}
