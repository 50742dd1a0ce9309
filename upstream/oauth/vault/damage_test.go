package vault

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/interlock-mcp/interlock/upstream/oauth"
)

// What is damaged says so, names the file, and a new sign-in mends what it can.
func TestDamage(t *testing.T) {
	sealed := func(t *testing.T, v *Vault, upstream string) string {
		t.Helper()
		x, err := v.index()
		if err != nil {
			t.Fatal(err)
		}
		return v.files.file(x.find(name{Kind: ofAccount, Upstream: upstream}).entry)
	}
	edit := func(t *testing.T, file string, f func([]byte) []byte) {
		t.Helper()
		b, err := os.ReadFile(file)
		if err == nil {
			err = os.WriteFile(file, f(b), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name   string
		damage func(t *testing.T, v *Vault)
		want   string // of the error
		lost   bool   // a new sign-in mends it
	}{
		{"cut off", func(t *testing.T, v *Vault) {
			edit(t, sealed(t, v, "a"), func(b []byte) []byte { return b[:len(b)-1] })
		}, ".sealed is damaged", true},
		{"empty", func(t *testing.T, v *Vault) { edit(t, sealed(t, v, "a"), func([]byte) []byte { return nil }) }, ".sealed is damaged", true},
		{"half a nonce", func(t *testing.T, v *Vault) {
			edit(t, sealed(t, v, "a"), func(b []byte) []byte { return b[:len(magic)+5] })
		}, ".sealed is damaged", true},
		{"a bit", func(t *testing.T, v *Vault) {
			edit(t, sealed(t, v, "a"), func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
		}, ".sealed is damaged", true},
		{"gone", func(t *testing.T, v *Vault) { _ = os.Remove(sealed(t, v, "a")) }, ".sealed is gone", true},
		{"another's", func(t *testing.T, v *Vault) {
			b, _ := os.ReadFile(sealed(t, v, "b"))
			edit(t, sealed(t, v, "a"), func([]byte) []byte { return b })
		}, ".sealed is damaged", true},
		{"swapped in the index", func(t *testing.T, v *Vault) {
			a, b := filepath.Base(sealed(t, v, "a"))[:32], filepath.Base(sealed(t, v, "b"))[:32]
			edit(t, v.indexFile(), func(x []byte) []byte {
				return []byte(strings.NewReplacer(a, b, b, a).Replace(string(x)))
			})
		}, "the entry is of something else", true},
		{"a path in the index", func(t *testing.T, v *Vault) {
			a := filepath.Base(sealed(t, v, "a"))[:32]
			edit(t, v.indexFile(), func(x []byte) []byte { return bytes.ReplaceAll(x, []byte(a), []byte("../../etc/x")) })
		}, "no file of ours", true},
		{"no key", func(t *testing.T, v *Vault) { _ = os.Remove(v.files.keyFile()) }, "key is gone", true},
		{"short key", func(t *testing.T, v *Vault) { edit(t, v.files.keyFile(), func(b []byte) []byte { return b[:31] }) }, "key is damaged", true},
		{"foreign key", func(t *testing.T, v *Vault) {
			edit(t, v.files.keyFile(), func(b []byte) []byte { b[0]++; return b })
		}, "with another key than", true},
		{"index cut off", func(t *testing.T, v *Vault) { edit(t, v.indexFile(), func(b []byte) []byte { return b[:40] }) }, "put a copy back, or remove the folder", false},
		{"index empty", func(t *testing.T, v *Vault) { edit(t, v.indexFile(), func([]byte) []byte { return nil }) }, "put a copy back, or remove the folder", false},
		{"newer index", func(t *testing.T, v *Vault) {
			edit(t, v.indexFile(), func(b []byte) []byte {
				return bytes.Replace(b, []byte(`"version": 1`), []byte(`"version": 2`), 1)
			})
		}, "version 2, and this Interlock knows version 1", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := opened(t, t.TempDir(), InFile, nil)
			a, b := account("a", "", 1), account("b", "", 2)
			put(t, v, a)
			put(t, v, b)
			c.damage(t, v)
			_, err := v.Account(t.Context(), a.Key)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "ign in again") || strings.Contains(err.Error(), "s3cret") {
				t.Fatal(err)
			}
			if errors.Is(err, oauth.ErrLost) != c.lost {
				t.Errorf("lost: %v", err)
			}
			err = v.Put(t.Context(), a)
			if (err == nil) != c.lost {
				t.Fatalf("a new sign-in: %v", err)
			}
			if c.lost {
				same(t, v, a)
			}
			if err := v.Delete(t.Context(), b.Key); (err == nil) != c.lost {
				t.Errorf("delete: %v", err)
			}
		})
	}
}

func TestPermissions(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there are no modes")
	}
	v := opened(t, t.TempDir(), InFile, nil)
	a := account("a", "", 1)
	put(t, v, a)
	for _, file := range []string{v.dir, v.files.keyFile(), v.indexFile()} {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, mode := range []os.FileMode{info.Mode().Perm() | 0o004, info.Mode().Perm() | 0o002} {
			if err := os.Chmod(file, mode); err != nil {
				t.Fatal(err)
			}
			_, err = v.Account(t.Context(), a.Key)
			if err == nil || !strings.Contains(err.Error(), "is open to all users") || !strings.Contains(err.Error(), "chmod 0") || errors.Is(err, oauth.ErrLost) {
				t.Errorf("%s: %v", file, err)
			}
			if err := v.Put(t.Context(), a); err == nil {
				t.Errorf("%s: written though others may look", file)
			}
		}
		// A group gets at volumes each time that they are mounted: that is taken back.
		if err := os.Chmod(file, info.Mode().Perm()|0o060); err != nil {
			t.Fatal(err)
		}
		same(t, v, a)
		if now, err := os.Stat(file); err != nil || now.Mode() != info.Mode() {
			t.Errorf("%s has mode %v, %v", file, now.Mode(), err)
		}
	}
}

// What a process left behind that was killed is tidied up, and nothing else.
func TestTidies(t *testing.T) {
	v := opened(t, t.TempDir(), InFile, nil)
	put(t, v, account("a", "", 1))
	litter := []string{unfinished + "123", strings.Repeat("0", 32) + ".sealed"}
	others := []string{"notes.sealed", "README"}
	for _, f := range append(litter, others...) {
		if err := os.WriteFile(filepath.Join(v.dir, f), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(t, v, account("b", "", 2))
	same(t, v, account("a", "", 1))
	for _, f := range litter {
		if _, err := os.Stat(filepath.Join(v.dir, f)); err == nil {
			t.Errorf("%s is still there", f)
		}
	}
	for _, f := range others {
		if _, err := os.Stat(filepath.Join(v.dir, f)); err != nil {
			t.Error(err)
		}
	}
}
