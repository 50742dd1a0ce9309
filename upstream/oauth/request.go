package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"
)

// The grants, as they are called in requests.
const (
	grantCode     = "authorization_code"
	grantRefresh  = "refresh_token"
	grantMachine  = "client_credentials"
	grantExchange = "urn:ietf:params:oauth:grant-type:token-exchange"
)

// grant is one request to a token endpoint.
type grant struct {
	target *Target
	// client authenticates by its AuthMethod. client.Issuer is the audience of a
	// private_key_jwt.
	client   Registration
	endpoint string
	kind     string // one of the constants above
	// resource is sent always (RFC 8707), scopes unless empty.
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

// fetch makes the request, once, without following redirects. The error is a
// *Refusal if the endpoint gave one (RFC 6749 section 5.2), with a status of 4xx;
// else it is trouble with the network or the endpoint, which may pass. No error has
// a secret in it.
func (g *grant) fetch(_ context.Context) (*tokens, error) {
	return nil, errors.ErrUnsupported
}

// Refusal is an error that an authorization server gave: of a token endpoint, or in
// the query with which a person came back.
type Refusal struct {
	// Code is the field error, for example invalid_grant, invalid_client,
	// access_denied. Text is error_description. Both are cut and have no control
	// characters.
	Code, Text string
	// Status is that of the answer, 0 for a query.
	Status int
}

func (e *Refusal) Error() string {
	if e.Text == "" {
		return "the authorization server refuses: " + e.Code
	}
	return fmt.Sprintf("the authorization server refuses: %s: %s", e.Code, e.Text)
}
