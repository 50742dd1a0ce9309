package oauth

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// The grants, as they are called in requests.
const (
	grantCode     = "authorization_code"
	grantRefresh  = "refresh_token"
	grantMachine  = "client_credentials"
	grantExchange = "urn:ietf:params:oauth:grant-type:token-exchange"
)

// The ways of client authentication that are known here (RFC 7591 section 2, OpenID
// Connect Core section 9).
const (
	methodNone  = "none"
	methodBasic = "client_secret_basic"
	methodPost  = "client_secret_post"
	methodKey   = "private_key_jwt"
)

const (
	patience = 30 * time.Second // for one request, with its answer
	maxToken = 32 << 10         // bytes; what is longer fits no header
)

// grant is one request to a token endpoint.
type grant struct {
	target *Target
	// client authenticates by its AuthMethod. client.Issuer is the audience of a
	// private_key_jwt.
	client   Registration
	endpoint string
	kind     string // one of the constants above
	// resource (RFC 8707) and scopes are sent unless empty.
	resource string
	scopes   []string
	// params are those of the kind: code, redirect_uri and code_verifier;
	// refresh_token; subject_token and so on.
	params url.Values
}

// tokens is what an endpoint answered.
type tokens struct {
	access Secret
	// refresh is "" if none came: the one of before stays valid then.
	refresh Secret
	// scopes were granted, nil if the endpoint did not say: those that were asked for.
	scopes []string
	// expires is zero if the endpoint did not say.
	expires time.Time
}

// fetch makes the request, once, without following redirects, within 30 seconds. The
// error is a *Refusal if the endpoint gave one (RFC 6749 section 5.2) and means it;
// else it is trouble with the network or the endpoint, which may pass. No error has a
// secret in it.
func (g *grant) fetch(ctx context.Context) (*tokens, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c, err := g.request()
	if err != nil {
		return nil, err
	}
	t, err := c.Token(context.WithValue(ctx, oauth2.HTTPClient, g.target.still()))
	if err != nil {
		return nil, g.failure(ctx, err)
	}
	return g.read(t)
}

// request is the request as the library makes one: grant_type is a parameter too.
func (g *grant) request() (*clientcredentials.Config, error) {
	c := &clientcredentials.Config{
		ClientID: g.client.ClientID, TokenURL: g.endpoint, Scopes: g.scopes,
		AuthStyle: oauth2.AuthStyleInParams, EndpointParams: url.Values{"grant_type": {g.kind}},
	}
	maps.Copy(c.EndpointParams, g.params)
	if g.resource != "" {
		c.EndpointParams.Set("resource", g.resource)
	}
	switch g.client.AuthMethod {
	case methodNone:
	case methodBasic:
		c.AuthStyle = oauth2.AuthStyleInHeader
		c.ClientSecret = string(g.client.ClientSecret)
	case methodPost:
		c.ClientSecret = string(g.client.ClientSecret)
	case methodKey:
		proof, err := assertion(g.target.Config.PrivateKey, g.client.ClientID, g.client.Issuer)
		if err != nil {
			return nil, err
		}
		c.EndpointParams.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		c.EndpointParams.Set("client_assertion", string(proof))
	default:
		return nil, fmt.Errorf("%s: client authentication by %q is not known here", g.endpoint, clean(g.client.AuthMethod))
	}
	return c, nil
}

// still is the client without its redirects: a code, a token or a secret goes to the
// address that it is for, and nowhere else.
func (t *Target) still() *http.Client {
	c := *t.Client
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}

// failure is what went wrong, without the library's text, which quotes answers.
func (g *grant) failure(ctx context.Context, err error) error {
	var refused *oauth2.RetrieveError
	var network *url.Error
	switch {
	case errors.As(err, &refused):
		status := refused.Response.StatusCode
		if meant(refused.ErrorCode, status) {
			return &Refusal{Code: clean(g.hide(refused.ErrorCode)), Text: clean(g.hide(refused.ErrorDescription)), Status: status}
		}
		if status/100 == 3 {
			return fmt.Errorf("%s answered %d: token requests follow no redirect", g.endpoint, status)
		}
		return fmt.Errorf("%s answered %d", g.endpoint, status)
	case ctx.Err() != nil:
		return fmt.Errorf("%s: no answer: %w", g.endpoint, ctx.Err())
	case errors.As(err, &network):
		return fmt.Errorf("%s: %w", g.endpoint, network.Err)
	default:
		return fmt.Errorf("%s: the answer is no token response (RFC 6749 section 5.1)", g.endpoint)
	}
}

// meant tells whether an error is a decision, and not a bad moment.
func meant(code string, status int) bool {
	return code != "" && code != "server_error" && code != "temporarily_unavailable" &&
		status < http.StatusInternalServerError && status != http.StatusTooManyRequests
}

// hide takes out of a text what was sent: some servers quote it in their errors.
func (g *grant) hide(s string) string {
	secrets := []string{string(g.client.ClientSecret)}
	for _, k := range []string{"code", "code_verifier", "refresh_token", "subject_token", "actor_token", "assertion"} {
		secrets = append(secrets, g.params.Get(k))
	}
	return hide(s, secrets...)
}

// read checks the answer and takes from it what is kept.
func (g *grant) read(t *oauth2.Token) (*tokens, error) {
	if t.TokenType != "" && !strings.EqualFold(t.TokenType, "bearer") {
		return nil, fmt.Errorf("%s gave a token of the type %q: only Bearer is known here", g.endpoint, clean(t.TokenType))
	}
	if t.AccessToken == "" || !sendable(t.AccessToken) || !sendable(t.RefreshToken) {
		return nil, fmt.Errorf("%s gave a token that fits no header (RFC 6750 section 2.1)", g.endpoint)
	}
	return &tokens{
		access: Secret(t.AccessToken), refresh: Secret(t.RefreshToken),
		scopes: scopesOf(t.Extra("scope")), expires: t.Expiry,
	}, nil
}

// sendable tells whether a token is one: visible ASCII (RFC 6749 appendix A.12).
func sendable(token string) bool {
	return len(token) <= maxToken && !strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' })
}
