package vault

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/interlock-mcp/interlock/upstream/oauth"
)

// indexVersion is of the file's format: a newer one is not touched.
const indexVersion = 1

// index says what is kept, and where the secrets of it are. It has no secrets.
type index struct {
	Version int `json:"version"`
	// Items are in order of their names.
	Items []item `json:"items"`
	// Litter are entries of the keyring to be deleted: replaced ones, and those that
	// were begun. Files need no list: what the index does not name is litter.
	Litter []entry `json:"litter,omitempty"`
}

// name is what an item is of.
type name struct {
	Kind        kind   `json:"kind"`
	Upstream    string `json:"upstream"`
	Principal   string `json:"principal,omitempty"`
	Issuer      string `json:"issuer,omitempty"`
	RedirectURI string `json:"redirect_uri,omitempty"`
}

type kind string

const (
	ofAccount      kind = "account"
	ofRegistration kind = "registration"
)

// entry is where the secrets of an item are.
type entry struct {
	Place Where  `json:"place"` // InKeyring or InFile
	ID    string `json:"id"`
	Parts int    `json:"parts,omitempty"` // in a keyring
}

type item struct {
	name
	entry
	// Account is all of it but the secrets; nil for a registration.
	Account *oauth.Account `json:"account,omitempty"`
}

func (v *Vault) indexFile() string { return filepath.Join(v.dir, "index.json") }

// index reads the index. There is an empty one as long as nothing is kept. Its errors
// wrap oauth.ErrUnknown.
func (v *Vault) index() (*index, error) {
	if v.dir == "" {
		return &index{Version: indexVersion}, nil
	}
	b, err := readPrivate(v.dir, v.indexFile())
	if errors.Is(err, fs.ErrNotExist) {
		return &index{Version: indexVersion}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", oauth.ErrUnknown, err)
	}
	x := new(index)
	if err := json.Unmarshal(b, x); err != nil {
		return nil, fmt.Errorf("%w: %s is damaged (%w): put a copy back, or move it away and sign in again where that is asked for", oauth.ErrUnknown, v.indexFile(), err)
	}
	if x.Version != indexVersion {
		return nil, fmt.Errorf("%w: %s has version %d, and this Interlock knows version %d: use the Interlock that wrote it, or move it away and sign in again where that is asked for", oauth.ErrUnknown, v.indexFile(), x.Version, indexVersion)
	}
	return x, nil
}

// write replaces the index; the caller has the lock.
func (v *Vault) write(x *index) error {
	b, err := json.MarshalIndent(x, "", "  ")
	if err != nil {
		return err
	}
	return replace(v.indexFile(), append(b, '\n'))
}

// find returns an item, nil for none.
func (x *index) find(n name) *item {
	if i := slices.IndexFunc(x.Items, func(it item) bool { return it.name == n }); i >= 0 {
		return &x.Items[i]
	}
	return nil
}

// remove removes an item and returns where it was.
func (x *index) remove(n name) (entry, bool) {
	it := x.find(n)
	if it == nil {
		return entry{}, false
	}
	e := it.entry
	x.Items = slices.DeleteFunc(x.Items, func(it item) bool { return it.name == n })
	return e, true
}

// put adds an item in its place.
func (x *index) put(it item) {
	at, _ := slices.BinarySearchFunc(x.Items, it.name, func(it item, n name) int { return compare(it.name, n) })
	x.Items = slices.Insert(x.Items, at, it)
}

func compare(a, b name) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Upstream, b.Upstream), cmp.Compare(a.Principal, b.Principal),
		cmp.Compare(a.Issuer, b.Issuer), cmp.Compare(a.RedirectURI, b.RedirectURI))
}

// lockName is the file that is locked while an account is renewed.
func lockName(k oauth.Key) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q", k.Upstream, k.Principal))
	return "renew-" + hex.EncodeToString(sum[:8]) + ".lock"
}
