package oauth

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"sync"
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
type Accounts struct {
	o        Options
	subjects subjects

	mu      sync.Mutex // guards what follows
	sources map[Key]held
	closed  bool
	flights sync.WaitGroup  // Add is called with mu held
	ctx     context.Context //nolint:containedctx // the life of all flights: that of no request
	cancel  context.CancelFunc
}

// held is a source and what it was made for.
type held struct {
	t      *Target
	source lasting
}

// lasting is what sources have besides: what people do, and what they are told.
type lasting interface {
	Source
	// set makes acct the account in use, nil for none; not loaded, it is looked for.
	set(acct *Account, loaded loading)
	state() State
	// current is the account in use, nil for none.
	current() *Account
	asked() (challenge http.Header, more []string)
	// inherit takes over what the source before it of the same key was asked.
	inherit(from lasting)
}

// New returns accounts that are kept in o.Store. It does not block.
func New(o Options) *Accounts {
	a := &Accounts{o: o, sources: map[Key]held{}, subjects: subjects{of: map[string]subject{}}}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	return a
}

// Source gives the requests to t their header Authorization; nil if t's flow is none.
// For the same upstream, principal, client and configuration it is the same source. The
// principal is "" for the gateway itself, and has no meaning where the sign-in is the
// gateway's for all. It does not block.
func (a *Accounts) Source(t *Target, principal string) Source {
	if t.Config.Flow == NoFlow {
		return nil
	}
	k := t.key(principal)
	for {
		a.mu.Lock()
		old := a.sources[k]
		a.mu.Unlock()
		if old.serves(t) {
			return old.source
		}
		made := held{t, a.source(t, k)}
		if old.t != nil && old.t.URL == t.URL {
			made.source.inherit(old.source) // without mu, which sources take while they have their own
		}
		if a.replace(k, old, made) {
			return made.source
		}
	}
}

// serves says whether a source is as it would be made for t.
func (h held) serves(t *Target) bool {
	return h.t != nil && h.t.URL == t.URL && h.t.Client == t.Client && reflect.DeepEqual(h.t.Config, t.Config)
}

// replace puts a source in the place of another one, unless somebody else has.
func (a *Accounts) replace(k Key, old, made held) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.sources[k] != old {
		return false
	}
	a.bound()
	a.sources[k] = made
	return true
}

// maxSources bounds the sources that are at hand. Links keep what they have.
const maxSources = 10_000

// bound drops half of the sources of principals when there are too many, those without a
// token first. One that a link still has reads the store as another process would: two
// for one account renew it once. mu is held.
func (a *Accounts) bound() {
	if len(a.sources) < maxSources {
		return
	}
	for _, all := range []bool{false, true} {
		for k, h := range a.sources {
			if s, ok := h.source.(*live); k.Principal != "" && len(a.sources) > maxSources/2 && (all || ok && s.now.Load() == nil) {
				delete(a.sources, k)
			}
		}
	}
}

// Used reports whether Source was asked for an account. Of principals the last 5,000 are
// known at least.
func (a *Accounts) Used(k Key) bool {
	s, _ := a.find(k)
	return s != nil
}

// UsedAt are the accounts of an upstream that are Used, in no order.
func (a *Accounts) UsedAt(upstream string) (keys []Key) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for k := range a.sources {
		if k.Upstream == upstream {
			keys = append(keys, k)
		}
	}
	return keys
}

// Retain has the sources forgotten of all upstreams but those for which there is true.
// Links keep what they have.
func (a *Accounts) Retain(there func(upstream string) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	maps.DeleteFunc(a.sources, func(k Key, _ held) bool { return !there(k.Upstream) })
}

// source makes one.
func (a *Accounts) source(t *Target, k Key) lasting {
	s := &live{a: a, t: t, key: k}
	switch t.Config.Flow {
	case Bearer:
		return &bearer{a: a, key: k, header: "Bearer " + string(t.Config.Token)}
	case ClientCredentials:
		s.from = &machine{a: a, t: t, key: k}
	default:
		s.from = &stored{a: a, t: t, key: k, exchange: exchange{a: a, t: t, key: k}}
	}
	return s
}

// key is that of the account which a principal's requests use.
func (t *Target) key(principal string) Key {
	if t.Config.Per != PerPrincipal || t.Config.Flow == ClientCredentials || t.Config.Flow == Bearer {
		principal = ""
	}
	return Key{t.Upstream, principal}
}

// find returns the source of a key, nil for none, and what it was made for.
func (a *Accounts) find(k Key) (lasting, *Target) {
	a.mu.Lock()
	defer a.mu.Unlock()
	h := a.sources[k]
	return h.source, h.t
}

// SignedIn stores what a person has signed in to, and wakes who waits for it. It
// blocks while the account is renewed, which it then replaces.
func (a *Accounts) SignedIn(ctx context.Context, acct *Account) error {
	unlock, err := a.o.Store.Lock(ctx, acct.Key)
	if err != nil {
		return fmt.Errorf("waiting for a renewal of the sign-in: %w", err)
	}
	err = a.o.Store.Put(ctx, acct)
	unlock()
	if err != nil {
		return fmt.Errorf("storing the sign-in: %w", err)
	}
	switch s, t := a.find(acct.Key); {
	case s == nil:
	case covers(acct.Resource, t.URL):
		s.set(acct, isLoaded)
	default:
		s.set(nil, isLoaded)
	}
	a.report(Event{Key: acct.Key, Kind: SignedInEvent, Issuer: acct.Issuer})
	a.changed(acct.Key)
	return nil
}

