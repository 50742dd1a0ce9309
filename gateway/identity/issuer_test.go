package identity

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// ask authenticates a token and returns the status of the answer, 200 for let in.
func ask(t *testing.T, a *kit, token string) int {
	t.Helper()
	_, c := a.Authenticate(t.Context(), request(token))
	if c == nil {
		return http.StatusOK
	}
	return c.Status
}

func wantStatus(t *testing.T, a *kit, token string, want int, when string) {
	t.Helper()
	if got := ask(t, a, token); got != want {
		t.Errorf("%s: %d, want %d; %s", when, got, want, lastLine(a.log))
	}
}

func wantFetches(t *testing.T, f *fakeIssuer, want int32, when string) {
	t.Helper()
	if got := f.fetches.Load(); got != want {
		t.Errorf("%s: the keys were fetched %d times, want %d", when, got, want)
	}
}

// long are claims of a token that outlives the test's clock.
func long() map[string]any {
	return good(map[string]any{"exp": time.Now().Add(100 * time.Hour).Unix()})
}

func TestRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, next := newEC("1"), newEC("2")
		fake := newIssuerFake(old)
		a := newKit(t, oidc(), fake)
		was, is := old.token(t, long(), nil), next.token(t, long(), nil)
		wantStatus(t, a, was, 200, "first")
		wantFetches(t, fake, 1, "first")

		fake.set(nil, old, next)
		wantStatus(t, a, is, 200, "signed with a key that is new")
		wantStatus(t, a, was, 200, "signed with the one before")
		wantFetches(t, fake, 2, "a new key")

		// Keys that nobody has: the issuer is asked now and then, not each time.
		for range 100 {
			wantStatus(t, a, newEd("x").token(t, good(nil), nil), 401, "a key that nobody has")
		}
		wantFetches(t, fake, 3, "unknown keys")
		time.Sleep(unknownEvery)
		third := newEC("3")
		fake.set(nil, next, third)
		wantStatus(t, a, third.token(t, long(), nil), 200, "another new key, after a flood of unknown ones")
		wantFetches(t, fake, 4, "later")
		wantStatus(t, a, was, 401, "the first key is gone, and what it had signed was known")
		if d := fake.discoveries.Load(); d != 3 { // two places where the metadata is not, and the one where it is
			t.Errorf("the metadata was asked for %d times, want 3", d)
		}
	})
}

// TestWithdrawn: a key that the issuer withdraws is not accepted for long, though nobody
// comes with another.
func TestWithdrawn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, next := newEC("1"), newEC("2")
		fake := newIssuerFake(old)
		a := newKit(t, oidc(), fake)
		stop := running(t, a)
		defer stop()
		synctest.Wait()
		wantFetches(t, fake, 1, "at the start")
		token := old.token(t, long(), nil)
		wantStatus(t, a, token, 200, "before")
		known := a.issuers[issuerURL].keys.Load()
		time.Sleep(3*refreshEvery + time.Second)
		if a.issuers[issuerURL].keys.Load() != known {
			t.Error("the same keys are new ones, and all tokens are checked again")
		}
		wantFetches(t, fake, 4, "half an hour")
		fake.set(nil, next)
		time.Sleep(refreshEvery)
		wantStatus(t, a, token, 401, "after")
	})
}

// running runs the authenticator until what it returns is called.
func running(t *testing.T, a *kit) func() {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() { _ = a.Run(ctx) })
	return func() { cancel(); done.Wait() }
}

