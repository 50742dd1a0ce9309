package oauth

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/interlock-mcp/interlock/upstream/oauth/oauthtest"
)

// Whose answer it is, to the letter: the scenarios auth/iss-* of the conformance suite,
// and more. Only the right one gets as far as the token endpoint.
func TestFinishIssuer(t *testing.T) {
	unadvertised := func(d map[string]any) { delete(d, "authorization_response_iss_parameter_supported") }
	for _, c := range []struct {
		name   string
		edit   func(map[string]any)
		change func(url.Values)
		want   string // in the error, "" for success
	}{
		{"supported", nil, nil, ""},
		{"supported, missing", nil, func(q url.Values) { q.Del("iss") }, "does not say that it is of"},
		{"supported, empty", nil, func(q url.Values) { q.Set("iss", "") }, `is of ""`},
		{"wrong issuer", nil, func(q url.Values) { q.Set("iss", "https://evil.example.com") }, `is of "https://evil.example.com"`},
		{"normalized", nil, func(q url.Values) { q.Set("iss", "https://as.test/") }, "is of"},
		{"in capitals", nil, func(q url.Values) { q.Set("iss", "https://AS.test") }, "is of"},
		{"with its port", nil, func(q url.Values) { q.Set("iss", "https://as.test:443") }, "is of"},
		{"not advertised", unadvertised, func(q url.Values) { q.Del("iss") }, ""},
		{"not advertised, right", unadvertised, nil, ""},
		{"unexpected", unadvertised, func(q url.Values) { q.Set("iss", "https://evil.example.com") }, "is of"},
		{"advertised as false, wrong", func(d map[string]any) { d["authorization_response_iss_parameter_supported"] = false }, func(q url.Values) { q.Set("iss", "https://evil.example.com") }, "is of"},
		{"twice, the right one first", nil, func(q url.Values) { q.Add("iss", "https://evil.example.com") }, "iss more than once"},
		{"a mix-up's error is not shown", nil, func(q url.Values) {
			q.Set("iss", "https://evil.example.com")
			q.Set("error", "access_denied")
			q.Set("error_description", "call 0900-EVIL")
		}, "is of"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, oauthtest.Behaviour{Edit: c.edit, Redirect: c.change}, oauthtest.Protection{})
			a, err := s.begin(t, BeginOptions{})
			if err != nil {
				t.Fatal(err)
			}
			q, err := a.Headless(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			_, err = a.Finish(t.Context(), q)
			if (err == nil) != (c.want == "") || err != nil && (!strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "EVIL")) {
				t.Errorf("%v, want one with %q", err, c.want)
			}
			if sent := len(s.as.Seen("token")) > 0; sent != (c.want == "") {
				t.Errorf("the code was sent: %t", sent)
			}
			if _, err := a.Finish(t.Context(), q); err == nil {
				t.Error("an attempt was finished twice")
			}
		})
	}
}

// What else can come back to the redirect URI.
func TestFinishAnswers(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(url.Values)
		code   string // of a Refusal
		want   string
		again  bool // the right answer is still taken
	}{
		{name: "no state", change: func(q url.Values) { q.Del("state") }, want: "state", again: true},
		{name: "another state", change: func(q url.Values) { q.Set("state", "AAAAAAAAAAAAAAAAAAAAAAAAAA") }, want: "state", again: true},
		{name: "state twice", change: func(q url.Values) { q.Add("state", "x") }, want: "state more than once", again: true},
		{name: "the person said no", change: func(q url.Values) { q.Del("code"); q.Set("error", "access_denied") }, code: "access_denied"},
		{
			name: "an error with a letter to the person", code: "invalid_scope", want: "a  b",
			change: func(q url.Values) {
				q.Set("error", "invalid_scope")
				q.Set("error_description", "a\r\nb\x1b[2J"+strings.Repeat("x", 10_000))
			},
		},
		{name: "no code", change: func(q url.Values) { q.Del("code") }, want: "no code"},
		{name: "an empty code", change: func(q url.Values) { q.Set("code", "") }, want: "no code"},
		{name: "two codes", change: func(q url.Values) { q.Add("code", "x") }, want: "code more than once", again: true},
		{name: "a code that is none", change: func(q url.Values) { q.Set("code", "x\r\ny") }, want: "no code"},
		{name: "a code of somebody else", change: func(q url.Values) { q.Set("code", "another") }, code: "invalid_grant"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, oauthtest.Behaviour{}, oauthtest.Protection{})
			a, err := s.begin(t, BeginOptions{})
			if err != nil {
				t.Fatal(err)
			}
			good, err := a.Headless(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			bad := url.Values{}
			for k, v := range good {
				bad[k] = append([]string(nil), v...)
			}
			c.change(bad)
			_, err = a.Finish(t.Context(), bad)
			var refused *Refusal
			if got := errors.As(err, &refused); err == nil || got != (c.code != "") || got && refused.Code != c.code {
				t.Fatalf("%v, want a refusal %q", err, c.code)
			}
			if text := err.Error(); !strings.Contains(text, c.want) || strings.ContainsAny(text, "\r\n\x1b") || len(text) > 600 {
				t.Errorf("%q, want one with %q", text, c.want)
			}
			if _, err := a.Finish(t.Context(), good); (err == nil) != c.again {
				t.Errorf("the right answer after that: %v", err)
			}
		})
	}
}

