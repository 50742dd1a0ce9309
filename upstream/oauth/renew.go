package oauth

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"
)

// stored is the origin of accounts that a person signed in to. They are renewed with
// their refresh tokens, of which an issuer may take each once (RFC 9700 section
// 4.14.2): so nobody else renews an account meanwhile, in this process or another, and
// what came is stored before it is used.
type stored struct {
	a   *Accounts
	t   *Target
	key Key
	// unsaved came from the issuer in place of what the store has, whose refresh token is
	// replaced, and could not be stored yet.
	unsaved  *Account
	replaced Secret
	exchange exchange
}

func (o *stored) renewable(a *Account) bool {
	return a != nil && a.RefreshToken != "" || (a == nil || o.exchange.made(a)) && o.exchange.possible()
}

func (o *stored) widens(a *Account) bool { return o.exchange.made(a) && o.exchange.possible() }

// next implements origin: the account of the store, if another process has signed in
// or renewed it, else a renewed one.
func (o *stored) next(ctx context.Context, c cause) (*Account, error) {
	if o.unsaved == nil {
		a, err := o.read(ctx)
		if err != nil || o.good(a, c) {
			return a, err
		}
		if a == nil {
			return o.nobody(ctx, c)
		}
	}
	unlock, err := o.a.o.Store.Lock(ctx, o.key)
	if err != nil {
		return nil, fmt.Errorf("locking the sign-in, which another process may be renewing: %w", err)
	}
	defer unlock()
	a, err := o.read(ctx)
	if err != nil {
		return nil, err
	}
	if n := o.unsaved; n != nil && a != nil && a.RefreshToken == o.replaced {
		if err := o.put(ctx, n); err != nil && o.good(n, c) {
			return meanwhile(c, n), err
		}
		a = n // or it is renewed, though it could not be stored for as long as it was good
	} else {
		o.unsaved = nil // somebody signed in or out meanwhile
	}
	switch {
	case a == nil:
		return o.nobody(ctx, c)
	case o.good(a, c):
		return a, nil
	case a.RefreshToken == "":
		return a, o.spent(ctx, c, a)
	case c.again && c.last.header() == a.header():
		return a, o.rejected(ctx, c, a)
	}
	return o.renew(ctx, c, a)
}

// read returns the account of the store, nil for none that is of this server: another
// one that took its name never gets its tokens.
func (o *stored) read(ctx context.Context) (*Account, error) {
	a, err := o.a.o.Store.Account(ctx, o.key)
	switch {
	case errors.Is(err, ErrNoAccount), (errors.Is(err, ErrLost) || errors.Is(err, ErrUnknown)) && o.exchange.possible():
		return nil, nil
	case errors.Is(err, ErrLost):
		return nil, &NeedsAuth{Key: o.key, Why: Lost}
	case err != nil:
		return nil, fmt.Errorf("reading the sign-in: %w", err)
	case !covers(a.Resource, o.t.URL):
		return nil, nil
	}
	return a, nil
}

// good says whether a is an answer to c as it is.
func (o *stored) good(a *Account, c cause) bool {
	now := time.Now()
	switch {
	case !a.valid(now) || o.elsewhere(a):
		return false
	case c.refused:
		return a.header() != c.last.header()
	}
	return c.last == nil || a.RefreshToken == "" || !a.due(now)
}

// elsewhere says whether a is of another issuer than the one that is configured.
func (o *stored) elsewhere(a *Account) bool {
	pin := o.t.Config.Issuer
	return pin != "" && !sameIssuer(pin, a.Issuer)
}

// nobody is next without an account of a person.
func (o *stored) nobody(ctx context.Context, c cause) (*Account, error) {
	if a, err := o.exchange.next(ctx, c); a != nil || err != nil {
		return a, err
	}
	if c.refused && c.last == nil {
		return nil, &NeedsAuth{Key: o.key, Scopes: readChallenge(c.challenge).scopes, Why: NotSignedIn}
	}
	return nil, nil
}

// spent says what is wrong with an account that cannot be renewed.
func (o *stored) spent(ctx context.Context, c cause, a *Account) error {
	if c.refused && a.valid(time.Now()) {
		return o.rejected(ctx, c, a)
	}
	return o.needs(a, Expired)
}

// rejected says why a server does not take a token that was just issued: it may rely
// on another authorization server now.
func (o *stored) rejected(ctx context.Context, c cause, a *Account) error {
	n := o.needs(a, Rejected)
	if d, err := Discover(ctx, o.t, c.challenge); err == nil && !sameIssuer(d.Server.Issuer, a.Issuer) {
		n.Issuer, n.Why = d.Server.Issuer, IssuerChanged
	}
	return n
}

