package oauth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/interlock-mcp/interlock/upstream/oauth/oauthtest"
)

const redirect = "http://127.0.0.1:7777/callback"

// begin begins a sign-in.
func (s *site) begin(t *testing.T, o BeginOptions) (*Attempt, error) {
	t.Helper()
	if o.RedirectURI == "" {
		o.RedirectURI = redirect
	}
	o.Store = s.store
	return Begin(t.Context(), s.to, o)
}

// signIn signs in as somebody whom nobody asks, and stores the account.
func (s *site) signIn(t *testing.T, o BeginOptions) *Account {
	t.Helper()
	a, err := s.begin(t, o)
	if err != nil {
		t.Fatal(err)
	}
	q, err := a.Headless(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	acct, err := a.Finish(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.store.Put(t.Context(), acct); err != nil {
		t.Fatal(err)
	}
	return acct
}

// A person signs in: the request has all that it has to, and the token is taken.
func TestSignIn(t *testing.T) {
	s := newSite(t, oauthtest.Behaviour{Scopes: []string{"read", "offline_access"}}, oauthtest.Protection{Scopes: []string{"read"}})
	acct := s.signIn(t, BeginOptions{Principal: "key:anna"})
	want := &Account{
		Key: Key{"up", "key:anna"}, Issuer: "https://as.test", Resource: "https://mcp.test/mcp", Scopes: []string{"read", "offline_access"},
		Client:        Registration{Issuer: "https://as.test", RedirectURI: redirect, ClientID: s.as.Clients()[0], AuthMethod: "none", How: Dynamic, Scope: "read offline_access"},
		TokenEndpoint: "https://as.test/token", RevocationEndpoint: "https://as.test/revoke",
		AccessToken: acct.AccessToken, RefreshToken: acct.RefreshToken, Expires: acct.Expires, Obtained: acct.Obtained,
	}
	if d := cmp.Diff(want, acct); d != "" {
		t.Error(d)
	}
	if acct.AccessToken == "" || acct.RefreshToken == "" || time.Until(acct.Expires) < 59*time.Minute || time.Since(acct.Obtained) > time.Minute {
		t.Errorf("token %s, renewed by %s, expires %s, obtained %s", acct.AccessToken, acct.RefreshToken, acct.Expires, acct.Obtained)
	}
	q := s.as.Seen("authorize")[0].Form
	for k, v := range map[string]string{
		"response_type": "code", "client_id": acct.Client.ClientID, "redirect_uri": redirect, "resource": "https://mcp.test/mcp",
		"code_challenge_method": "S256", "scope": "read offline_access", "prompt": "consent",
	} {
		if q.Get(k) != v {
			t.Errorf("%s is %q, want %q", k, q.Get(k), v)
		}
	}
	if len(q.Get("state")) < 26 || len(q.Get("code_challenge")) != 43 || q.Has("code_verifier") {
		t.Errorf("state %q, code_challenge %q", q.Get("state"), q.Get("code_challenge"))
	}
	b := s.as.Seen("register")[0].Body
	for k, v := range map[string]any{
		"client_name": "Interlock", "application_type": "native", "token_endpoint_auth_method": "none", "scope": "read offline_access",
		"grant_types": []any{"authorization_code", "refresh_token"}, "response_types": []any{"code"}, "redirect_uris": []any{redirect},
	} {
		if !cmp.Equal(b[k], v) {
			t.Errorf("registration: %s is %v, want %v", k, b[k], v)
		}
	}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, s.mcp.URL, strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"ping"}`))
	req.Header.Set("Authorization", "Bearer "+string(acct.AccessToken))
	resp, err := s.to.Client.Do(req)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp, err)
	}
	resp.Body.Close()
}

// Which scopes are asked for: the challenge's, else all of the metadata's, with those
// that were granted before; those of the configuration instead of the server's.
func TestSignInScopes(t *testing.T) {
	for _, c := range []struct {
		name                                    string
		challenge, metadata, server, configured []string
		before, more                            []string
		issuer                                  string // of the account of before
		want                                    string
	}{
		{name: "nobody names any", want: ""},
		{name: "the challenge's before the metadata's", challenge: []string{"a"}, metadata: []string{"a", "b"}, want: "a"},
		{name: "all of the metadata's", metadata: []string{"a", "b"}, want: "a b"},
		{name: "with offline_access where there is such", metadata: []string{"a"}, server: []string{"a", "offline_access"}, want: "a offline_access"},
		{name: "not alone, in place of the defaults", server: []string{"offline_access"}, want: ""},
		{name: "never where it is not listed", metadata: []string{"a"}, server: []string{"a"}, want: "a"},
		{name: "once", challenge: []string{"offline_access", "a"}, server: []string{"offline_access"}, want: "offline_access a"},
		{name: "step-up keeps what was granted", challenge: []string{"write"}, before: []string{"read", "admin"}, want: "read admin write"},
		{name: "granted elsewhere is nothing here", challenge: []string{"write"}, before: []string{"read"}, issuer: "https://old.test", want: "write"},
		{name: "more", challenge: []string{"read"}, more: []string{"write", "read"}, want: "read write"},
		{name: "configured", challenge: []string{"read"}, metadata: []string{"x"}, before: []string{"old"}, configured: []string{"only"}, want: "only"},
		{name: "configured and more", challenge: []string{"read"}, configured: []string{"only"}, more: []string{"write"}, want: "only write"},
		{name: "what is no scope is left out", metadata: []string{"a b", `"c"`, "d\n", "", "e"}, want: "e"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, oauthtest.Behaviour{Scopes: c.server}, oauthtest.Protection{Scopes: c.challenge, Supported: c.metadata})
			s.to.Config.Scopes = c.configured
			if c.before != nil {
				issuer := "https://as.test"
				if c.issuer != "" {
					issuer = c.issuer
				}
				_ = s.store.Put(t.Context(), &Account{Key: Key{Upstream: "up"}, Issuer: issuer, Scopes: c.before})
			}
			a, err := s.begin(t, BeginOptions{More: c.more})
			if err != nil {
				t.Fatal(err)
			}
			u, _ := url.Parse(a.URL)
			if got := u.Query().Get("scope"); got != c.want || strings.Join(a.Scopes, " ") != c.want || u.Query().Has("scope") == (c.want == "") {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

// What a server grants is recorded, also if that is less; if it does not say, what was
// asked for.
func TestSignInGranted(t *testing.T) {
	for name, c := range map[string]struct {
		b    oauthtest.Behaviour
		want []string
	}{
		"less":      {oauthtest.Behaviour{MaxScopes: []string{"read"}}, []string{"read"}},
		"not said":  {oauthtest.Behaviour{Silent: true}, []string{"read", "write"}},
		"no expiry": {oauthtest.Behaviour{Lifetime: -1, NoRefresh: true}, []string{"read", "write"}},
	} {
		s := newSite(t, c.b, oauthtest.Protection{Supported: []string{"read", "write"}})
		acct := s.signIn(t, BeginOptions{})
		if !cmp.Equal(acct.Scopes, c.want) || acct.Expires.IsZero() != (c.b.Lifetime < 0) || (acct.RefreshToken == "") != c.b.NoRefresh {
			t.Errorf("%s: %q, expires %s", name, acct.Scopes, acct.Expires)
		}
	}
}

// Nothing prints what an attempt or an account keeps secret.
func TestSignInPrintsNoSecrets(t *testing.T) {
	s := newSite(t, oauthtest.Behaviour{Methods: []string{"client_secret_post"}}, oauthtest.Protection{})
	a, err := s.begin(t, BeginOptions{})
	if err != nil {
		t.Fatal(err)
	}
	q, err := a.Headless(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	l := slog.New(slog.NewTextHandler(&log, nil))
	text := fmt.Sprintf("%v %+v %#v", a, a, a)
	acct, err := a.Finish(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	l.Info("signed in", "attempt", a, "account", acct)
	text += fmt.Sprintf("%v %+v %#v %v", acct, acct, acct, acct.Client) + log.String()
	verifier := s.as.Seen("token")[0].Form.Get("code_verifier")
	for _, x := range []string{verifier, string(acct.AccessToken), string(acct.RefreshToken), string(acct.Client.ClientSecret)} {
		if len(x) < 10 || strings.Contains(text, x) {
			t.Errorf("a secret of %d bytes is printed", len(x))
		}
	}
}

// Begin refuses what it could not finish safely, before a person is sent anywhere.
func TestBeginRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		edit   func(map[string]any)
		config Config
		o      BeginOptions
		want   string
	}{
		{name: "no PKCE", edit: func(d map[string]any) { delete(d, "code_challenge_methods_supported") }, want: "PKCE"},
		{name: "plain PKCE", edit: func(d map[string]any) { d["code_challenge_methods_supported"] = []string{"plain"} }, want: "S256"},
		{name: "no authorization endpoint", edit: func(d map[string]any) { delete(d, "authorization_endpoint") }, want: "signs in no persons"},
		{name: "javascript:", edit: func(d map[string]any) { d["authorization_endpoint"] = "javascript:alert(1)//https://as.test" }, want: "no address"},
		{name: "javascript with a host", edit: func(d map[string]any) { d["authorization_endpoint"] = "javascript://as.test/%0aalert(1)" }, want: "not https"},
		{name: "file:", edit: func(d map[string]any) { d["authorization_endpoint"] = "file:///etc/passwd" }, want: "no address"},
		{name: "http", edit: func(d map[string]any) { d["authorization_endpoint"] = "http://as.test/authorize" }, want: "not https"},
		{name: "http token endpoint", edit: func(d map[string]any) { d["token_endpoint"] = "http://as.test/token" }, want: "not https"},
		{name: "http registration", edit: func(d map[string]any) { d["registration_endpoint"] = "http://as.test/register" }, want: "not https"},
		{name: "http revocation", edit: func(d map[string]any) { d["revocation_endpoint"] = "http://as.test/revoke" }, want: "not https"},
		{name: "this machine", edit: func(d map[string]any) { d["authorization_endpoint"] = "https://127.0.0.1/authorize" }, want: "this machine"},
		{name: "this machine by http", edit: func(d map[string]any) { d["authorization_endpoint"] = "http://localhost:9000/reset" }, want: "this machine"},
		{name: "this machine, spelt", edit: func(d map[string]any) { d["authorization_endpoint"] = "https://Foo.LocalHost./x" }, want: "this machine"},
		{name: "this machine as a number", edit: func(d map[string]any) { d["authorization_endpoint"] = "https://2130706433/x" }, want: "this machine"},
		{name: "this machine, IPv6", edit: func(d map[string]any) { d["authorization_endpoint"] = "https://[::ffff:127.0.0.1]/x" }, want: "this machine"},
		{name: "user in the address", edit: func(d map[string]any) { d["authorization_endpoint"] = "https://bank.test@as.test/authorize" }, want: "user"},
		{name: "fragment", edit: func(d map[string]any) { d["authorization_endpoint"] = "https://as.test/authorize#x" }, want: "fragment"},
		{name: "no token endpoint", edit: func(d map[string]any) { delete(d, "token_endpoint") }, want: "token_endpoint"},
		{name: "huge address", edit: func(d map[string]any) { d["authorization_endpoint"] = "https://as.test/" + strings.Repeat("a", 3000) }, want: "too long"},
		{name: "no registration", edit: func(d map[string]any) { delete(d, "registration_endpoint") }, want: "auth.client_id"},
		{name: "redirect elsewhere", o: BeginOptions{RedirectURI: "http://thief.test/callback"}, want: "redirect URI"},
		{name: "service account", config: Config{Flow: ClientCredentials}, want: "auth.flow"},
		{name: "no sign-in", config: Config{Flow: NoFlow}, want: "auth.flow"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, oauthtest.Behaviour{Edit: c.edit}, oauthtest.Protection{})
			s.to.Config = c.config
			a, err := s.begin(t, c.o)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") || len(err.Error()) > 600 {
				t.Errorf("%v, want one with %q", err, c.want)
			}
			if a != nil || len(s.as.Seen("register")) > 0 {
				t.Error("something was begun")
			}
		})
	}
}

// An endpoint's own query stays, but puts nothing in the place of ours.
func TestBeginEndpointQuery(t *testing.T) {
	s := newSite(t, oauthtest.Behaviour{Edit: func(d map[string]any) {
		d["authorization_endpoint"] = "https://as.test/authorize?tenant=7&client_id=evil&state=known&scope=all&redirect_uri=https://thief.test"
	}}, oauthtest.Protection{})
	a, err := s.begin(t, BeginOptions{})
	if err != nil {
		t.Fatal(err)
	}
	u, _ := url.Parse(a.URL)
	q := u.Query()
	if q.Get("tenant") != "7" || q.Has("scope") || len(q["client_id"]) != 1 || q.Get("client_id") == "evil" || len(q["state"]) != 1 || q.Get("state") != a.State || q.Get("redirect_uri") != redirect {
		t.Error(a.URL)
	}
}

// A server that changed to another authorization server has people sign in there, as
// another client; a secret that was given out by hand is not shown to it.
func TestIssuerChanged(t *testing.T) {
	s := newSite(t, oauthtest.Behaviour{}, oauthtest.Protection{})
	first := s.signIn(t, BeginOptions{})
	next := oauthtest.NewIssuer(t, &s.net, "https://next.test", oauthtest.Behaviour{})
	s.mcp.Trust(next)
	acct := s.signIn(t, BeginOptions{})
	if acct.Issuer != "https://next.test" || acct.Client.ClientID == first.Client.ClientID || len(next.Seen("register")) != 1 {
		t.Errorf("signed in at %s as %s", acct.Issuer, acct.Client.ClientID)
	}
	s.to.Config.ClientID, s.to.Config.ClientSecret = "by-hand", "s3cret-by-hand"
	_ = s.store.Put(t.Context(), first)
	if _, err := s.begin(t, BeginOptions{}); err == nil || !strings.Contains(err.Error(), "set auth.issuer") {
		t.Error(err)
	}
	s.to.Config.Issuer = "https://next.test"
	if _, err := s.begin(t, BeginOptions{}); err != nil {
		t.Error(err)
	}
	s.to.Config.Issuer = "https://as.test"
	if _, err := s.begin(t, BeginOptions{}); err == nil || !strings.Contains(err.Error(), "https://next.test now") {
		t.Error(err)
	}
}

// A store that cannot be read is an error, not a reason to register again.
func TestBeginStore(t *testing.T) {
	s := newSite(t, oauthtest.Behaviour{}, oauthtest.Protection{})
	_, err := Begin(t.Context(), s.to, BeginOptions{RedirectURI: redirect, Store: locked{s.store}})
	if !errors.Is(err, errLocked) || len(s.as.Seen("register")) > 0 {
		t.Error(err)
	}
}

var errLocked = errors.New("the keyring is locked")

type locked struct{ *memory }

func (locked) Account(context.Context, Key) (*Account, error) { return nil, errLocked }
