package vault

import (
	"context"
	"errors"
	"fmt"

	"github.com/zalando/go-keyring"
)

// Reader reads what others keep in the system's keyring, with the bounds of a Vault: it
// does not ask where there is no session to ask, waits for 5 s, and asks nothing more
// while an answer is outstanding. It is safe for concurrent use.
type Reader struct{ ring ring }

// NewReader returns a reader of k, nil for the system's keyring.
func NewReader(k Keyring) *Reader {
	if k == nil {
		k = system{}
	}
	return &Reader{ring{Keyring: k, patience: patience}}
}

// Secret returns a secret. The error wraps keyring.ErrNotFound of go-keyring if there is
// none, and else says how to mend it. It blocks for 5 s at most, and no longer than ctx.
func (r *Reader) Secret(ctx context.Context, service, name string) (string, error) {
	// What a call that is given up writes later is not read.
	var secret string
	err := r.ring.ask(ctx, func() (err error) {
		secret, err = r.ring.Get(service, name)
		return err
	})
	switch {
	case err == nil:
		return secret, nil
	case errors.Is(err, keyring.ErrNotFound):
		return "", err
	}
	return "", fmt.Errorf("the system's keyring cannot be asked: %w: unlock it, and start Interlock where it can be reached", err)
}
