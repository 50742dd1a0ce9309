package oauth

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// Options are what accounts are kept with.
type Options struct {
	Store Store
	// Changed is told that an account came, went or was replaced by a person's doing,
	// never that it was renewed; nil for nobody. It is called without locks, by any
	// goroutine, and must not block.
	Changed func(Key)
	// Report is told what happens, for logs and metrics; nil for nobody. It is called
	// as Changed is.
	Report func(Event)
}

// Accounts are the sign-ins of all upstreams and principals of a process. They are
// safe for concurrent use. Renewals are goroutines of theirs, which Close waits for.
type Accounts struct{ o Options }

// New returns accounts that are kept in o.Store. It does not block.
func New(o Options) *Accounts { return &Accounts{o: o} }

// Source gives the requests to t their header Authorization; nil if t's flow is none.
// For the same upstream, principal and configuration it is the same source. The
// principal is "" for the gateway itself; flows that need no person have one account
// for all. It does not block.
func (a *Accounts) Source(_ *Target, _ string) Source { return nil }

// SignedIn stores what a person has signed in to, and wakes who waits for it.
func (a *Accounts) SignedIn(_ context.Context, _ *Account) error { return errors.ErrUnsupported }

// Look reads an account again, after another process said that it has changed, and
// tells Changed.
func (a *Accounts) Look(_ context.Context, _ Key) {}

// ErrNotRevoked says that an account is forgotten here, but that its issuer could not
// be told: its tokens stay valid until they expire.
var ErrNotRevoked = errors.New("the authorization server could not be told")

// Forget revokes the tokens of an account (RFC 7009) and deletes it. An account that
// is not there is ErrNoAccount; ErrNotRevoked is wrapped where only revoking failed.
// It blocks for two requests.
func (a *Accounts) Forget(_ context.Context, _ *Target, _ string) error {
	return errors.ErrUnsupported
}

// Wanted returns what the last refusal asked for: the header of its answer and the
// scopes that a sign-in should have, as Begin takes them. Both are nil after a
// sign-in, and if nothing was refused.
func (a *Accounts) Wanted(_ Key) (challenge http.Header, more []string) { return nil, nil }

// State is what is known of an account. It does not block.
func (a *Accounts) State(_ Key) State { return State{} }

// Present gives the token with which a principal came to the gateway, to be exchanged
// for tokens of upstreams (Config.Exchange) until it expires. It is kept in memory.
func (a *Accounts) Present(_, _ string, _ time.Time) {}

// Close waits for renewals, so that no rotated token is lost, until ctx is done; then
// it cancels them. No source renews any more.
func (a *Accounts) Close(_ context.Context) error { return nil }
