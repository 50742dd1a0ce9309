// Package vault keeps sign-ins between runs, for all processes of one user with one
// state_dir. It is an oauth.Store.
//
// The secrets of an account are one entry: in the system's keyring, or a file that is
// encrypted (AES-256-GCM) with a key in another. An entry is written once, under a name
// of its own, and never changed. The index, a file without secrets, says which entry
// is whose; writing it anew is the moment at which a change counts, so that a process
// may end anywhere and nothing is lost but the change that it was at. What is not in
// the index then is tidied up by the next who writes.
//
// The encryption keeps the secrets from who gets to see the one file without the other,
// as with a copy that leaves the key out. It is no defence against who can read all
// that the user can; on systems with a keyring, that is.
//
// It has no goroutines but those of calls that a keyring has not answered yet.
package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/interlock-mcp/interlock/upstream/oauth"
)

// Where says what the secrets go into. "" is Auto.
type Where string

// The places. Auto is the keyring where it answers, else the files. What is kept is
// found wherever it is: the place says where it goes from now on.
const (
	Auto      Where = "auto"
	InKeyring Where = "keyring"
	InFile    Where = "file"
)

// Keyring is a system's keyring. Its methods may block for as long as it likes. Get and
// Delete of what is not there return an error that wraps keyring.ErrNotFound of
// go-keyring.
type Keyring interface {
	Get(service, name string) (string, error)
	Set(service, name, secret string) error
	Delete(service, name string) error
}

// Options say where the sign-ins are.
type Options struct {
	// Dir is state_dir; the vault is the folder sign-in in it. With "" nothing can be
	// kept.
	Dir   string
	Where Where
	// Keyring is for tests; nil is the system's.
	Keyring Keyring
	// Patience is how long the keyring may take for one answer, 5 s if it is zero. A
	// command before which a person sits, who may have to unlock it, waits longer.
	Patience time.Duration
}

// patience is how long a keyring may take where no person is known to be.
const patience = 5 * time.Second

// Vault is an oauth.Store. Its errors name the file, and say how to mend it; they wrap
// oauth.ErrLost if only a new sign-in does.
type Vault struct {
	dir     string // "" keeps nothing
	where   Where
	keyring *ring
	files   *files
	// turn has room for who writes: others of this process wait for it rather than for
	// the lock, which has to be tried again and again.
	turn chan struct{}
}

var _ oauth.Store = (*Vault)(nil)

// Open returns the vault of a state_dir. It reads and makes nothing: what is wrong with
// the folder is the error of the methods.
func Open(o Options) (*Vault, error) {
	switch o.Where {
	case "":
		o.Where = Auto
	case Auto, InKeyring, InFile:
	default:
		return nil, fmt.Errorf("sign_in.store: %q is not auto, keyring or file", o.Where)
	}
	if o.Keyring == nil {
		o.Keyring = system{}
	}
	if o.Patience == 0 {
		o.Patience = patience
	}
	v := &Vault{where: o.Where, keyring: &ring{Keyring: o.Keyring, patience: o.Patience}, turn: make(chan struct{}, 1)}
	if o.Dir != "" {
		v.dir = filepath.Join(o.Dir, "sign-in")
	}
	v.files = &files{v.dir}
	return v, nil
}

// Account implements oauth.Store.
func (v *Vault) Account(ctx context.Context, k oauth.Key) (*oauth.Account, error) {
	n := name{Kind: ofAccount, Upstream: k.Upstream, Principal: k.Principal}
	secret, err := v.secret(ctx, n)
	if err != nil || secret == nil {
		return nil, errOr(err, oauth.ErrNoAccount)
	}
	var a accountSecrets
	if json.Unmarshal(secret, &a) != nil || a.Key != k {
		return nil, n.failed(errForeign)
	}
	return a.account(), nil
}

// Put implements oauth.Store.
func (v *Vault) Put(ctx context.Context, a *oauth.Account) error {
	secret, err := json.Marshal(secretsOf(a))
	if err != nil {
		return err
	}
	public := *a
	public.AccessToken, public.RefreshToken, public.Client.ClientSecret = "", "", ""
	return v.keep(ctx, item{name: name{Kind: ofAccount, Upstream: a.Upstream, Principal: a.Principal}, Account: &public}, secret)
}

// Delete implements oauth.Store.
func (v *Vault) Delete(ctx context.Context, k oauth.Key) error {
	return v.forget(ctx, name{Kind: ofAccount, Upstream: k.Upstream, Principal: k.Principal})
}

// Accounts implements oauth.Store. It reads the index alone.
func (v *Vault) Accounts(context.Context) ([]oauth.Account, error) {
	x, err := v.index()
	if err != nil {
		return nil, err
	}
	var all []oauth.Account
	for _, it := range x.Items { // in order as they are
		if it.Account != nil {
			all = append(all, *it.Account)
		}
	}
	return all, nil
}

// Registration implements oauth.Store.
func (v *Vault) Registration(ctx context.Context, upstream, issuer, redirectURI string) (*oauth.Registration, error) {
	n := name{Kind: ofRegistration, Upstream: upstream, Issuer: issuer, RedirectURI: redirectURI}
	secret, err := v.secret(ctx, n)
	if errors.Is(err, oauth.ErrLost) {
		err = nil // a new one is as good
	}
	if err != nil || secret == nil {
		return nil, err
	}
	var r registrationSecrets
	if err := json.Unmarshal(secret, &r); err != nil || r.Issuer != issuer || r.RedirectURI != redirectURI {
		return nil, nil //nolint:nilerr // damaged: as above
	}
	return r.registration(), nil
}

// PutRegistration implements oauth.Store.
func (v *Vault) PutRegistration(ctx context.Context, upstream string, r *oauth.Registration) error {
	secret, err := json.Marshal(registrationSecrets{*r, string(r.ClientSecret)})
	if err != nil {
		return err
	}
	n := name{Kind: ofRegistration, Upstream: upstream, Issuer: r.Issuer, RedirectURI: r.RedirectURI}
	return v.keep(ctx, item{name: n}, secret)
}

// DeleteRegistration implements oauth.Store.
func (v *Vault) DeleteRegistration(ctx context.Context, upstream, issuer, redirectURI string) error {
	return v.forget(ctx, name{Kind: ofRegistration, Upstream: upstream, Issuer: issuer, RedirectURI: redirectURI})
}

// Lock implements oauth.Store.
func (v *Vault) Lock(ctx context.Context, k oauth.Key) (unlock func(), err error) {
	if v.dir == "" {
		return func() {}, nil
	}
	if err := makePrivate(v.dir); err != nil {
		return nil, err
	}
	return lockFile(ctx, filepath.Join(v.dir, lockName(k)))
}

// errForeign says that an entry is not what the index says it is.
var errForeign = fmt.Errorf("%w: the entry is of something else", oauth.ErrLost)

func errOr(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

// failed is an error with what it was about.
func (n name) failed(err error) error {
	what := "sign-in to " + n.Upstream
	if n.Principal != "" {
		what += " of " + n.Principal
	}
	if n.Kind == ofRegistration {
		what = "registration for " + n.Upstream + " at " + n.Issuer
	}
	if errors.Is(err, oauth.ErrLost) {
		return fmt.Errorf("%s: %w: sign in again with interlock login %s", what, err, n.Upstream)
	}
	return fmt.Errorf("%s: %w", what, err)
}
