package oauth

import (
	"context"
	"errors"
	"strings"
	"time"
)

// Key names an account. An upstream has one for each principal; an issuer that
// changed replaces it (Account.Issuer says which one it is of).
type Key struct {
	Upstream string
	// Principal is the Key of a policy.Principal, "" for the gateway's own account.
	Principal string
}

// Subject is how the principal is called, whatever its issuer is; "" for the gateway
// itself.
func (k Key) Subject() string {
	if _, s, ok := strings.Cut(k.Principal, "\x00"); ok {
		return s
	}
	return k.Principal
}

// Account is one sign-in, with its secrets. It is immutable: what changes is put
// anew.
type Account struct {
	Key
	// Issuer is the authorization server's identifier, Resource the MCP server's
	// (RFC 8707), which the tokens are for.
	Issuer, Resource string
	// Scopes were granted.
	Scopes []string
	Client Registration
	// The endpoints of Issuer. RevocationEndpoint is "" if it has none.
	TokenEndpoint, RevocationEndpoint string

	AccessToken, RefreshToken Secret
	// Expires is when AccessToken does, zero if the issuer did not say.
	Expires, Obtained time.Time
}

// Registration is a client as an authorization server knows it.
type Registration struct {
	Issuer string
	// RedirectURI is the one that it was registered with.
	RedirectURI  string
	ClientID     string
	ClientSecret Secret
	// AuthMethod is client_secret_basic, client_secret_post, private_key_jwt or none.
	AuthMethod string
	// Expires is when ClientSecret does, zero for never.
	Expires time.Time
	How     Registering
	// Scope is what a Dynamic one was registered for, as it is written in requests; some
	// servers hold it to that. "" is no limit.
	Scope string
}

// Registering is how a client came to be known.
type Registering string

// The ways, in the order in which they are tried.
const (
	Preregistered Registering = "pre-registered"
	ByDocument    Registering = "client_id_metadata_document"
	Dynamic       Registering = "dynamic" // RFC 7591
)

// ErrNoAccount says that nobody signed in there.
var ErrNoAccount = errors.New("not signed in")

// ErrLost says that what a Store has of an account cannot be read any more, however
// often it is tried: who signs in anew replaces it.
var ErrLost = errors.New("what was kept of it is lost")

// ErrUnknown says that a Store cannot tell which accounts there are: not that there is
// none, nor that there was one.
var ErrUnknown = errors.New("which sign-ins there are cannot be read")

// Store keeps accounts and dynamic registrations between runs. It is safe for
// concurrent use, also by several processes. All methods may block on the system's
// keyring, for some seconds at most.
type Store interface {
	// Account returns ErrNoAccount for one that is not there, and wraps ErrLost for one
	// that cannot be read any more, ErrUnknown if that is all that can be said.
	Account(ctx context.Context, k Key) (*Account, error)
	Put(ctx context.Context, a *Account) error
	// Delete deletes an account; one that is not there is no error.
	Delete(ctx context.Context, k Key) error
	// Accounts lists them without secrets, in order of upstream and principal.
	Accounts(ctx context.Context) ([]Account, error)
	// Registration returns the dynamic registration at an issuer with a redirect URI,
	// nil for none.
	Registration(ctx context.Context, upstream, issuer, redirectURI string) (*Registration, error)
	PutRegistration(ctx context.Context, upstream string, r *Registration) error
	// DeleteRegistration forgets one that the issuer does not know any more.
	DeleteRegistration(ctx context.Context, upstream, issuer, redirectURI string) error
	// Lock blocks until no other process renews the account, or ctx is done.
	Lock(ctx context.Context, k Key) (unlock func(), err error)
}
