package identity

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	issuerURL = "https://login.example.com/realms/main"
	endpoint  = "https://mcp.example.com/mcp"
)

// signer is a key pair of an issuer's.
type signer struct {
	id   string
	alg  jose.SignatureAlgorithm
	priv crypto.Signer
}

func newRSA(id string) *signer {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return &signer{id, jose.RS256, k}
}

func newEC(id string) *signer {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return &signer{id, jose.ES256, k}
}

func newEd(id string) *signer {
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return &signer{id, jose.EdDSA, k}
}

// theRSA is made once: that takes its time.
var theRSA = sync.OnceValue(func() *signer { return newRSA("rsa-1") })

func (s *signer) public() jose.JSONWebKey {
	return jose.JSONWebKey{Key: s.priv.Public(), KeyID: s.id, Use: "sig", Algorithm: string(s.alg)}
}

// token signs claims; header holds further header parameters, of which an empty one
// is left out.
func (s *signer) token(t testing.TB, c map[string]any, header map[string]any) string {
	t.Helper()
	h := map[string]any{"alg": string(s.alg), "kid": s.id, "typ": "at+jwt"}
	maps.Copy(h, header)
	maps.DeleteFunc(h, func(_ string, v any) bool { return v == "" })
	return s.sign(t, h, marshal(t, c))
}

func (s *signer) sign(t testing.TB, header map[string]any, payload []byte) string {
	t.Helper()
	opts := &jose.SignerOptions{ExtraHeaders: map[jose.HeaderKey]any{}}
	for k, v := range header {
		if k != "alg" {
			opts.ExtraHeaders[jose.HeaderKey(k)] = v
		}
	}
	js, err := jose.NewSigner(jose.SigningKey{Algorithm: s.alg, Key: s.priv}, opts)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := js.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	out, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// good are the claims of a token that is accepted. With changes it has them, and a nil
// change leaves a claim out.
func good(changes map[string]any) map[string]any {
	now := time.Now()
	c := map[string]any{
		"iss": issuerURL, "sub": "u-1", "aud": endpoint, "exp": now.Add(time.Hour).Unix(), "iat": now.Unix(),
		"scope": "mcp read", "jti": "t-1", "groups": []string{"dev"}, "preferred_username": "ada",
	}
	maps.Copy(c, changes)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

// fakeIssuer answers in the place of the network.
type fakeIssuer struct {
	url  string
	mu   sync.Mutex // guards what follows
	keys []*signer
	// answer, if there is one, comes before the own.
	answer func(r *http.Request) (*http.Response, error)

	discoveries, fetches atomic.Int32
}

func newIssuerFake(keys ...*signer) *fakeIssuer { return &fakeIssuer{url: issuerURL, keys: keys} }

func (f *fakeIssuer) set(answer func(*http.Request) (*http.Response, error), keys ...*signer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer, f.keys = answer, keys
}

func (f *fakeIssuer) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	answer, keys := f.answer, f.keys
	f.mu.Unlock()
	jwks := strings.HasSuffix(r.URL.Path, "/jwks")
	if jwks {
		f.fetches.Add(1)
	} else {
		f.discoveries.Add(1)
	}
	if answer != nil {
		return answer(r)
	}
	switch {
	case jwks:
		var set jose.JSONWebKeySet
		for _, k := range keys {
			set.Keys = append(set.Keys, k.public())
		}
		text, err := json.Marshal(set)
		return respond(http.StatusOK, string(text)), err
	case r.URL.String() == f.url+"/.well-known/openid-configuration":
		text, err := json.Marshal(map[string]string{"issuer": f.url, "jwks_uri": f.url + "/jwks"})
		return respond(http.StatusOK, string(text)), err
	}
	return respond(http.StatusNotFound, "no"), nil
}

func respond(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Status: http.StatusText(status), Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
}

var errRefused = errors.New("connection refused")

func down(*http.Request) (*http.Response, error) { return nil, errRefused }

func hang(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// kit is an authenticator whose issuers are fakes.
type kit struct {
	*Authenticator
	log *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newKit(t testing.TB, c Config, fakes ...*fakeIssuer) *kit {
	t.Helper()
	return newKitAt(t, endpoint, c, fakes...)
}

func newKitAt(t testing.TB, resource string, c Config, fakes ...*fakeIssuer) *kit {
	t.Helper()
	k := &kit{log: &lockedBuffer{}}
	var err error
	k.Authenticator, err = New(c, resource, slog.New(slog.NewTextHandler(k.log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range fakes {
		k.issuers[f.url].client.Transport = f
	}
	return k
}

// oidc is the plainest configuration of an issuer.
func oidc() Config { return Config{OIDC: []OIDC{{Issuer: issuerURL}}} }

// request is one with what it presents, "" for nothing.
func request(bearer string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, endpoint, nil)
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	return r
}

// answered is what a client gets to see of a challenge.
func answered(c *Challenge, r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	c.Write(w, r)
	return w.Result()
}
