package vault

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/zalando/go-keyring"
	"go.uber.org/goleak"

	"github.com/interlock-mcp/interlock/upstream/oauth"
)

func TestMain(m *testing.M) {
	if os.Getenv(writerDir) != "" {
		os.Exit(writerMain())
	}
	goleak.VerifyTestMain(m)
}

// drawer is a Keyring of a test. before is called ahead of each call, with what it is.
type drawer struct {
	mu      sync.Mutex
	entries map[string]string
	before  func(call string) error
}

func newDrawer() *drawer { return &drawer{entries: map[string]string{}} }

func (d *drawer) call(what string) error {
	d.mu.Lock()
	before := d.before
	d.mu.Unlock()
	if before == nil {
		return nil
	}
	return before(what)
}

func (d *drawer) set(before func(string) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.before = before
}

func (d *drawer) size() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.entries)
}

func (d *drawer) Get(_, name string) (string, error) {
	if err := d.call("get " + name); err != nil {
		return "", err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if v, ok := d.entries[name]; ok {
		return v, nil
	}
	return "", fmt.Errorf("drawer: %w", keyring.ErrNotFound)
}

func (d *drawer) Set(_, name, secret string) error {
	if err := d.call("set " + name); err != nil {
		return err
	}
	if len(secret) > 2560 {
		return keyring.ErrSetDataTooBig
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.entries[name] = secret
	return nil
}

func (d *drawer) Delete(_, name string) error {
	if err := d.call("delete " + name); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.entries[name]; !ok {
		return keyring.ErrNotFound
	}
	delete(d.entries, name)
	return nil
}

func opened(t *testing.T, dir string, where Where, k Keyring) *Vault {
	t.Helper()
	if k == nil {
		k = newDrawer()
	}
	v, err := Open(Options{Dir: dir, Where: where, Keyring: k})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// account has something in each of its fields; its secrets begin with s3cret.
func account(upstream, principal string, n int) *oauth.Account {
	secret := oauth.Secret(fmt.Sprintf("s3cret-%d-", n))
	return &oauth.Account{
		Key: oauth.Key{Upstream: upstream, Principal: principal}, Issuer: "https://as.test", Resource: "https://mcp.test/mcp",
		Scopes: []string{"read", "write"}, TokenEndpoint: "https://as.test/token", RevocationEndpoint: "https://as.test/revoke",
		Client: oauth.Registration{
			Issuer: "https://as.test", RedirectURI: "http://127.0.0.1:1/callback", ClientID: "id", ClientSecret: secret + "client",
			AuthMethod: "client_secret_basic", Expires: time.Unix(3, 0).UTC(), How: oauth.Dynamic,
		},
		AccessToken: secret + "access", RefreshToken: secret + "refresh", Expires: time.Unix(1, 0).UTC(), Obtained: time.Unix(2, 0).UTC(),
	}
}

func put(t *testing.T, v *Vault, a *oauth.Account) {
	t.Helper()
	if err := v.Put(t.Context(), a); err != nil {
		t.Fatal(err)
	}
}

// same fails the test if v does not have the account. It never prints secrets.
func same(t *testing.T, v *Vault, want *oauth.Account) {
	t.Helper()
	got, err := v.Account(t.Context(), want.Key)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("it is not the account that was put: %v, want %v", got, want)
	}
}

func TestKeeps(t *testing.T) {
	for _, where := range []Where{InFile, InKeyring, Auto} {
		t.Run(string(where), func(t *testing.T) {
			dir, d := filepath.Join(t.TempDir(), "state"), newDrawer()
			v := opened(t, dir, where, d)
			if _, err := v.Account(t.Context(), oauth.Key{Upstream: "a"}); !errors.Is(err, oauth.ErrNoAccount) {
				t.Fatal(err)
			}
			if err := v.Delete(t.Context(), oauth.Key{Upstream: "a"}); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(dir); err == nil {
				t.Error("looking made the folder")
			}
			first, second, other := account("b", "", 1), account("b", "", 2), account("b", "ann", 3)
			second.AccessToken += oauth.Secret(strings.Repeat("long", 3000))
			third := account("a", "", 4)
			for _, a := range []*oauth.Account{first, other, third, second} {
				put(t, v, a)
			}
			v = opened(t, dir, where, d)
			for _, a := range []*oauth.Account{second, other, third} {
				same(t, v, a)
			}
			list, err := v.Accounts(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var keys []oauth.Key
			for _, a := range list {
				keys = append(keys, a.Key)
				if a.AccessToken+a.RefreshToken+a.Client.ClientSecret != "" || a.Issuer != "https://as.test" || !a.Expires.Equal(time.Unix(1, 0)) {
					t.Errorf("listed: %v", a)
				}
			}
			if diff := cmp.Diff([]oauth.Key{{Upstream: "a"}, {Upstream: "b"}, {Upstream: "b", Principal: "ann"}}, keys); diff != "" {
				t.Error(diff)
			}
			shown(t, dir)
			x, err := v.index()
			if err != nil {
				t.Fatal(err)
			}
			parts := 0
			for _, it := range x.Items {
				parts += it.Parts
			}
			if d.size() != parts || (parts > 5) != (where != InFile) || len(x.Litter) > 0 {
				t.Errorf("the keyring has %d entries, want %d; litter: %v", d.size(), parts, x.Litter)
			}
			for _, a := range list {
				if err := v.Delete(t.Context(), a.Key); err != nil {
					t.Fatal(err)
				}
				if _, err := v.Account(t.Context(), a.Key); !errors.Is(err, oauth.ErrNoAccount) {
					t.Fatal(err)
				}
			}
			if left, _ := filepath.Glob(filepath.Join(dir, "sign-in", "*.sealed")); len(left) > 0 || d.size() > 0 {
				t.Errorf("left: %v and %d entries", left, d.size())
			}
		})
	}
}

// shown fails the test if a secret can be read in a file, or others can read one.
func shown(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := checkPrivate(path); err != nil {
			t.Error(err)
		}
		if e.IsDir() {
			return nil
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, []byte("s3cret")) {
			t.Errorf("%s has a secret in it", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestKeepsRegistrations(t *testing.T) {
	v := opened(t, t.TempDir(), InFile, nil)
	one := account("a", "", 1).Client
	two := one
	two.RedirectURI, two.ClientID = "https://gw.test/oauth/callback", "other"
	for _, r := range []oauth.Registration{one, two} {
		if err := v.PutRegistration(t.Context(), "a", &r); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range []oauth.Registration{one, two} {
		got, err := v.Registration(t.Context(), "a", r.Issuer, r.RedirectURI)
		if err != nil || !reflect.DeepEqual(got, &r) {
			t.Fatalf("%v, %v", got, err)
		}
	}
	for _, none := range [][3]string{{"b", one.Issuer, one.RedirectURI}, {"a", "https://other.test", one.RedirectURI}, {"a", one.Issuer, "x"}} {
		if got, err := v.Registration(t.Context(), none[0], none[1], none[2]); got != nil || err != nil {
			t.Errorf("%v: %v, %v", none, got, err)
		}
	}
	if all, err := v.Accounts(t.Context()); len(all) > 0 || err != nil {
		t.Error(all, err)
	}
	if err := v.DeleteRegistration(t.Context(), "a", one.Issuer, one.RedirectURI); err != nil {
		t.Fatal(err)
	}
	if got, err := v.Registration(t.Context(), "a", one.Issuer, one.RedirectURI); got != nil || err != nil {
		t.Error(got, err)
	}
	shown(t, v.dir)
	// One that cannot be read is none: a sign-in makes a new one.
	if err := os.Remove(v.files.keyFile()); err != nil {
		t.Fatal(err)
	}
	if got, err := v.Registration(t.Context(), "a", two.Issuer, two.RedirectURI); got != nil || err != nil {
		t.Error(got, err)
	}
}

// Each field of an account is kept: one that is new is of a kind that is, or this fails.
func TestKeepsEachField(t *testing.T) {
	a := new(oauth.Account)
	fill(t, reflect.ValueOf(a).Elem())
	v := opened(t, t.TempDir(), InFile, nil)
	put(t, v, a)
	same(t, v, a)
}

func fill(t *testing.T, v reflect.Value) {
	t.Helper()
	switch {
	case v.Type() == reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(time.Unix(5, 0).UTC()))
	case v.Kind() == reflect.String:
		v.SetString("text")
	case v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(t, v.Index(0))
	case v.Kind() == reflect.Struct:
		for _, field := range v.Fields() {
			fill(t, field)
		}
	case v.Kind() == reflect.Bool:
		v.SetBool(true)
	default:
		t.Fatalf("no value for a %s", v.Type())
	}
}

func TestOpen(t *testing.T) {
	if _, err := Open(Options{Where: "cloud"}); err == nil || !strings.Contains(err.Error(), `sign_in.store: "cloud" is not`) {
		t.Error(err)
	}
	v := opened(t, "", Auto, nil)
	if _, err := v.Account(t.Context(), oauth.Key{Upstream: "a"}); !errors.Is(err, oauth.ErrNoAccount) {
		t.Error(err)
	}
	if err := v.Put(t.Context(), account("a", "", 1)); err == nil || !strings.Contains(err.Error(), "state_dir") {
		t.Error(err)
	}
	unlock, err := v.Lock(t.Context(), oauth.Key{Upstream: "a"})
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}