// Look reads an account again, after another process said that it may have changed, and
// tells Changed if it has; of the gateway's own account always, which may have been
// found already. It blocks for the store, and asks no issuer for what a person signs in
// to.
func (a *Accounts) Look(ctx context.Context, k Key) {
	s, t := a.find(k)
	if s == nil {
		a.changed(k)
		return
	}
	acct, err := a.o.Store.Account(ctx, k)
	switch {
	case ctx.Err() != nil, errors.Is(err, ErrUnknown): // what is in use goes on
		return
	case errors.Is(err, ErrNoAccount), err == nil && !covers(acct.Resource, t.URL):
		acct, err = nil, nil
	}
	if err != nil || t.Config.flow() != AuthorizationCode { // a request tells what is wrong with it
		s.set(nil, notLoaded)
		_, _ = s.Authorization(ctx)
		a.changed(k)
		return
	}
	before := s.current()
	switch {
	case acct == nil && (before == nil || before.Client.How == exchanged):
	case acct.same(before):
		if k.Principal == "" {
			a.changed(k)
		}
	case acct == nil:
		s.set(nil, isLoaded)
		a.report(Event{Key: k, Kind: SignedOutEvent, Issuer: before.Issuer})
		a.changed(k)
	default:
		s.set(acct, isLoaded)
		a.report(Event{Key: k, Kind: SignedInEvent, Issuer: acct.Issuer})
		a.changed(k)
	}
}

// ErrNotRevoked says that an account is forgotten here, but that its issuer could not
// be told: its tokens stay valid until they expire.
var ErrNotRevoked = errors.New("the authorization server could not be told")

// Forget revokes the tokens of an account (RFC 7009) and deletes it: the one of that very
// principal, also where t gives principals none of their own any more. An account that
// is not there is ErrNoAccount; ErrNotRevoked is wrapped where only revoking failed.
// It blocks for two requests.
func (a *Accounts) Forget(ctx context.Context, t *Target, principal string) error {
	k := Key{t.Upstream, principal}
	unlock, err := a.o.Store.Lock(ctx, k)
	if err != nil {
		return fmt.Errorf("waiting for a renewal of the sign-in: %w", err)
	}
	acct, err := a.o.Store.Account(ctx, k)
	var failed error
	switch {
	case err == nil:
		failed = t.revoke(ctx, acct)
	case !errors.Is(err, ErrNoAccount): // what cannot be read can still be forgotten
		failed, acct, err = err, &Account{Key: k}, nil
	}
	if err == nil {
		err = a.o.Store.Delete(ctx, k)
	}
	unlock()
	if err != nil && !errors.Is(err, ErrNoAccount) {
		return fmt.Errorf("deleting the sign-in: %w", err)
	}
	if s, _ := a.find(k); s != nil {
		s.set(nil, isLoaded)
	}
	if err != nil {
		return err
	}
	a.report(Event{Key: k, Kind: SignedOutEvent, Issuer: acct.Issuer})
	a.changed(k)
	if failed != nil {
		return fmt.Errorf("%w: %w", ErrNotRevoked, failed)
	}
	return nil
}

// Wanted returns what the last refusal asked for: the header of its answer and the
// scopes that a sign-in should have, as Begin takes them. Both are nil after a
// sign-in, and if nothing was refused.
func (a *Accounts) Wanted(k Key) (challenge http.Header, more []string) {
	if s, _ := a.find(k); s != nil {
		return s.asked()
	}
	return nil, nil
}

// State is what is known of an account. It does not block.
func (a *Accounts) State(k Key) State {
	if s, _ := a.find(k); s != nil {
		return s.state()
	}
	return State{}
}

// Present gives the token with which a principal came to the gateway, to be exchanged
// for tokens of upstreams (Config.Exchange) until it expires. It is kept in memory.
func (a *Accounts) Present(principal, token string, expires time.Time) {
	a.subjects.put(principal, subject{Secret(token), expires})
}

// Close waits for renewals, so that no rotated token is lost, until ctx is done; then
// it cancels them. No source renews any more.
func (a *Accounts) Close(ctx context.Context) error {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	stop := context.AfterFunc(ctx, a.cancel)
	defer a.cancel()
	a.flights.Wait()
	if !stop() {
		return ctx.Err()
	}
	return nil
}

// longest bounds a flight: a lock, some discovery and two token requests.
const longest = 2 * time.Minute

// run runs f as a flight, and returns false after Close.
func (a *Accounts) run(f func(context.Context)) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return false
	}
	a.flights.Go(func() {
		ctx, cancel := context.WithTimeout(a.ctx, longest)
		defer cancel()
		f(ctx)
	})
	return true
}

func (a *Accounts) report(e Event) {
	if a.o.Report != nil {
		a.o.Report(e)
	}
}

func (a *Accounts) changed(k Key) {
	if a.o.Changed != nil {
		a.o.Changed(k)
	}
}
