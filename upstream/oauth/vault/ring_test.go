package vault

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-mcp/interlock/upstream/oauth"
)

var errLocked = errors.New("the collection is locked")

func refuse(string) error { return errLocked }

func TestKeyringFails(t *testing.T) {
	dir, d := t.TempDir(), newDrawer()
	a, b := account("a", "", 1), account("a", "", 2)
	strict, auto := opened(t, dir, InKeyring, d), opened(t, dir, Auto, d)
	d.set(refuse)
	if err := strict.Put(t.Context(), a); !errors.Is(err, errLocked) || !strings.Contains(err.Error(), "have sign_in.store be file") {
		t.Fatal(err)
	}
	d.set(nil)
	put(t, auto, a)
	same(t, strict, a)
	d.set(refuse)
	_, err := auto.Account(t.Context(), a.Key)
	if !errors.Is(err, errLocked) || errors.Is(err, oauth.ErrLost) || !strings.Contains(err.Error(), "the system's keyring, which has it, cannot be asked") {
		t.Error(err)
	}
	if list, err := auto.Accounts(t.Context()); err != nil || len(list) != 1 {
		t.Errorf("the list asked the keyring: %v, %v", list, err)
	}
	// What is kept anew goes where it can be kept; the old entry goes when it can.
	put(t, auto, b)
	same(t, auto, b)
	if d.size() == 0 {
		t.Fatal("there is nothing to tidy up")
	}
	d.set(nil)
	same(t, strict, b)
	put(t, auto, account("other", "", 3))
	if err := auto.Delete(t.Context(), oauth.Key{Upstream: "other"}); err != nil || d.size() > 0 {
		t.Errorf("%d entries are left, %v", d.size(), err)
	}
	// A sign-in that cannot be reached can still be forgotten.
	put(t, auto, a)
	d.set(refuse)
	if err := auto.Delete(t.Context(), a.Key); err != nil {
		t.Error(err)
	}
	if _, err := auto.Account(t.Context(), a.Key); !errors.Is(err, oauth.ErrNoAccount) {
		t.Error(err)
	}
}

func TestKeyringDamage(t *testing.T) {
	for name, damage := range map[string]func(d *drawer, key string){
		"gone":            func(d *drawer, key string) { delete(d.entries, key) },
		"cut off":         func(d *drawer, key string) { d.entries[key] = d.entries[key][:100] },
		"something else":  func(d *drawer, key string) { d.entries[key] = "hello, world" },
		"another letter":  func(d *drawer, key string) { d.entries[key] = "A" + d.entries[key][1:] + "A" },
		"of another part": func(d *drawer, key string) { d.entries[key] = d.entries[strings.TrimSuffix(key, "2")+"1"] },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDrawer()
			v := opened(t, t.TempDir(), InKeyring, d)
			a := account("a", "", 1)
			a.AccessToken += oauth.Secret(strings.Repeat("x", 5000))
			put(t, v, a)
			for key := range d.entries {
				if strings.HasSuffix(key, "-2") {
					damage(d, key)
				}
			}
			if _, err := v.Account(t.Context(), a.Key); !errors.Is(err, oauth.ErrLost) || !strings.Contains(err.Error(), "interlock login a") || strings.Contains(err.Error(), "xxx") {
				t.Fatal(err)
			}
			put(t, v, a)
			same(t, v, a)
		})
	}
	d := newDrawer()
	a := account("a", "", 1)
	a.AccessToken = oauth.Secret(strings.Repeat("x", partBytes*maxParts))
	if err := opened(t, t.TempDir(), InKeyring, d).Put(t.Context(), a); err == nil || !strings.Contains(err.Error(), "too much") || d.size() > 0 {
		t.Errorf("%d entries, %v", d.size(), err)
	}
}

// A process that dies at any call of the keyring costs the change that it was at.
func TestKeyringKilled(t *testing.T) {
	old, next := account("a", "", 1), account("a", "", 2)
	for _, a := range []*oauth.Account{old, next} {
		a.RefreshToken += oauth.Secret(strings.Repeat("x", 5000)) // three parts and more
	}
	died := errors.New("killed")
	at := 1
	for through := false; !through; at++ {
		dir, d, calls := t.TempDir(), newDrawer(), 0
		put(t, opened(t, dir, InKeyring, d), old)
		d.set(func(what string) error {
			if calls++; calls >= at {
				return fmt.Errorf("%w at call %d: %s", died, calls, what)
			}
			return nil
		})
		err := opened(t, dir, InKeyring, d).Put(t.Context(), next)
		d.set(nil)
		through = calls < at
		v := opened(t, dir, InKeyring, d)
		want := next
		if err != nil {
			want = old
		}
		same(t, v, want)
		put(t, v, next)
		same(t, v, next)
		if x, err := v.index(); err != nil || d.size() != x.Items[0].Parts || len(x.Litter) > 0 {
			t.Errorf("call %d: %d entries for %d parts are left, %v", at, d.size(), x.Items[0].Parts, err)
		}
	}
	if at < 8 {
		t.Errorf("the keyring was called %d times", at)
	}
}

// A keyring that does not answer costs its patience once, and is asked again when it
// has answered after all.
func TestKeyringHangs(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		d, answer := newDrawer(), make(chan struct{})
		d.set(func(string) error { <-answer; return nil })
		v := opened(t, dir, Auto, d)
		a := account("a", "", 1)
		began := time.Now()
		put(t, v, a)
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("the first took %s", took)
		}
		same(t, v, a)
		put(t, v, account("b", "", 2))
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("the second took %s", took)
		}
		close(answer)
		synctest.Wait()
		put(t, v, account("c", "", 3))
		if x, err := v.index(); err != nil || x.find(name{Kind: ofAccount, Upstream: "c"}).Place != InKeyring || len(x.Litter) > 0 {
			t.Errorf("it is not in the keyring that answers again: %v", err)
		}
		// Who asked and went away leaves nothing behind that is waited for.
		again := make(chan struct{})
		d.set(func(string) error { <-again; return nil })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := v.Account(ctx, oauth.Key{Upstream: "c"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if _, err := v.Account(t.Context(), oauth.Key{Upstream: "c"}); !errors.Is(err, errSilent) {
			t.Error(err)
		}
		close(again)
		synctest.Wait()
		same(t, v, account("c", "", 3))
	})
}

func TestKeyringPanics(t *testing.T) {
	d := newDrawer()
	d.set(func(string) error { panic("interface conversion") })
	if err := opened(t, t.TempDir(), InKeyring, d).Put(t.Context(), account("a", "", 1)); err == nil || !strings.Contains(err.Error(), "not understood") {
		t.Error(err)
	}
}
