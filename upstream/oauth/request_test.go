package oauth

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/interlock-mcp/interlock/upstream/oauth/oauthtest"
)

// machine is a request of a service account.
func (s *site) machine(method string) *grant {
	return &grant{
		target: s.to, endpoint: "https://as.test/token", kind: grantMachine, resource: s.mcp.URL, scopes: []string{"read", "write"},
		client: Registration{Issuer: s.as.URL, ClientID: "me:with/colon", ClientSecret: "s+cret/%", AuthMethod: method},
	}
}

// Each way of client authentication is one that a server checks.
func TestRequestMethods(t *testing.T) {
	for _, method := range []string{methodBasic, methodPost} {
		t.Run(method, func(t *testing.T) {
			s := newSite(t, oauthtest.Behaviour{}, oauthtest.Protection{})
			s.as.Know(oauthtest.Client{ID: "me:with/colon", Secret: "s+cret/%", Method: method})
			got, err := s.machine(method).fetch(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got.access == "" || got.refresh != "" || !cmp.Equal(got.scopes, []string{"read", "write"}) || time.Until(got.expires) > time.Hour || time.Until(got.expires) < 59*time.Minute {
				t.Errorf("scopes %q, expires %s, refresh %s", got.scopes, got.expires, got.refresh)
			}
			f := s.as.Seen("token")[0].Form
			if f.Get("resource") != s.mcp.URL || f.Get("scope") != "read write" {
				t.Errorf("resource %q, scope %q", f.Get("resource"), f.Get("scope"))
			}
			bad := s.machine(method)
			bad.client.ClientSecret = "another one"
			var refused *Refusal
			if _, err := bad.fetch(t.Context()); !errors.As(err, &refused) || refused.Code != "invalid_client" || refused.Status != http.StatusUnauthorized {
				t.Errorf("with another secret: %v", err)
			}
		})
	}
	s := newSite(t, oauthtest.Behaviour{}, oauthtest.Protection{})
	if _, err := s.machine("tls_client_auth").fetch(t.Context()); err == nil || len(s.as.Seen("token")) > 0 {
		t.Errorf("a method that is not known here: %v", err)
	}
}

// A client with a key signs who it is, for the issuer alone.
func TestRequestPrivateKey(t *testing.T) {
	p256, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p521, _ := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	rsaKey, _ := rsa.GenerateKey(rand.Reader, 2048)
	edPublic, ed, _ := ed25519.GenerateKey(rand.Reader)
	sec1, _ := x509.MarshalECPrivateKey(p256)
	for _, c := range []struct {
		name, kind string
		der        []byte
		public     any
	}{
		{"P-256, PKCS 8", "PRIVATE KEY", pkcs8(t, p256), p256.Public()},
		{"P-256, SEC 1", "EC PRIVATE KEY", sec1, p256.Public()},
		{"P-521", "PRIVATE KEY", pkcs8(t, p521), p521.Public()},
		{"RSA", "PRIVATE KEY", pkcs8(t, rsaKey), rsaKey.Public()},
		{"RSA, PKCS 1", "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey), rsaKey.Public()},
		{"Ed25519", "PRIVATE KEY", pkcs8(t, ed), edPublic},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, oauthtest.Behaviour{}, oauthtest.Protection{})
			s.to.Config.PrivateKey = filepath.Join(t.TempDir(), "key.pem")
			block := pem.EncodeToMemory(&pem.Block{Type: c.kind, Bytes: c.der})
			if err := os.WriteFile(s.to.Config.PrivateKey, append([]byte("a comment\n"), block...), 0o600); err != nil {
				t.Fatal(err)
			}
			s.as.Know(oauthtest.Client{ID: "me:with/colon", Key: c.public, Method: methodKey})
			g := s.machine(methodKey)
			g.client.ClientSecret = "" // it has none
			if _, err := g.fetch(t.Context()); err != nil {
				t.Fatal(err)
			}
			g.client.Issuer = "https://another.test" // whose assertion this would be
			if _, err := g.fetch(t.Context()); err == nil {
				t.Error("an assertion for another issuer was taken: the test proves nothing")
			}
		})
	}
}

