package vault

import (
	"bytes"
	"encoding/base64"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/interlock-mcp/interlock/upstream/oauth"
)

const golden = "aW50ZXJsb2NrIHNpZ24taW4gMQoOMjHwVGhX5g+cWXiyfYm9BSmUpsoNxZASuTw1HXG83KZDK9jUKuEdUkVG5lPn/uAKBwX6"

// Whatever is done to a sealed entry, it opens as what it was or not at all.
func FuzzOpen(f *testing.F) {
	key, id, secret := bytes.Repeat([]byte{7}, keyBytes), strings.Repeat("0", 32), []byte(`{"AccessToken":"s3cret"}`)
	// As sealed once: a format that does not open it any more loses people's sign-ins.
	whole, err := base64.StdEncoding.DecodeString(golden)
	if err != nil {
		f.Fatal(err)
	}
	if got, ok := open(key, id, seal(key, id, secret)); !ok || !bytes.Equal(got, secret) {
		f.Fatal("what is sealed does not open")
	}
	f.Add(whole, id)
	f.Add(whole[:len(whole)-1], id)
	f.Add(whole[:len(magic)], id)
	f.Add(append(slices.Clone(whole), 0), id)
	f.Add([]byte(nil), "")
	f.Add(whole, strings.Repeat("1", 32))
	f.Fuzz(func(t *testing.T, b []byte, as string) {
		got, ok := open(key, as, b)
		if ok != (bytes.Equal(b, whole) && as == id) {
			t.Errorf("opened: %v", ok)
		}
		if ok && !bytes.Equal(got, secret) {
			t.Error("it opened as something else")
		}
	})
}

// Whatever the index says, nothing outside of the folder is touched, and no entry is
// taken for another's.
func FuzzIndex(f *testing.F) {
	dir := f.TempDir()
	d := newDrawer()
	v, err := Open(Options{Dir: dir, Where: InFile, Keyring: d})
	if err != nil {
		f.Fatal(err)
	}
	a, b := account("a", "", 1), account("b", "ann", 2)
	for _, x := range []*oauth.Account{a, b} {
		if err := v.Put(f.Context(), x); err != nil {
			f.Fatal(err)
		}
	}
	good, err := os.ReadFile(v.indexFile())
	if err != nil {
		f.Fatal(err)
	}
	entries := map[string][]byte{}
	for _, id := range v.files.all() {
		file := v.files.file(entry{ID: id})
		if entries[file], err = os.ReadFile(file); err != nil {
			f.Fatal(err)
		}
	}
	outside := filepath.Join(dir, "outside.sealed")
	if err := os.WriteFile(outside, nil, 0o600); err != nil {
		f.Fatal(err)
	}
	for _, edit := range [][2]string{
		{"", ""},
		{`"file"`, `"keyring"`},
		{`"file"`, `"keyring", "parts": -1`},
		{`"file"`, `"keyring", "parts": 99999999`},
		{`"file"`, `"cloud"`},
		{`"id": "`, `"id": "../outside`},
		{`"upstream": "b"`, `"upstream": "a"`},
		{`"items"`, `"litter"`},
		{`"account": {`, `"account": null, "x": {`},
		{"[", "[{},null,"},
	} {
		f.Add([]byte(strings.ReplaceAll(string(good), edit[0], edit[1])))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		entries[v.indexFile()] = raw
		for file, b := range entries {
			if err := os.WriteFile(file, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for _, want := range []*oauth.Account{a, b} {
			got, err := v.Account(t.Context(), want.Key)
			if err == nil && !reflect.DeepEqual(got, want) {
				t.Error("another account came")
			}
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Error("the error has a secret")
			}
		}
		_, _ = v.Accounts(t.Context())
		_, _ = v.Registration(t.Context(), "a", "", "")
		_ = v.forget(t.Context(), name{Kind: ofAccount, Upstream: "a"})
		if _, err := os.Stat(outside); err != nil {
			t.Fatal(err)
		}
	})
}