// The answer to one sign-in ends no other one, of the same person or another.
func TestFinishCrossed(t *testing.T) {
	s := newSite(t, oauthtest.Behaviour{}, oauthtest.Protection{})
	one, err := s.begin(t, BeginOptions{Principal: "anna"})
	if err != nil {
		t.Fatal(err)
	}
	two, err := s.begin(t, BeginOptions{Principal: "berta"})
	if err != nil {
		t.Fatal(err)
	}
	q, err := one.Headless(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := two.Finish(t.Context(), q); err == nil {
		t.Fatal("an answer to anna's sign-in signed berta in")
	}
	// Whoever swaps the state, too, has a code that another verifier is for.
	q.Set("state", two.State)
	if _, err := two.Finish(t.Context(), q); err == nil {
		t.Fatal("anna's code signed berta in")
	}
}

// A server that has forgotten the client by the time of the code is registered at anew
// with the next sign-in; one that was configured by hand is nobody's to forget.
func TestFinishForgottenClient(t *testing.T) {
	s := newSite(t, oauthtest.Behaviour{}, oauthtest.Protection{})
	a, err := s.begin(t, BeginOptions{})
	if err != nil {
		t.Fatal(err)
	}
	q, err := a.Headless(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.as.ForgetClients()
	if _, err := a.Finish(t.Context(), q); err == nil || !strings.Contains(err.Error(), "sign in once more") {
		t.Error(err)
	}
	if r, _ := s.store.Registration(t.Context(), "up", "https://as.test", redirect); r != nil {
		t.Error("the registration is still there")
	}
	if s.signIn(t, BeginOptions{}).AccessToken == "" {
		t.Error("no token")
	}
}

// Headless follows a server's own pages with their cookies, and ends where a person
// would be asked, or where it must not go.
func TestHeadless(t *testing.T) {
	for _, c := range []struct {
		name   string
		before func(w http.ResponseWriter, r *http.Request) bool
		want   string // in the error, "" for success
	}{
		{name: "at once"},
		{name: "over a page of its own", before: func(w http.ResponseWriter, r *http.Request) bool {
			switch {
			case r.URL.Path == "/authorize" && r.URL.Query().Get("seen") == "":
				http.SetCookie(w, &http.Cookie{Name: "session", Value: "1", Path: "/", Secure: true})
				http.Redirect(w, r, "login?"+r.URL.RawQuery, http.StatusSeeOther)
			case r.URL.Path == "/login":
				if c, err := r.Cookie("session"); err != nil || c.Value != "1" {
					return false
				}
				http.Redirect(w, r, "/authorize?seen=1&"+r.URL.RawQuery, http.StatusFound)
			default:
				return false
			}
			return true
		}},
		{name: "over a long address", before: func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/authorize" || r.URL.Query().Has("long") {
				return false
			}
			http.Redirect(w, r, r.URL.String()+"&long="+strings.Repeat("x", 3000), http.StatusFound)
			return true
		}},
		{name: "a page for a person", want: "asks a person", before: func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/authorize" {
				_, _ = w.Write([]byte("<form>"))
			}
			return r.URL.Path == "/authorize"
		}},
		{name: "in circles", want: "too often", before: func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/authorize" {
				http.Redirect(w, r, r.URL.String(), http.StatusFound)
			}
			return r.URL.Path == "/authorize"
		}},
		{name: "to this machine", want: "not followed", before: func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/authorize" {
				http.Redirect(w, r, "http://127.0.0.1:1/admin?code=secret-code", http.StatusFound)
			}
			return r.URL.Path == "/authorize"
		}},
		{name: "out of https", want: "not followed", before: func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/authorize" {
				http.Redirect(w, r, "http://as.test/authorize?code=secret-code", http.StatusFound)
			}
			return r.URL.Path == "/authorize"
		}},
		{name: "to a host that is not there", want: "no such host", before: func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/authorize" {
				http.Redirect(w, r, "https://thief.test/?code=secret-code", http.StatusFound)
			}
			return r.URL.Path == "/authorize"
		}},
		{name: "to a script", want: "not followed", before: func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/authorize" {
				w.Header().Set("Location", "javascript:alert('secret-code')")
				w.WriteHeader(http.StatusFound)
			}
			return r.URL.Path == "/authorize"
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, oauthtest.Behaviour{Before: c.before}, oauthtest.Protection{})
			a, err := s.begin(t, BeginOptions{})
			if err != nil {
				t.Fatal(err)
			}
			q, err := a.Headless(t.Context())
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret-code") || strings.Contains(err.Error(), a.State) {
					t.Errorf("%v, want one with %q", err, c.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := a.Finish(t.Context(), q); err != nil {
				t.Error(err)
			}
		})
	}
}
