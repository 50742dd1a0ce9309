package oauth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// assertionLife is short: an assertion is made for one request.
const assertionLife = 2 * time.Minute

// assertion signs who the client is with the key in a PEM file, for one issuer (RFC
// 7523 section 3). The file is read each time, so that a key that was replaced is used
// from then on.
func assertion(file, clientID, issuer string) (Secret, error) {
	if file == "" {
		return "", errors.New("the client proves who it is with a key: set auth.private_key to its PEM file")
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("auth.private_key: %w", err)
	}
	key, alg, err := signingKey(b)
	if err != nil {
		return "", fmt.Errorf("auth.private_key: %s: %w", file, err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return "", fmt.Errorf("auth.private_key: %s cannot sign %s", file, alg)
	}
	now := time.Now()
	s, err := jwt.Signed(signer).Claims(jwt.Claims{
		Issuer: clientID, Subject: clientID, Audience: jwt.Audience{issuer}, ID: rand.Text(),
		IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(assertionLife)),
	}).Serialize()
	if err != nil {
		return "", fmt.Errorf("auth.private_key: %s cannot sign %s", file, alg)
	}
	return Secret(s), nil
}

// signingKey reads the first private key of a PEM file. No error quotes the file.
func signingKey(b []byte) (any, jose.SignatureAlgorithm, error) {
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		var key any
		var err error
		switch block.Type {
		case "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(block.Bytes)
		case "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		case "ENCRYPTED PRIVATE KEY":
			return nil, "", errors.New("the key has a passphrase, which nobody could be asked for: write it without")
		default:
			continue
		}
		if err != nil {
			return nil, "", fmt.Errorf("the block %s does not hold one", block.Type)
		}
		return algorithm(key)
	}
	return nil, "", errors.New("there is no private key in PEM form in it")
}

// algorithm is the one that goes with a key.
func algorithm(key any) (any, jose.SignatureAlgorithm, error) {
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		switch k.Curve.Params().BitSize {
		case 256:
			return k, jose.ES256, nil
		case 384:
			return k, jose.ES384, nil
		case 521:
			return k, jose.ES512, nil
		}
	case *rsa.PrivateKey:
		if k.N.BitLen() >= 2048 {
			return k, jose.RS256, nil
		}
	case ed25519.PrivateKey:
		return k, jose.EdDSA, nil
	}
	return nil, "", errors.New("the key is of no use here: take one for ES256, or RSA of 2048 bits or more")
}
