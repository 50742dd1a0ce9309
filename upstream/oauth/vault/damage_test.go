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

// scene is what a vault has that is to be damaged.
type scene struct {
	a, b    string // the IDs of entries
	ofOther []byte // what the entry b holds
}

// What is damaged says so, names the file, and a new sign-in mends what it can.
func TestDamage(t *testing.T) {
	const entry, key, index = "entry", "key", "index"
	for _, c := range []struct {
		name, file string
		edit       func(b []byte, s scene) []byte // nil removes the file
		want       string                         // of the error
		lost       bool                           // a new sign-in mends it
	}{
		{"cut off", entry, func(b []byte, _ scene) []byte { return b[:len(b)-1] }, ".sealed is damaged", true},
		{"empty", entry, func([]byte, scene) []byte { return nil }, ".sealed is damaged", true},
		{"half a nonce", entry, func(b []byte, _ scene) []byte { return b[:len(magic)+5] }, ".sealed is damaged", true},
		{"a bit", entry, func(b []byte, _ scene) []byte { b[len(b)/2] ^= 1; return b }, ".sealed is damaged", true},
		{"gone", entry, nil, ".sealed is gone", true},
		{"another's", entry, func(_ []byte, s scene) []byte { return s.ofOther }, ".sealed is damaged", true},
		{"no key", key, nil, "key is gone", true},
		{"short key", key, func(b []byte, _ scene) []byte { return b[:31] }, "key is damaged", true},
		{"foreign key", key, func(b []byte, _ scene) []byte { b[0]++; return b }, "with another key than", true},
		{"swapped in the index", index, func(b []byte, s scene) []byte {
			return []byte(strings.NewReplacer(s.a, s.b, s.b, s.a).Replace(string(b)))
		}, "the entry is of something else", true},
		{"a path in the index", index, func(b []byte, s scene) []byte {
			return bytes.ReplaceAll(b, []byte(s.a), []byte("../../etc/x"))
		}, "no file of ours", true},
		{"index cut off", index, func(b []byte, _ scene) []byte { return b[:40] }, "put a copy back, or move it away", false},
		{"index empty", index, func([]byte, scene) []byte { return nil }, "put a copy back, or move it away", false},
		{"index of something else", index, func([]byte, scene) []byte { return []byte("{}") }, "version 0, and this Interlock knows version 1", false},
		{"newer index", index, func(b []byte, _ scene) []byte {
			return bytes.Replace(b, []byte(`"version": 1`), []byte(`"version": 2`), 1)
		}, "version 2, and this Interlock knows version 1", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := opened(t, t.TempDir(), InFile, nil)
			a, b := account("a", "", 1), account("b", "", 2)
			put(t, v, a)
			put(t, v, b)
			s, files := look(t, v), map[string]string{key: v.files.keyFile(), index: v.indexFile()}
			files[entry] = filepath.Join(v.dir, s.a+sealed)
			damage(t, files[c.file], s, c.edit)

			_, err := v.Account(t.Context(), a.Key)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "ign in again") || strings.Contains(err.Error(), "s3cret") {
				t.Fatal(err)
			}
			if errors.Is(err, oauth.ErrLost) != c.lost || errors.Is(err, oauth.ErrUnknown) == c.lost {
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
			if c.lost {
				return
			}
			if err := os.Rename(v.indexFile(), v.indexFile()+".old"); err != nil { // as the error says
				t.Fatal(err)
			}
			put(t, v, a)
			same(t, v, a)
		})
	}
}

// look returns the scene of a vault with accounts a and b.
func look(t *testing.T, v *Vault) scene {
	t.Helper()
	x, err := v.index()
	if err != nil {
		t.Fatal(err)
	}
	s := scene{a: x.find(name{Kind: ofAccount, Upstream: "a"}).ID, b: x.find(name{Kind: ofAccount, Upstream: "b"}).ID}
	if s.ofOther, err = os.ReadFile(filepath.Join(v.dir, s.b+sealed)); err != nil {
		t.Fatal(err)
	}
	return s
}

func damage(t *testing.T, file string, s scene, edit func([]byte, scene) []byte) {
	t.Helper()
	b, err := os.ReadFile(file)
	switch {
	case err != nil:
	case edit == nil:
		err = os.Remove(file)
	default:
		err = os.WriteFile(file, edit(b, s), 0o600)
	}
	if err != nil {
		t.Fatal(err)
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
