package vault

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// files keeps each entry in a file ID.sealed of a folder: magic, a nonce of 12 bytes,
// and what AES-256-GCM makes of the secret, bound to the ID. The key is a file of 32
// bytes beside them.
type files struct{ dir string }

const (
	magic    = "interlock sign-in 1\n"
	keyBytes = 32
	sealed   = ".sealed"
)

func (f *files) keyFile() string { return filepath.Join(f.dir, "key") }

func (f *files) file(e entry) string { return filepath.Join(f.dir, e.ID+sealed) }

func (f *files) get(_ context.Context, e entry) ([]byte, error) {
	if !plainID(e.ID) {
		return nil, lost("the index names no file of ours")
	}
	b, err := readPrivate(f.dir, f.file(e))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, lost("%s is gone", f.file(e))
	}
	if err != nil {
		return nil, err
	}
	key, err := readPrivate(f.dir, f.keyFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, lost("the key %s is gone", f.keyFile())
	}
	if err != nil {
		return nil, err
	}
	if len(key) != keyBytes {
		return nil, lost("the key %s is damaged", f.keyFile())
	}
	secret, ok := open(key, e.ID, b)
	if !ok {
		return nil, lost("%s is damaged, or was written with another key than %s", f.file(e), f.keyFile())
	}
	return secret, nil
}

func (f *files) set(_ context.Context, e entry, secret []byte) error {
	key, err := f.key()
	if err != nil {
		return err
	}
	return replace(f.file(e), seal(key, e.ID, secret))
}

// key returns the key, which it makes if there is none. One that is damaged is made
// anew: what it was for cannot be read any more.
func (f *files) key() ([]byte, error) {
	key, err := readPrivate(f.dir, f.keyFile())
	if err == nil && len(key) == keyBytes {
		return key, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	key = make([]byte, keyBytes)
	_, _ = rand.Read(key) // it never fails
	if err := replace(f.keyFile(), key); err != nil {
		return nil, err
	}
	return key, nil
}

func (f *files) remove(_ context.Context, e entry) error {
	if err := os.Remove(f.file(e)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// all returns the IDs of the files there are, and removes those that nobody finished.
// The caller has the lock.
func (f *files) all() []string {
	there, err := os.ReadDir(f.dir)
	if err != nil {
		return nil
	}
	var ids []string
	for _, t := range there {
		if strings.HasPrefix(t.Name(), unfinished) {
			_ = os.Remove(filepath.Join(f.dir, t.Name()))
		}
		if id, ok := strings.CutSuffix(t.Name(), sealed); ok && plainID(id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// plainID tells whether an ID is one that we make: it becomes part of a path.
func plainID(id string) bool { return len(id) == 32 && strings.Trim(id, "0123456789abcdef") == "" }

// seal encrypts a secret. key has keyBytes.
func seal(key []byte, id string, secret []byte) []byte {
	aead := cipherOf(key)
	out := append([]byte(magic), make([]byte, aead.NonceSize())...)
	nonce := out[len(magic):]
	_, _ = rand.Read(nonce) // it never fails
	return aead.Seal(out, nonce, secret, []byte(magic+id))
}

// open is the inverse of seal; ok is false for what was not made by it with the same
// key and id.
func open(key []byte, id string, b []byte) (secret []byte, ok bool) {
	aead := cipherOf(key)
	rest, ok := strings.CutPrefix(string(b), magic)
	if !ok || len(rest) < aead.NonceSize() {
		return nil, false
	}
	secret, err := aead.Open(nil, []byte(rest[:aead.NonceSize()]), []byte(rest[aead.NonceSize():]), []byte(magic+id))
	return secret, err == nil
}

func cipherOf(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(fmt.Sprintf("a key of %d bytes", len(key)))
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return aead
}