func pkcs8(t *testing.T, key any) []byte {
	t.Helper()
	b, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A key that cannot be used is said so, without any of the file in the text.
func TestRequestBadKey(t *testing.T) {
	small, _ := rsa.GenerateKey(rand.Reader, 1024) // too small
	for name, file := range map[string]string{
		"empty": "", "no PEM": "topsecret", "garbage": "-----BEGIN PRIVATE KEY-----\ndG9wc2VjcmV0\n-----END PRIVATE KEY-----\n",
		"passphrase": "-----BEGIN ENCRYPTED PRIVATE KEY-----\ndG9wc2VjcmV0\n-----END ENCRYPTED PRIVATE KEY-----\n",
		"small RSA":  string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8(t, small)})),
	} {
		s := newSite(t, oauthtest.Behaviour{}, oauthtest.Protection{})
		s.to.Config.PrivateKey = filepath.Join(t.TempDir(), "key.pem")
		_ = os.WriteFile(s.to.Config.PrivateKey, []byte(file), 0o600)
		_, err := s.machine(methodKey).fetch(t.Context())
		if err == nil || !strings.Contains(err.Error(), "auth.private_key") || strings.Contains(err.Error(), "topsecret") || strings.Contains(err.Error(), "dG9w") {
			t.Errorf("%s: %v", name, err)
		}
	}
	s := newSite(t, oauthtest.Behaviour{}, oauthtest.Protection{})
	if _, err := s.machine(methodKey).fetch(t.Context()); err == nil || !strings.Contains(err.Error(), "auth.private_key") {
		t.Errorf("no file: %v", err)
	}
}

// Answers that are no tokens are errors, and none of them quotes what was sent or
// what came; refusals are told from bad moments.
func TestRequestAnswers(t *testing.T) {
	const sent = "rt-the-refresh-token"
	for _, c := range []struct {
		name, kind, body string
		status           int
		refused          string // the code of a Refusal, "" for trouble
		want             string // in the text
	}{
		{"refused", "application/json", `{"error":"invalid_grant","error_description":"gone"}`, 400, "invalid_grant", "invalid_grant: gone"},
		{"refused with 200, as GitHub does", "application/json", `{"error":"bad_refresh_token","access_token":""}`, 200, "bad_refresh_token", ""},
		{"refused in a form", "application/x-www-form-urlencoded", "error=invalid_grant", 400, "invalid_grant", ""},
		{"quotes what was sent", "application/json", `{"error":"invalid_grant","error_description":"` + sent + ` is not valid, client s+cret/% (` + url.QueryEscape("s+cret/%") + `)"}`, 400, "invalid_grant", "*** is not valid, client *** (***)"},
		{"control characters", "application/json", `{"error":"invalid_grant\u001b[31m","error_description":"a\nb\u202ec` + strings.Repeat("x", 5000) + `"}`, 400, "invalid_grant [31m", ""},
		{"server error", "application/json", `{"error":"server_error"}`, 400, "", "answered 400"},
		{"unavailable", "application/json", `{"error":"temporarily_unavailable"}`, 400, "", "answered 400"},
		{"500 with an error", "application/json", `{"error":"invalid_grant"}`, 500, "", "answered 500"},
		{"429", "application/json", `{"error":"invalid_request"}`, 429, "", "answered 429"},
		{"502 with a page", "text/html", `<html>` + sent + `</html>`, 502, "", "answered 502"},
		{"403 with a page", "text/html", `<html>` + sent + `</html>`, 403, "", "answered 403"},
		{"page with 200", "text/html", `<html>` + sent + `</html>`, 200, "", "no token response"},
		{"no token", "application/json", `{}`, 200, "", "no token response"},
		{"token is no text", "application/json", `{"access_token":{"` + sent + `":1}}`, 200, "", "no token response"},
		{"line break in the token", "application/json", `{"access_token":"` + sent + `\r\nX-Evil: 1","token_type":"bearer"}`, 200, "", "fits no header"},
		{"huge token", "application/json", `{"access_token":"` + strings.Repeat("a", 40_000) + `","token_type":"bearer"}`, 200, "", "fits no header"},
		{"line break in the refresh token", "application/json", `{"access_token":"a","refresh_token":"b\n","token_type":"bearer"}`, 200, "", "fits no header"},
		{"DPoP", "application/json", `{"access_token":"` + sent + `","token_type":"DPoP"}`, 200, "", `type "DPoP"`},
		{"cut off", "application/json", `{"access_token":"` + sent, 200, "", "no token response"},
		{"huge", "application/json", `{"access_token":"` + strings.Repeat("a", 3<<20) + `"}`, 200, "", "no token response"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, oauthtest.Behaviour{Before: func(w http.ResponseWriter, _ *http.Request) bool {
				w.Header().Set("Content-Type", c.kind)
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
				return true
			}}, oauthtest.Protection{})
			g := s.machine(methodPost)
			g.kind, g.params = grantRefresh, url.Values{"refresh_token": {sent}}
			_, err := g.fetch(t.Context())
			var refused *Refusal
			if got := errors.As(err, &refused); err == nil || got != (c.refused != "") || got && refused.Code != c.refused {
				t.Fatalf("%v, want a refusal %q", err, c.refused)
			}
			text := fmt.Sprintf("%v %+v", err, err)
			if strings.Contains(text, sent) || strings.Contains(text, "s+cret") || strings.ContainsAny(text, "\n\r\x1b\u202e") || len(text) > 1200 || !strings.Contains(text, c.want) {
				t.Errorf("the error is %q", text)
			}
		})
	}
}

