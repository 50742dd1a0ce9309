package oauth

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/interlock-mcp/interlock/upstream/oauth/oauthtest"
)

// Which client signs in, by what is configured and what the server takes.
func TestRegisterOrder(t *testing.T) {
	const document, ours = "https://company.test/oauth/client.json", "https://gateway.test/oauth/client.json"
	for _, c := range []struct {
		name     string
		config   Config
		document string
		b        oauthtest.Behaviour
		how      Registering
		id       string
		method   string
	}{
		{"by hand before all", Config{ClientID: "hand", ClientMetadata: document}, ours, oauthtest.Behaviour{Documents: true}, Preregistered, "hand", methodNone},
		{"by hand with a secret", Config{ClientID: "hand", ClientSecret: "s3cr3t"}, "", oauthtest.Behaviour{}, Preregistered, "hand", methodBasic},
		{"by hand, secrets in the body", Config{ClientID: "hand", ClientSecret: "s3cr3t"}, "", oauthtest.Behaviour{Methods: []string{"client_secret_post", "none"}}, Preregistered, "hand", methodPost},
		{"by hand, with a key", Config{ClientID: "hand", PrivateKey: "key.pem"}, "", oauthtest.Behaviour{}, Preregistered, "hand", methodKey},
		{"the configured document before ours", Config{ClientMetadata: document}, ours, oauthtest.Behaviour{Documents: true}, ByDocument, document, methodNone},
		{"the configured document with a key", Config{ClientMetadata: document, PrivateKey: "key.pem"}, "", oauthtest.Behaviour{Documents: true}, ByDocument, document, methodKey},
		{"our document has no key of the configuration", Config{PrivateKey: "key.pem"}, ours, oauthtest.Behaviour{Documents: true}, ByDocument, ours, methodNone},
		{"our document before registration", Config{}, ours, oauthtest.Behaviour{Documents: true}, ByDocument, ours, methodNone},
		{"no documents there", Config{ClientMetadata: document}, ours, oauthtest.Behaviour{}, Dynamic, "", methodNone},
		{"no document here", Config{}, "", oauthtest.Behaviour{Documents: true}, Dynamic, "", methodNone},
		{"registration with a secret in the header", Config{}, "", oauthtest.Behaviour{Methods: []string{"client_secret_basic"}}, Dynamic, "", methodBasic},
		{"registration with a secret in the body", Config{}, "", oauthtest.Behaviour{Methods: []string{"client_secret_post"}}, Dynamic, "", methodPost},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, c.b, oauthtest.Protection{})
			s.to.Config = c.config
			d, err := Discover(t.Context(), s.to, nil)
			if err != nil {
				t.Fatal(err)
			}
			r, err := s.to.register(t.Context(), d, &BeginOptions{RedirectURI: redirect, Document: c.document, Store: s.store}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if r.How != c.how || c.id != "" && r.ClientID != c.id || r.AuthMethod != c.method || r.Issuer != "https://as.test" || r.RedirectURI != redirect {
				t.Errorf("%+v", r)
			}
			if (r.ClientSecret != "") != strings.HasPrefix(c.method, "client_secret") {
				t.Errorf("a secret for %s: %t", c.method, r.ClientSecret != "")
			}
			if got := len(s.as.Seen("register")); got > 0 != (c.how == Dynamic) {
				t.Errorf("%d registrations", got)
			}
		})
	}
}

// Who signs in in each of these ways gets a token.
func TestRegisterSignsIn(t *testing.T) {
	for _, method := range []string{methodNone, methodBasic, methodPost} {
		s := newSite(t, oauthtest.Behaviour{Methods: []string{method}}, oauthtest.Protection{})
		if acct := s.signIn(t, BeginOptions{}); acct.AccessToken == "" || acct.Client.AuthMethod != method {
			t.Errorf("%s: %+v", method, acct)
		}
	}
	s := newSite(t, oauthtest.Behaviour{Documents: true}, oauthtest.Protection{})
	if acct := s.signIn(t, BeginOptions{Document: "https://gateway.test/oauth/client.json"}); acct.AccessToken == "" {
		t.Errorf("%+v", acct)
	}
}

