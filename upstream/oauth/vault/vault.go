// Package vault keeps sign-ins between runs, for all processes of one user with one
// state_dir: in the system's keyring, or in files that are encrypted.
package vault

import (
	"context"
	"errors"
	"fmt"
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
	// Dir is state_dir; the vault is a folder in it. With "" nothing can be kept.
	Dir   string
	Where Where
	// Keyring is for tests; nil is the system's.
	Keyring Keyring
	// Patience is how long the keyring may take for one answer, 5 s if it is zero. A
	// command before which a person sits, who may have to unlock it, waits longer.
	Patience time.Duration
}

// Vault is an oauth.Store.
type Vault struct{ o Options }

var _ oauth.Store = (*Vault)(nil)

// Open returns the vault of a state_dir. It reads and makes nothing: what is wrong with
// the folder is the error of the methods.
func Open(o Options) (*Vault, error) {
	switch o.Where {
	case "", Auto, InKeyring, InFile:
		return &Vault{o}, nil
	}
	return nil, fmt.Errorf("sign_in.store: %q is not auto, keyring or file", o.Where)
}

var errNotKept = errors.New("sign-ins are not kept by this version")

// Account implements oauth.Store.
func (v *Vault) Account(context.Context, oauth.Key) (*oauth.Account, error) {
	return nil, oauth.ErrNoAccount
}

// Put implements oauth.Store.
func (v *Vault) Put(context.Context, *oauth.Account) error { return errNotKept }

// Delete implements oauth.Store.
func (v *Vault) Delete(context.Context, oauth.Key) error { return nil }

// Accounts implements oauth.Store.
func (v *Vault) Accounts(context.Context) ([]oauth.Account, error) { return nil, nil }

// Registration implements oauth.Store.
func (v *Vault) Registration(context.Context, string, string, string) (*oauth.Registration, error) {
	return nil, nil
}

// PutRegistration implements oauth.Store.
func (v *Vault) PutRegistration(context.Context, string, *oauth.Registration) error {
	return errNotKept
}

// DeleteRegistration implements oauth.Store.
func (v *Vault) DeleteRegistration(context.Context, string, string, string) error { return nil }

// Lock implements oauth.Store.
func (v *Vault) Lock(context.Context, oauth.Key) (unlock func(), err error) {
	return func() {}, nil
}