// TestIssuerInTrouble: whatever is wrong with an issuer at the start, its tokens are not
// let in, others are, and it is asked again until it answers.
func TestIssuerInTrouble(t *testing.T) {
	ec := newEC("1")
	key, hash := NewKey()
	keys := string(marshal(t, map[string]any{"keys": []any{ec.public()}}))
	fine := serving(issuerURL, issuerURL+"/jwks", keys)
	for name, answer := range map[string]func(*http.Request) (*http.Response, error){
		"down":    down,
		"hangs":   hang,
		"garbage": func(*http.Request) (*http.Response, error) { return respond(200, "<html>"), nil },
		"not found": func(r *http.Request) (*http.Response, error) {
			resp, err := fine(r)
			resp.StatusCode = 404
			return resp, err
		},
		"endless": func(r *http.Request) (*http.Response, error) {
			resp, err := fine(r)
			resp.Body = io.NopCloser(io.MultiReader(resp.Body, strings.NewReader(strings.Repeat(" ", maxDocument))))
			return resp, err
		},
		"no keys":      serving(issuerURL, issuerURL+"/jwks", `{"keys":[]}`),
		"null":         serving(issuerURL, issuerURL+"/jwks", `null`),
		"secret keys":  serving(issuerURL, issuerURL+"/jwks", `{"keys":[{"kty":"oct","k":"c2VjcmV0","kid":"1"}]}`),
		"another's":    serving("https://evil.example", issuerURL+"/jwks", keys),
		"keys by http": serving(issuerURL, "http://login.example.com/jwks", keys),
		"keys nowhere": serving(issuerURL, "", keys),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake := newIssuerFake()
				fake.set(answer, ec)
				c := oidc()
				c.APIKeys = []APIKey{{Principal: "ci", Hash: hash}}
				a := newKit(t, c, fake)
				token := ec.token(t, long(), nil)

				r := request(token)
				start := time.Now()
				p, ch := a.Authenticate(t.Context(), r)
				if p != nil || ch == nil {
					t.Fatalf("let in as %v", p)
				}
				resp := answered(ch, r)
				if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") != "1" || resp.Header.Get("WWW-Authenticate") != "" {
					t.Errorf("%d, headers %v", resp.StatusCode, resp.Header)
				}
				if waited := time.Since(start); waited > askTimeout {
					t.Errorf("waited %s", waited)
				}
				wantStatus(t, a, key, 200, "a key")
				wantStatus(t, a, ec.token(t, good(map[string]any{"exp": 1}), nil), 401, "an expired token")

				before := fake.discoveries.Load()
				wantStatus(t, a, token, 503, "at once again")
				if fake.discoveries.Load() != before {
					t.Error("the issuer was asked again at once")
				}
				time.Sleep(firstRetry)
				wantStatus(t, a, token, 503, "a second later")
				fake.set(nil, ec)
				time.Sleep(2*firstRetry - time.Millisecond)
				wantStatus(t, a, token, 503, "before it is asked for the third time")
				time.Sleep(time.Millisecond)
				wantStatus(t, a, token, 200, "recovered")
				if n := strings.Count(a.log.String(), "level=WARN"); n != 1 {
					t.Errorf("it was warned of %d times, want once:\n%s", n, a.log)
				}
			})
		})
	}
}

// serving answers with metadata of an issuer whose keys are at a URL, and with a text
// for the keys.
func serving(issuer, at, keys string) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		if strings.HasSuffix(r.URL.Path, "/jwks") {
			return respond(200, keys), nil
		}
		return respond(200, `{"issuer":"`+issuer+`","jwks_uri":"`+at+`"}`), nil
	}
}

// TestIssuerGoesDown: known keys are good for a day, and unknown ones cannot be told
// from new ones.
func TestIssuerGoesDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ec := newEC("1")
		fake := newIssuerFake(ec)
		a := newKit(t, oidc(), fake)
		stop := running(t, a)
		defer stop()
		synctest.Wait()
		fake.set(down)
		token := ec.token(t, good(map[string]any{"exp": time.Now().Add(48 * time.Hour).Unix()}), nil)
		wantStatus(t, a, token, 200, "just down")
		wantStatus(t, a, newEC("2").token(t, long(), nil), 503, "a key that may be new")
		wantStatus(t, a, newEC("1").token(t, long(), nil), 401, "a wrong signature of a known key")
		time.Sleep(keepKeys - time.Minute)
		wantStatus(t, a, token, 200, "down for most of a day")
		time.Sleep(2 * time.Minute)
		wantStatus(t, a, token, 503, "down for a day")
		fake.set(nil, ec)
		time.Sleep(lastRetry)
		wantStatus(t, a, token, 200, "back")
	})
}

