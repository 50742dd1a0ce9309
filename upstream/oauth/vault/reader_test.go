package vault

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zalando/go-keyring"
)

// What is read for others is bounded as what a vault reads is: a keyring that does not
// answer is waited for once, and asked again when it has.
func TestReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrawer()
		d.entries["token"] = "s3cret"
		r := NewReader(d)
		if got, err := r.Secret(t.Context(), "interlock", "token"); got != "s3cret" || err != nil {
			t.Errorf("got %d bytes, %v", len(got), err)
		}
		if _, err := r.Secret(t.Context(), "interlock", "other"); !errors.Is(err, keyring.ErrNotFound) {
			t.Error(err)
		}
		answer := make(chan struct{})
		d.set(func(string) error { <-answer; return nil })
		for i, want := range []time.Duration{patience, 0} {
			began := time.Now()
			_, err := r.Secret(t.Context(), "interlock", "token")
			if err == nil || !strings.Contains(err.Error(), "cannot be asked: it does not answer: unlock it") || time.Since(began) != want {
				t.Errorf("%d: %v after %s", i, err, time.Since(began))
			}
		}
		close(answer)
		synctest.Wait()
		if _, err := r.Secret(t.Context(), "interlock", "token"); err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		never := make(chan struct{})
		d.set(func(string) error { <-never; return nil })
		if _, err := r.Secret(ctx, "interlock", "token"); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		close(never)
	})
}