// A vault is a map, whatever the keyring does, wherever secrets go, whoever writes and
// whatever is damaged: what was put last is there, or is said to be lost or out of reach.
func TestIsAMap(t *testing.T) {
	for seed := range uint64(4) {
		m := &model{t: t, r: rand.New(rand.NewPCG(seed, 0)), dir: t.TempDir(), d: newDrawer(), has: map[oauth.Key]*oauth.Account{}, damaged: map[oauth.Key]bool{}}
		m.well(true)
		for range 50 {
			m.step()
		}
		m.well(true)
		m.check()
		for k := range m.has {
			if err := m.vault(Auto).Delete(t.Context(), k); err != nil {
				t.Fatal(err)
			}
		}
		// The last sweep finds a keyring that answers: nothing is left of all that.
		put(t, m.vault(InKeyring), account("last", "", 0))
		x, err := m.vault(Auto).index()
		if err != nil || len(x.Litter) > 0 || len(x.Items) != 1 || m.d.size() != x.Items[0].Parts || len(m.vault(Auto).files.all()) > 0 {
			t.Errorf("seed %d: %d entries in the keyring, %d files, litter %v, %v", seed, m.d.size(), len(m.vault(Auto).files.all()), x.Litter, err)
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// model is what a vault is compared with.
type model struct {
	t   *testing.T
	r   *rand.Rand
	dir string
	d   *drawer
	ok  bool // the keyring answers
	n   int
	has map[oauth.Key]*oauth.Account
	// damaged are accounts whose entry was damaged.
	damaged map[oauth.Key]bool
}

func (m *model) vault(w Where) *Vault { return opened(m.t, m.dir, w, m.d) }

func (m *model) well(ok bool) {
	m.ok = ok
	m.d.set(nil)
	if !ok {
		m.d.set(refuse)
	}
}

func (m *model) step() {
	m.n++
	w := []Where{Auto, InFile, InKeyring}[m.r.IntN(3)]
	v, k := m.vault(w), oauth.Key{Upstream: []string{"a", "b"}[m.r.IntN(2)], Principal: []string{"", "ann"}[m.r.IntN(2)]}
	switch m.r.IntN(8) {
	case 0, 1, 2, 3:
		a := account(k.Upstream, k.Principal, m.n)
		a.AccessToken += oauth.Secret(strings.Repeat("x", m.r.IntN(8000)))
		err := v.Put(m.t.Context(), a)
		if (err != nil) != (w == InKeyring && !m.ok) {
			m.t.Errorf("put with %s: %v", w, err)
		}
		if err == nil {
			m.has[k] = a
			delete(m.damaged, k)
		}
	case 4:
		if err := v.Delete(m.t.Context(), k); err != nil {
			m.t.Error(err)
		}
		delete(m.has, k)
		delete(m.damaged, k)
	case 5:
		m.well(!m.ok)
	case 6:
		m.damage(v, k)
	}
	m.check()
}

// damage changes a byte of an entry, or removes it.
func (m *model) damage(v *Vault, k oauth.Key) {
	x, err := v.index()
	if err != nil {
		m.t.Fatal(err)
	}
	it := x.find(name{Kind: ofAccount, Upstream: k.Upstream, Principal: k.Principal})
	if it == nil {
		return
	}
	m.damaged[k] = true
	if it.Place == InKeyring {
		delete(m.d.entries, partName(it.entry, m.r.IntN(it.Parts)))
		return
	}
	if b, err := os.ReadFile(v.files.file(it.entry)); err == nil {
		b[m.r.IntN(len(b))] ^= 4
		if err := os.WriteFile(v.files.file(it.entry), b, 0o600); err != nil {
			m.t.Fatal(err)
		}
	}
}

func (m *model) check() {
	v := m.vault(Auto)
	list, err := v.Accounts(m.t.Context())
	if err != nil || len(list) != len(m.has) {
		m.t.Errorf("%d accounts are listed, want %d: %v", len(list), len(m.has), err)
	}
	for _, u := range []string{"a", "b"} {
		for _, p := range []string{"", "ann"} {
			k := oauth.Key{Upstream: u, Principal: p}
			got, err := v.Account(m.t.Context(), k)
			want := m.has[k]
			switch {
			case want == nil && errors.Is(err, oauth.ErrNoAccount):
			case want != nil && m.damaged[k] && (errors.Is(err, oauth.ErrLost) || !m.ok && errors.Is(err, errLocked)):
			case want != nil && !m.ok && errors.Is(err, errLocked):
			case want != nil && err == nil && !m.damaged[k] && reflect.DeepEqual(got, want):
			default:
				m.t.Errorf("step %d: %v: got %v, %v, want %v (damaged: %v, keyring answers: %v)", m.n, k, got, err, want, m.damaged[k], m.ok)
			}
		}
	}
}