// TestOneAsksForAll: a crowd at the start has the keys fetched once, and a client that
// goes away does not stop it.
func TestOneAsksForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ec := newEC("1")
		fake := newIssuerFake(ec)
		fake.set(func(r *http.Request) (*http.Response, error) {
			select {
			case <-time.After(time.Second):
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
			return serving(issuerURL, issuerURL+"/jwks", string(marshal(t, map[string]any{"keys": []any{ec.public()}})))(r)
		})
		a := newKit(t, oidc(), fake)
		token := ec.token(t, long(), nil)
		ctx, cancel := context.WithCancel(t.Context())
		var crowd sync.WaitGroup
		crowd.Go(func() { _, _ = a.Authenticate(ctx, request(token)) })
		synctest.Wait()
		for range 50 {
			crowd.Go(func() {
				if _, c := a.Authenticate(t.Context(), request(token)); c != nil {
					t.Errorf("refused: %v", c)
				}
			})
		}
		synctest.Wait()
		cancel()
		crowd.Wait()
		wantFetches(t, fake, 1, "a crowd")
	})
}

func TestDiscovery(t *testing.T) {
	ec := newEC("1")
	for _, c := range []struct{ issuer, at string }{
		{"https://a.example", "https://a.example/.well-known/oauth-authorization-server"},
		{"https://a.example", "https://a.example/.well-known/openid-configuration"},
		{"https://a.example/", "https://a.example/.well-known/openid-configuration"},
		{"https://a.example/t/1", "https://a.example/.well-known/oauth-authorization-server/t/1"},
		{"https://a.example/t/1", "https://a.example/.well-known/openid-configuration/t/1"},
		{"https://a.example/t/1", "https://a.example/t/1/.well-known/openid-configuration"},
		{"http://localhost:8080/t", "http://localhost:8080/t/.well-known/openid-configuration"},
	} {
		fake := newIssuerFake(ec)
		fake.url = c.issuer
		fake.set(func(r *http.Request) (*http.Response, error) {
			switch r.URL.String() {
			case c.at:
				return respond(200, `{"issuer":"`+c.issuer+`","jwks_uri":"https://keys.example/jwks"}`), nil
			case "https://keys.example/jwks":
				return respond(200, string(marshal(t, map[string]any{"keys": []any{
					map[string]any{"kty": "OKP", "crv": "Ed448", "x": "AA", "kid": "9"}, map[string]any{"kty": "new"}, 1, ec.public(),
				}}))), nil
			}
			return respond(404, ""), nil
		})
		a := newKit(t, Config{OIDC: []OIDC{{Issuer: c.issuer}}}, fake)
		wantStatus(t, a, ec.token(t, good(map[string]any{"iss": c.issuer}), nil), 200, c.at)
	}
}

func TestKeySets(t *testing.T) {
	ec, ed := newEC("ec"), newEd("ed")
	encryption, other := ec.public(), ec.public()
	encryption.Use, encryption.KeyID = "enc", "enc"
	other.Algorithm, other.KeyID = "ES384", "es384"
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Skip(err)
	}
	private := jose.JSONWebKey{Key: ec.priv, KeyID: "private"}
	set, err := parseKeys(marshal(t, map[string]any{"keys": []any{
		ec.public(), ed.public(), theRSA().public(), encryption, private, jose.JSONWebKey{Key: small.Public(), KeyID: "small"}, other,
	}}))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, k := range set.keys {
		got = append(got, k.KeyID)
	}
	if want := []string{"ec", "ed", "rsa-1", "es384"}; !slices.Equal(got, want) {
		t.Errorf("keys %v, want %v", got, want)
	}
	for _, c := range []struct {
		key  int
		alg  string
		want bool
	}{
		{0, "ES256", true},
		{0, "RS256", false},
		{0, "EdDSA", false},
		{1, "EdDSA", true},
		{1, "ES256", false},
		{2, "RS256", true},
		{2, "PS256", false}, // its alg says RS256
		{2, "ES256", false},
		{3, "ES256", false},
		{3, "ES384", true},
	} {
		if fits(c.alg, &set.keys[c.key]) != c.want {
			t.Errorf("a signature with %s by %s: %v, want %v", c.alg, got[c.key], !c.want, c.want)
		}
	}
}