// A registration is used again: for the same issuer and redirect URI, while the server
// knows it and its secret is valid. A server that has forgotten it is registered at
// anew before a person is sent there.
func TestRegisterAgain(t *testing.T) {
	s := newSite(t, oauthtest.Behaviour{}, oauthtest.Protection{})
	first := s.signIn(t, BeginOptions{}).Client.ClientID
	again := func(o BeginOptions) string {
		t.Helper()
		return s.signIn(t, o).Client.ClientID
	}
	if got := again(BeginOptions{}); got != first {
		t.Error("it was not used again")
	}
	if got := again(BeginOptions{Principal: "anna"}); got != first {
		t.Error("it was not used again for a principal")
	}
	if got := again(BeginOptions{RedirectURI: "https://gateway.test/oauth/callback"}); got == first {
		t.Error("it was used for another redirect URI")
	}
	if b := s.as.Seen("register")[1].Body; b["application_type"] != "web" {
		t.Errorf("application_type of a redirect elsewhere: %v", b["application_type"])
	}
	s.as.Set(func(b *oauthtest.Behaviour) {
		b.Before = func(w http.ResponseWriter, r *http.Request) bool { // a bad moment of the token endpoint
			if r.PostForm.Get("grant_type") == grantRefresh {
				w.WriteHeader(http.StatusBadGateway)
				return true
			}
			return false
		}
	})
	if got := again(BeginOptions{}); got != first {
		t.Error("it was forgotten for a bad moment")
	}
	s.as.Set(func(b *oauthtest.Behaviour) { b.Before = nil })
	s.as.ForgetClients()
	second := again(BeginOptions{})
	if second == first {
		t.Fatal("a client was used that the server does not know")
	}
	r, _ := s.store.Registration(t.Context(), "up", "https://as.test", redirect)
	if r == nil || r.ClientID != second {
		t.Fatalf("what is kept is %+v", r)
	}
	r.Expires = time.Now().Add(time.Minute)
	_ = s.store.PutRegistration(t.Context(), "up", r)
	if got := again(BeginOptions{}); got == second {
		t.Error("it was used a minute before its secret expires")
	}
}

// answers has the registration endpoint answer with one body after the other.
func answers(status []int, bodies ...string) func(w http.ResponseWriter, r *http.Request) bool {
	n := 0
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/register" {
			return false
		}
		i := min(n, len(bodies)-1)
		n++
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Location", "https://thief.test/register")
		w.WriteHeader(status[min(i, len(status)-1)])
		_, _ = io.WriteString(w, bodies[i])
		return true
	}
}

// What servers answer to a registration, and what becomes of it.
func TestRegisterAnswers(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		body   string
		listed any // token_endpoint_auth_methods_supported
		method string
		secret Secret
		never  bool // the secret does not expire
		want   string
	}{
		{name: "a secret without a method, nothing listed", body: `{"client_id":"i","client_secret":"s3cr3t","client_secret_expires_at":0}`, method: methodBasic, secret: "s3cr3t", never: true},
		{name: "a secret without a method, none listed", body: `{"client_id":"i","client_secret":"s3cr3t"}`, listed: []string{"none"}, method: methodNone, secret: "s3cr3t", never: true},
		{name: "its method before ours", body: `{"client_id":"i","client_secret":"s3cr3t","token_endpoint_auth_method":"client_secret_post"}`, method: methodPost, secret: "s3cr3t", never: true},
		{name: "a method without its secret", body: `{"client_id":"i","token_endpoint_auth_method":"client_secret_basic"}`, method: methodNone, never: true},
		{name: "expires", body: `{"client_id":"i","client_secret":"s3cr3t","client_secret_expires_at":4102444800}`, method: methodBasic, secret: "s3cr3t"},
		{name: "expires null", body: `{"client_id":"i","client_secret":"s3cr3t","client_secret_expires_at":null}`, method: methodBasic, secret: "s3cr3t", never: true},
		{name: "expires as a text", body: `{"client_id":"i","client_secret":"s3cr3t","client_secret_expires_at":"never"}`, method: methodBasic, secret: "s3cr3t", never: true},
		{name: "200", status: 200, body: `{"client_id":"i"}`, method: methodNone, never: true},
		{name: "a method that is not known here", body: `{"client_id":"i","client_secret":"s3cr3t","token_endpoint_auth_method":"tls_client_auth"}`, want: `"tls_client_auth"`},
		{name: "no id", body: `{"client_secret":"s3cr3t"}`, want: "no client id"},
		{name: "an id with a line break", body: `{"client_id":"i\r\nX: s3cr3t"}`, want: "no client id"},
		{name: "a huge id", body: `{"client_id":"` + strings.Repeat("i", 5000) + `"}`, want: "no client id"},
		{name: "broken", body: `{"client_id":"i","client_secret":"s3cr3t`, want: "not the JSON"},
		{name: "refused", status: 400, body: `{"error":"invalid_redirect_uri","error_description":"no loopback\n here"}`, want: "invalid_redirect_uri: no loopback  here"},
		{name: "403", status: 403, body: `s3cr3t`, want: "it answered 403"},
		{name: "500 with a reason", status: 500, body: `{"error":"s3cr3t"}`, want: "it answered 500"},
		{name: "redirect", status: 307, body: `{}`, want: "it answered 307"},
		{name: "an error that quotes a secret", status: 400, body: `{"error":"invalid_request","error_description":"s3cr3t","client_secret":"s3cr3t"}`, want: "invalid_request: ***"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.status == 0 {
				c.status = http.StatusCreated
			}
			s := newSite(t, oauthtest.Behaviour{
				Before: answers([]int{c.status}, c.body),
				Edit: func(d map[string]any) {
					delete(d, "token_endpoint_auth_methods_supported")
					if c.listed != nil {
						d["token_endpoint_auth_methods_supported"] = c.listed
					}
				},
			}, oauthtest.Protection{})
			a, err := s.begin(t, BeginOptions{})
			r, _ := s.store.Registration(t.Context(), "up", "https://as.test", redirect)
			if c.want != "" {
				if err == nil || a != nil || r != nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "s3cr3t") || strings.ContainsAny(err.Error(), "\r\n") {
					t.Errorf("%v, want one with %q", err, c.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if r.AuthMethod != c.method || r.ClientSecret != c.secret || r.Expires.IsZero() != c.never || r.ClientID != "i" {
				t.Errorf("%+v", r)
			}
		})
	}
}

