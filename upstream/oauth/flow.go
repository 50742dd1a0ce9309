package oauth

import (
	"context"
	"errors"
	"net/http"
	"net/url"
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
	// Challenge is the header of the answer 401 or 403 that asked for the sign-in, nil
	// if there is none: see Discover.
	Challenge http.Header
	// More are scopes to ask for besides, those that a refusal wanted for example.
	More []string
	// Store has the account of before, and registrations.
	Store Store
}

// Attempt is a sign-in that has begun: a person goes to URL, and what comes back to
// the redirect URI is given to Finish, once. It is in memory only, and immutable.
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
}

// Begin discovers, registers if needed and makes the address that a person goes to
// (RFC 6749 section 4.1 with PKCE S256, RFC 8707, RFC 9207). It blocks for a few
// requests.
func Begin(_ context.Context, _ *Target, _ BeginOptions) (*Attempt, error) {
	return nil, errors.ErrUnsupported
}

// Finish takes the query with which the person came back, checks that it belongs to
// this attempt and its issuer, and fetches the tokens. The account is not stored.
// A refusal of the authorization server is a *Refusal. It blocks for one request.
func (a *Attempt) Finish(_ context.Context, _ url.Values) (*Account, error) {
	return nil, errors.ErrUnsupported
}

// Headless goes to URL itself and follows it until the redirect URI, whose query it
// returns: for authorization servers that ask nobody, as in tests.
func (a *Attempt) Headless(_ context.Context) (url.Values, error) {
	return nil, errors.ErrUnsupported
}