func TestRedirects(t *testing.T) {
	client := newClient()
	for url, ok := range map[string]bool{"https://b.example/": true, "http://b.example/": false, "http://127.0.0.1:1/": true, "https://u:p@b.example/": false} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := client.CheckRedirect(r, nil) == nil; got != ok {
			t.Errorf("%s is followed: %v, want %v", url, got, ok)
		}
		if client.CheckRedirect(r, make([]*http.Request, maxRedirects+1)) == nil {
			t.Error("redirects are followed for ever")
		}
	}
}

func TestInherit(t *testing.T) {
	ec := newEC("1")
	fake := newIssuerFake(ec)
	a := newKit(t, oidc(), fake)
	token := ec.token(t, long(), nil)
	wantStatus(t, a, token, 200, "before")
	fake.set(down)

	changed := oidc()
	changed.Scopes.Required = []string{"mcp"}
	next := newKit(t, changed, fake)
	next.Inherit(a.Authenticator)
	wantStatus(t, next, token, 200, "after a reload while the issuer is down")
	changed.OIDC[0].RequiredClaims = map[string]string{"sub": "u-1"}
	other := newKit(t, changed, fake)
	other.Inherit(next.Authenticator)
	wantStatus(t, other, token, 503, "after another change of the issuer")
	wantFetches(t, fake, 1, "all in all")
}

// TestReloadWhileAsking: that the gateway stops asking, since a reload replaces who asks,
// is no failure of the issuer.
func TestReloadWhileAsking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ec := newEC("1")
		fake := newIssuerFake(ec)
		fake.set(hang)
		a := newKit(t, oidc(), fake)
		stop := running(t, a)
		synctest.Wait()
		stop()
		fake.set(nil, ec)
		next := newKit(t, oidc(), fake)
		next.Inherit(a.Authenticator)
		defer running(t, next)()
		wantStatus(t, next, ec.token(t, good(nil), nil), 200, "at once after a reload")
		if strings.Contains(a.log.String(), "cannot be had") {
			t.Errorf("log:\n%s", a.log)
		}
	})
}

func TestCacheIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		by := &issuer{}
		set := &keySet{}
		by.asked.Store(time.Now().UnixNano())
		by.keys.Store(set)
		var c cache
		entry := func(d time.Duration) *verified { return &verified{until: time.Now().Add(d), issuer: by, keys: set} }
		for i := range 3 * maxCached {
			c.put([32]byte{byte(i), byte(i >> 8), byte(i >> 16)}, entry(time.Hour))
			if len(c.seen) > maxCached {
				t.Fatalf("%d tokens are remembered", len(c.seen))
			}
		}
		last := [32]byte{1, 2, 3, 4}
		c.put(last, entry(time.Minute))
		if c.get(last, time.Now()) == nil {
			t.Error("the newest is not remembered")
		}
		time.Sleep(time.Minute)
		if c.get(last, time.Now()) != nil {
			t.Error("an expired one is")
		}
		by.keys.Store(&keySet{})
		for i := range maxCached {
			if c.get([32]byte{byte(i), byte(i >> 8), byte(i >> 16)}, time.Now()) != nil {
				t.Fatal("one outlives the keys it was verified with")
			}
		}
	})
}