// Some servers hold a client to the scopes of its registration, others do not register
// one with scopes that they do not know: both are told what they want.
func TestRegisterScopes(t *testing.T) {
	s := newSite(t, oauthtest.Behaviour{Before: answers([]int{400, 201}, `{"error":"invalid_client_metadata","error_description":"scope"}`, `{"client_id":"i"}`)},
		oauthtest.Protection{Scopes: []string{"read"}})
	if _, err := s.begin(t, BeginOptions{More: []string{"write"}}); err != nil {
		t.Fatal(err)
	}
	var got []any
	for _, x := range s.as.Seen("register") {
		got = append(got, x.Body["scope"])
	}
	if d := cmp.Diff([]any{"read write", nil}, got); d != "" {
		t.Error(d)
	}
	for _, scopes := range [][]string{nil, {"read"}} {
		s = newSite(t, oauthtest.Behaviour{Before: answers([]int{400}, `{"error":"invalid_client_metadata"}`)}, oauthtest.Protection{Scopes: scopes})
		if _, err := s.begin(t, BeginOptions{}); err == nil || len(s.as.Seen("register")) != 1+len(scopes) {
			t.Errorf("%q: %v after %d registrations", scopes, err, len(s.as.Seen("register")))
		}
	}
}

// A server that holds a client to the scopes of its registration once refused all who
// were to sign in for more: the client of before is used for what it was registered for.
func TestRegisterForMore(t *testing.T) {
	s := newSite(t, oauthtest.Behaviour{}, oauthtest.Protection{Scopes: []string{"read"}})
	first := s.signIn(t, BeginOptions{}).Client
	if got := s.signIn(t, BeginOptions{More: []string{"read"}}).Client; got != first {
		t.Errorf("%v is not %v", got, first)
	}
	second := s.signIn(t, BeginOptions{More: []string{"write"}}).Client
	if second.ClientID == first.ClientID || second.Scope != "read write" {
		t.Errorf("it was registered for %q, and before for %q", second.Scope, first.Scope)
	}
	if got := s.signIn(t, BeginOptions{}).Client; got != second {
		t.Errorf("%v is not %v", got, second)
	}
}

// A server whose grants have no refresh_token is not asked for it, some refuse then.
func TestRegisterGrants(t *testing.T) {
	s := newSite(t, oauthtest.Behaviour{
		Edit:   func(d map[string]any) { d["grant_types_supported"] = []string{"authorization_code"} },
		Scopes: []string{"read", "offline_access"},
	}, oauthtest.Protection{Scopes: []string{"read"}})
	a, err := s.begin(t, BeginOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := s.as.Seen("register")[0].Body["grant_types"]; !cmp.Equal(got, []any{"authorization_code"}) || !cmp.Equal(a.Scopes, []string{"read"}) {
		t.Errorf("grants %v, scopes %q", got, a.Scopes)
	}
}

// A document that is offered is taken if it can be had, is about its address and lists the
// very redirect URI; else the client is registered, as where no document is taken.
func TestRegisterOfferedDocument(t *testing.T) {
	const offered = "https://gateway.test/oauth/native.json"
	says := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, body)
		}
	}
	for name, c := range map[string]struct {
		serve http.HandlerFunc // nil for nobody there
		b     oauthtest.Behaviour
		how   Registering
	}{
		"good":             {says(`{"client_id":"` + offered + `","redirect_uris":["https://x.test/cb","` + redirect + `"]}`), oauthtest.Behaviour{Documents: true}, ByDocument},
		"not taken there":  {says(`{"client_id":"` + offered + `","redirect_uris":["` + redirect + `"]}`), oauthtest.Behaviour{}, Dynamic},
		"another redirect": {says(`{"client_id":"` + offered + `","redirect_uris":["http://127.0.0.1:1/cb"]}`), oauthtest.Behaviour{Documents: true}, Dynamic},
		"another client":   {says(`{"client_id":"https://other.test/","redirect_uris":["` + redirect + `"]}`), oauthtest.Behaviour{Documents: true}, Dynamic},
		"an older gateway": {http.NotFound, oauthtest.Behaviour{Documents: true}, Dynamic},
		"out of reach":     {nil, oauthtest.Behaviour{Documents: true}, Dynamic},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, c.b, oauthtest.Protection{})
			if c.serve != nil {
				s.net.Handle("gateway.test", c.serve)
			}
			d, err := Discover(t.Context(), s.to, nil)
			if err != nil {
				t.Fatal(err)
			}
			r, err := s.to.register(t.Context(), d, &BeginOptions{RedirectURI: redirect, Offered: offered, Store: s.store}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if r.How != c.how || (r.ClientID == offered) != (c.how == ByDocument) || r.RedirectURI != redirect {
				t.Errorf("%+v", r)
			}
		})
	}
}