func (o *stored) needs(a *Account, why Why) *NeedsAuth {
	return &NeedsAuth{Key: o.key, Issuer: a.Issuer, Scopes: a.Scopes, Why: why}
}

// renew has a's tokens replaced by its issuer. The account is locked.
func (o *stored) renew(ctx context.Context, c cause, a *Account) (*Account, error) {
	if o.elsewhere(a) {
		n := o.needs(a, IssuerChanged)
		n.Issuer = o.t.Config.Issuer
		return a, n
	}
	g := grant{
		target: o.t, client: o.t.client(a.Client), endpoint: a.TokenEndpoint, kind: grantRefresh, resource: a.Resource,
		params: url.Values{"refresh_token": {string(a.RefreshToken)}},
	}
	tok, err := g.fetch(ctx)
	if lost(err) && sleep(ctx, retry) {
		// The issuer may have replaced the refresh token, and we do not know by what.
		// Those that take one twice do so for some seconds: now or never. To those that
		// do not, the sign-in is lost already.
		tok, err = g.fetch(ctx)
	}
	if err != nil {
		return o.notRenewed(ctx, a, err)
	}
	n := *a
	n.AccessToken, n.Expires, n.Obtained = tok.access, tok.expires, time.Now().Round(0)
	if tok.refresh != "" {
		n.RefreshToken = tok.refresh
	}
	if tok.scopes != nil {
		n.Scopes = tok.scopes
	}
	if o.unsaved == nil {
		o.replaced = a.RefreshToken
	}
	o.unsaved = &n
	if err := o.put(ctx, &n); err != nil {
		return meanwhile(c, &n), err
	}
	return &n, nil
}

// storing is how long an account that was renewed may take to be stored.
const storing = 10 * time.Second

// ErrUnstored says that an account was renewed, and is in memory alone: it is lost if the
// process ends before it can be stored.
var ErrUnstored = errors.New("the renewed sign-in could not be stored")

// put stores an account that was renewed, also when the gateway does not wait for it any
// more: the issuer has ended the one before. The error wraps ErrUnstored.
func (o *stored) put(ctx context.Context, n *Account) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storing)
	defer cancel()
	if err := o.a.o.Store.Put(ctx, n); err != nil {
		return fmt.Errorf("%w: %w", ErrUnstored, err)
	}
	o.unsaved = nil
	o.a.report(Event{Key: o.key, Kind: Renewed, Issuer: n.Issuer})
	return nil
}

// meanwhile is what to go on with while n cannot be stored: the account before it while that
// is valid, which is nil for no other one. After that it is n, since the issuer may have
// ended the one before: what would be lost at the end of the process is better than what
// would be lost now.
func meanwhile(c cause, n *Account) *Account {
	if !c.refused && c.last.valid(time.Now()) {
		return nil
	}
	return n
}

// notRenewed is what a renewal that failed means for the account.
func (o *stored) notRenewed(ctx context.Context, a *Account, err error) (*Account, error) {
	var refusal *Refusal
	if !errors.As(err, &refusal) {
		return a, fmt.Errorf("renewing the sign-in: %w", err)
	}
	switch refusal.Code {
	case "invalid_grant":
		n := *a
		n.RefreshToken = ""
		// If it is not stored, another process is told the same.
		_ = o.a.o.Store.Put(ctx, &n)
		return &n, o.needs(a, Revoked)
	case "invalid_client", "unauthorized_client":
		if r := a.Client; r.How == Dynamic {
			_ = o.a.o.Store.DeleteRegistration(ctx, o.key.Upstream, r.Issuer, r.RedirectURI)
		}
		return a, o.needs(a, BadClient)
	case "slow_down":
		return a, fmt.Errorf("renewing the sign-in: %w", err)
	}
	// Some issuers have words of their own for a refresh token that has ended.
	return a, o.needs(a, Revoked)
}

// client is a registration, with the secret that is configured now.
func (t *Target) client(r Registration) Registration {
	if c := t.Config; r.How == Preregistered && c.ClientID == r.ClientID && c.ClientSecret != "" {
		r.ClientSecret = c.ClientSecret
	}
	return r
}

// lost says whether a request may have been carried out, with an answer that did not
// arrive.
func lost(err error) bool {
	var refusal *Refusal
	var op *net.OpError
	return err != nil && !errors.As(err, &refusal) && !(errors.As(err, &op) && op.Op == "dial")
}

// sleep returns false if ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
