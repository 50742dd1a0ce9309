package vault

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/interlock-mcp/interlock/upstream/oauth"
)

// place keeps entries: those of the keyring, or files.
type place interface {
	// get returns an entry's secret. The error wraps oauth.ErrLost if it will not be
	// had any more.
	get(ctx context.Context, e entry) ([]byte, error)
	// set makes an entry. On an error some of it may be there.
	set(ctx context.Context, e entry, secret []byte) error
	// remove removes an entry, or what there is of it.
	remove(ctx context.Context, e entry) error
}

func (v *Vault) place(w Where) place {
	if w == InKeyring {
		return v.keyring
	}
	return v.files
}

// secret returns the secrets of an item, nil if nothing is kept of it.
func (v *Vault) secret(ctx context.Context, n name) ([]byte, error) {
	for {
		x, err := v.index()
		if err != nil {
			return nil, err
		}
		it := x.find(n)
		if it == nil {
			return nil, nil
		}
		secret, err := v.place(it.Place).get(ctx, it.entry)
		if err == nil {
			return secret, nil
		}
		if x, again := v.index(); again == nil {
			if now := x.find(n); now == nil || now.entry != it.entry {
				continue // it was replaced between the index and the entry
			}
		}
		return nil, n.failed(err)
	}
}

// keep keeps the secrets of an item instead of those that there are.
func (v *Vault) keep(ctx context.Context, it item, secret []byte) error {
	if v.dir == "" {
		return it.failed(errors.New("it cannot be kept without a state_dir: set it"))
	}
	return v.change(ctx, func(x *index) error {
		if v.where == InFile {
			return v.keepIn(ctx, InFile, x, it, secret)
		}
		err := v.keyring.available()
		if err == nil {
			err = v.keepIn(ctx, InKeyring, x, it, secret)
		}
		if err != nil && v.where == Auto && ctx.Err() == nil {
			return v.keepIn(ctx, InFile, x, it, secret)
		}
		if err != nil {
			return it.failed(fmt.Errorf("the system's keyring does not take it: %w: unlock it or start it, or have sign_in.store be file", err))
		}
		return nil
	})
}

// keepIn keeps the secrets of an item in a place.
func (v *Vault) keepIn(ctx context.Context, w Where, x *index, it item, secret []byte) error {
	id := make([]byte, 16)
	_, _ = rand.Read(id) // it never fails
	it.entry = entry{Place: w, ID: hex.EncodeToString(id)}
	if w == InKeyring {
		it.Parts = parts(secret)
		x.Litter = append(x.Litter, it.entry) // until it is more
		if err := v.write(x); err != nil {
			return err
		}
	}
	if err := v.place(w).set(ctx, it.entry, secret); err != nil {
		return err // what there is of it goes with the litter
	}
	old, replaced := x.remove(it.name)
	x.put(it)
	x.Litter = slices.DeleteFunc(x.Litter, func(e entry) bool { return e == it.entry })
	if replaced && old.Place == InKeyring {
		x.Litter = append(x.Litter, old)
	}
	if err := v.write(x); err != nil {
		return err
	}
	v.sweep(ctx, x)
	return nil
}

// forget removes an item. What cannot be read goes, too.
func (v *Vault) forget(ctx context.Context, n name) error {
	if x, err := v.index(); err != nil || x.find(n) == nil {
		return err
	}
	return v.change(ctx, func(x *index) error {
		old, ok := x.remove(n)
		if !ok {
			return nil
		}
		if old.Place == InKeyring {
			x.Litter = append(x.Litter, old)
		}
		if err := v.write(x); err != nil {
			return err
		}
		v.sweep(ctx, x)
		return nil
	})
}

// change lets f change the index as nobody else does.
func (v *Vault) change(ctx context.Context, f func(*index) error) error {
	select {
	case v.turn <- struct{}{}:
		defer func() { <-v.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := makePrivate(v.dir); err != nil {
		return err
	}
	unlock, err := lockFile(ctx, filepath.Join(v.dir, "lock"))
	if err != nil {
		return err
	}
	defer unlock()
	x, err := v.index()
	if err != nil {
		return err
	}
	return f(x)
}

// sweep removes what the index does not name. What cannot be removed, because the
// keyring does not answer, is left to the next sweep.
func (v *Vault) sweep(ctx context.Context, x *index) {
	named := map[string]bool{}
	for _, it := range x.Items {
		named[it.ID] = true
	}
	for _, id := range v.files.all() {
		if !named[id] {
			_ = v.files.remove(ctx, entry{ID: id})
		}
	}
	before := len(x.Litter)
	if before == 0 || v.keyring.available() != nil {
		return
	}
	x.Litter = slices.DeleteFunc(x.Litter, func(e entry) bool { return v.keyring.remove(ctx, e) == nil })
	if len(x.Litter) < before {
		_ = v.write(x) // or they are looked for once more
	}
}

// lost is an oauth.ErrLost with what is wrong.
func lost(format string, args ...any) error {
	return fmt.Errorf("%w: %s", oauth.ErrLost, strings.TrimSpace(fmt.Sprintf(format, args...)))
}
