package identity

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

const (
	maxKeys    = 100
	minRSABits = 2048 // RFC 7518 section 3.3
)

// keySet is the public keys of an issuer. It never changes.
type keySet struct {
	raw  []byte
	keys []jose.JSONWebKey
}

// parseKeys reads a JWK Set (RFC 7517 section 5). Keys that cannot be used are passed
// over: a set may hold some for other purposes, and of kinds that are not known yet.
func parseKeys(raw []byte) (*keySet, error) {
	var doc struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		return nil, errors.New("its keys are not a JWK Set")
	}
	set := &keySet{raw: bytes.Clone(raw)}
	for _, text := range doc.Keys {
		var k jose.JSONWebKey
		if len(set.keys) < maxKeys && json.Unmarshal(text, &k) == nil && verifies(&k) {
			set.keys = append(set.keys, k)
		}
	}
	if len(set.keys) == 0 {
		return nil, errors.New("it has no key that a signature could be checked with")
	}
	return set, nil
}

// verifies tells whether a key is a public one for signatures.
func verifies(k *jose.JSONWebKey) bool {
	if k.Use != "" && k.Use != "sig" {
		return false
	}
	switch pub := k.Key.(type) {
	case *rsa.PublicKey:
		return pub.N.BitLen() >= minRSABits
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return true
	}
	return false // shared secrets, and private keys that nobody should publish
}

// fits tells whether a signature of the algorithm can be of the key.
func fits(alg string, k *jose.JSONWebKey) bool {
	if k.Algorithm != "" && k.Algorithm != alg {
		return false
	}
	switch k.Key.(type) {
	case *rsa.PublicKey:
		return strings.HasPrefix(alg, "RS") || strings.HasPrefix(alg, "PS")
	case *ecdsa.PublicKey:
		return strings.HasPrefix(alg, "ES")
	}
	return alg == string(jose.EdDSA)
}

// verify reports whether a key of the set made the signature: the one that it names,
// or any if it names none; named tells whether there is one to be tried.
func (s *keySet) verify(signed *jose.JSONWebSignature) (ok, named bool) {
	header := &signed.Signatures[0].Header
	for i := range s.keys {
		k := &s.keys[i]
		if header.KeyID != "" && k.KeyID != header.KeyID || !fits(header.Algorithm, k) {
			continue
		}
		named = true
		if _, err := signed.Verify(k.Key); err == nil {
			return true, true
		}
	}
	return false, named
}
