package vault

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/zalando/go-keyring"
)

const (
	// service is what our entries belong to; "interlock" is that of ${keyring:NAME}.
	service = "interlock-sign-in"
	// partBytes of an entry fit everywhere: Windows takes 2,560, and macOS a command
	// line of 4,096 in which they are a third longer.
	partBytes = 2400
	maxParts  = 64
)

// ring keeps entries in a keyring: base64 of a checksum and the secret, cut into parts
// ID-1, ID-2 and so on.
type ring struct {
	Keyring
	patience time.Duration
	// silent counts the calls that nobody waits for any more. As long as there are any,
	// others are not tried: a person may be at a dialog of the keyring, or be nowhere.
	silent atomic.Int32
}

var errSilent = errors.New("it does not answer")

// reaches is of a Keyring that knows without asking whether it can be asked at all.
type reaches interface{ reachable() error }

// available returns why the keyring cannot be asked, as far as that is known.
func (r *ring) available() error {
	if r.silent.Load() > 0 {
		return errSilent
	}
	if k, ok := r.Keyring.(reaches); ok {
		return k.reachable()
	}
	return nil
}

// parts is how many parts a secret has.
func parts(secret []byte) int {
	return (base64.RawStdEncoding.EncodedLen(sha256.Size+len(secret)) + partBytes - 1) / partBytes
}

func (r *ring) get(ctx context.Context, e entry) ([]byte, error) {
	var text strings.Builder
	for i := range min(e.Parts, maxParts) {
		part := ""
		err := r.ask(ctx, func() (err error) {
			part, err = r.Get(service, partName(e, i))
			return err
		})
		if errors.Is(err, keyring.ErrNotFound) {
			return nil, lost("the system's keyring does not have the entry %s of %s any more", partName(e, i), service)
		}
		if err != nil {
			return nil, fmt.Errorf("the system's keyring, which has it, cannot be asked: %w: unlock it, and start Interlock where it can be reached; or have sign_in.store be file, and sign in again", err)
		}
		text.WriteString(part)
	}
	b, err := base64.RawStdEncoding.DecodeString(text.String())
	if err != nil || len(b) < sha256.Size {
		return nil, lost("the entry %s of the system's keyring is damaged", e.ID)
	}
	if sum := sha256.Sum256(b[sha256.Size:]); !bytes.Equal(sum[:], b[:sha256.Size]) {
		return nil, lost("the entry %s of the system's keyring is damaged", e.ID)
	}
	return b[sha256.Size:], nil
}

func (r *ring) set(ctx context.Context, e entry, secret []byte) error {
	if e.Parts > maxParts {
		return fmt.Errorf("the tokens have %d bytes, which is too much", len(secret))
	}
	sum := sha256.Sum256(secret)
	text := base64.RawStdEncoding.EncodeToString(append(sum[:], secret...))
	for i := range e.Parts {
		part := text[i*partBytes : min((i+1)*partBytes, len(text))]
		if err := r.ask(ctx, func() error { return r.Set(service, partName(e, i), part) }); err != nil {
			return err
		}
	}
	return nil
}

func (r *ring) remove(ctx context.Context, e entry) error {
	for i := range min(e.Parts, maxParts) {
		err := r.ask(ctx, func() error { return r.Delete(service, partName(e, i)) })
		if err != nil && !errors.Is(err, keyring.ErrNotFound) {
			return err
		}
	}
	return nil
}

func partName(e entry, i int) string { return e.ID + "-" + strconv.Itoa(i+1) }

// ask calls the keyring, and waits for as long as r's patience and ctx last. What f
// writes is to be read only if the error is f's.
func (r *ring) ask(ctx context.Context, f func() error) error {
	if err := r.available(); err != nil {
		return err
	}
	const running, answered, left = 0, 1, 2
	var state atomic.Int32
	answer := make(chan error, 1)
	go func() {
		answer <- recovered(f)
		if !state.CompareAndSwap(running, answered) {
			r.silent.Add(-1)
		}
	}()
	t := time.NewTimer(r.patience)
	defer t.Stop()
	err := errSilent
	select {
	case err := <-answer:
		return err
	case <-t.C:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	r.silent.Add(1)
	if state.CompareAndSwap(running, left) {
		return err
	}
	r.silent.Add(-1)
	return <-answer
}

// recovered is f with its panic as an error: what go-keyring makes of odd answers.
func recovered(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("its answer is not understood: %v", p)
		}
	}()
	return f()
}
