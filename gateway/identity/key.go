package identity

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"github.com/interlock-mcp/interlock/policy"
)

// KeyPrefix is what a key begins with: it tells people, and the scanners of
// repositories, what it is.
const KeyPrefix = "ilk_"

// After its prefix a key has 64 hexadecimal digits: 256 random bits. Nobody can guess
// one, nor find it from its hash, so a plain SHA-256 is right: a slow, salted hash
// protects what people think up, and would cost each request its time.
const (
	keySize = 32
	keyLen  = len(KeyPrefix) + 2*keySize

	hashPrefix = "sha256:"
)

// NewKey makes a key and its hash. The key is to be shown once and kept nowhere.
func NewKey() (key, hash string) {
	random := make([]byte, keySize)
	_, _ = rand.Read(random) // it does not fail
	key = KeyPrefix + hex.EncodeToString(random)
	return key, hashOf(key)
}

// HashKey returns the hash of a key as it belongs into the configuration. The error
// says that it is no key that NewKey could have made.
func HashKey(key string) (string, error) {
	if !keyForm(key) {
		return "", errors.New("it is not a key of Interlock's: those begin with " + KeyPrefix + " and have 64 hexadecimal digits")
	}
	return hashOf(key), nil
}

func hashOf(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hashPrefix + hex.EncodeToString(sum[:])
}

func keyForm(key string) bool { return digitsAfter(key, KeyPrefix, keySize) }

func hashForm(hash string) bool { return digitsAfter(hash, hashPrefix, sha256.Size) }

// digitsAfter tells whether s is a prefix and size bytes in hexadecimal digits.
func digitsAfter(s, prefix string, size int) bool {
	digits, ok := strings.CutPrefix(s, prefix)
	return ok && len(digits) == 2*size && strings.Trim(digits, "0123456789abcdef") == ""
}

// key is what is known of one.
type key struct {
	hash      [sha256.Size]byte
	expires   time.Time // zero: never
	principal *policy.Principal
}

func newKeys(list []APIKey) ([]key, error) {
	keys := make([]key, len(list))
	for i, k := range list {
		hash, err := hex.DecodeString(strings.TrimPrefix(k.Hash, hashPrefix))
		if err != nil || len(hash) != sha256.Size {
			return nil, errors.New("the hash of an API key is not one")
		}
		expires, err := Expiry(k.Expires)
		if err != nil {
			return nil, err
		}
		keys[i] = key{hash: [sha256.Size]byte(hash), expires: expires, principal: &policy.Principal{
			Issuer: Issuer, Subject: k.Principal, Name: k.Principal,
			Scopes: k.Scopes, Groups: k.Groups, Credential: k.credential(),
		}}
	}
	return keys, nil
}

// credential is what the audit and the log call the key.
func (k *APIKey) credential() string {
	if k.Name == "" {
		return "key"
	}
	return "key " + k.Name
}

// byKey returns whose key it is. All are compared, each in constant time: how long
// it takes says nothing of which was nearly right.
func (a *Authenticator) byKey(presented string) (*policy.Principal, refusal) {
	if len(presented) != keyLen {
		return nil, refusal{reason: "not the form of a key"}
	}
	sum := sha256.Sum256([]byte(presented))
	found := -1
	for i := range a.keys {
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(sum[:], a.keys[i].hash[:]), i, found)
	}
	if found < 0 {
		return nil, refusal{reason: "unknown key"}
	}
	k := &a.keys[found]
	if !k.expires.IsZero() && !time.Now().Before(k.expires) {
		return nil, refusal{reason: "expired", credential: k.principal.Credential, who: k.principal.Subject}
	}
	return k.principal, refusal{}
}