// What servers say in unusual ways is understood.
func TestRequestUnusual(t *testing.T) {
	for _, c := range []struct {
		name, kind, body string
		scopes           []string
		expires          bool
	}{
		{"no type, no scope, no lifetime", "application/json", `{"access_token":"a"}`, nil, false},
		{"a list of scopes", "application/json", `{"access_token":"a","token_type":"bearer","scope":["read","write admin"]}`, []string{"read", "write", "admin"}, false},
		{"no scopes", "application/json", `{"access_token":"a","scope":""}`, nil, false},
		{"scopes twice, and what is none", "application/json", `{"access_token":"a","scope":"read read \"x\" wr\u0001"}`, []string{"read"}, false},
		{"lifetime as a text", "application/json", `{"access_token":"a","expires_in":"60"}`, nil, true},
		{"a form", "application/x-www-form-urlencoded", "access_token=a&scope=read&expires_in=60", []string{"read"}, true},
		{"an endless lifetime", "application/json", `{"access_token":"a","expires_in":99999999999999}`, nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, oauthtest.Behaviour{Before: func(w http.ResponseWriter, _ *http.Request) bool {
				w.Header().Set("Content-Type", c.kind)
				_, _ = io.WriteString(w, c.body)
				return true
			}}, oauthtest.Protection{})
			got, err := s.machine(methodPost).fetch(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got.access != "a" || !cmp.Equal(got.scopes, c.scopes) || got.expires.IsZero() == c.expires || c.expires && got.expires.Before(time.Now()) {
				t.Errorf("scopes %q, expires %s", got.scopes, got.expires)
			}
		})
	}
}

// What is sent to an endpoint goes nowhere else.
func TestRequestRedirects(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		s := newSite(t, oauthtest.Behaviour{Before: func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, "https://thief.test/token", status)
			return true
		}}, oauthtest.Protection{})
		s.net.Handle("thief.test", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			t.Errorf("%d: the thief was sent a %s", status, r.Method)
		}))
		if _, err := s.machine(methodPost).fetch(t.Context()); err == nil || !strings.Contains(err.Error(), "no redirect") {
			t.Errorf("%d: %v", status, err)
		}
	}
}

// An endpoint that does not answer, or never ends, is given up after 30 seconds.
func TestRequestSlow(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"silent": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"drip": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, " "); err != nil {
					return
				}
				select {
				case <-time.After(time.Second):
				case <-r.Context().Done():
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, oauthtest.Behaviour{}, oauthtest.Protection{})
				s.net.Handle("as.test", h)
				start := time.Now()
				_, err := s.machine(methodPost).fetch(t.Context())
				if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != patience {
					t.Errorf("%v after %s", err, time.Since(start))
				}
			})
		})
	}
}

// A host that is not there is trouble, not a refusal.
func TestRequestNetwork(t *testing.T) {
	s := newSite(t, oauthtest.Behaviour{}, oauthtest.Protection{})
	g := s.machine(methodPost)
	g.endpoint = "https://nowhere.test/token"
	_, err := g.fetch(t.Context())
	var refused *Refusal
	if err == nil || errors.As(err, &refused) || !strings.Contains(err.Error(), "https://nowhere.test/token: no such host") {
		t.Error(err)
	}
}
