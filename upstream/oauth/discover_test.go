package oauth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/interlock-mcp/interlock/upstream/oauth/oauthtest"
)

// visits notes which addresses are asked.
type visits struct {
	next http.RoundTripper
	mu   sync.Mutex // guards all
	all  []string
}

func (v *visits) RoundTrip(r *http.Request) (*http.Response, error) {
	v.mu.Lock()
	v.all = append(v.all, r.Method+" "+r.URL.String())
	v.mu.Unlock()
	return v.next.RoundTrip(r)
}

// watch notes what s's target asks from now on.
func (s *site) watch() *visits {
	v := &visits{next: s.to.Client.Transport}
	c := *s.to.Client
	c.Transport = v
	s.to.Client = &c
	return v
}

// Where metadata is looked for, in which order, and where not: each place of the MCP
// specification, as its suite has them.
func TestDiscoverPlaces(t *testing.T) {
	for _, c := range []struct {
		name, issuer, mcp string
		b                 oauthtest.Behaviour
		p                 oauthtest.Protection
		resource          string
		want              []string
	}{
		{
			name: "all as it should be", issuer: "https://as.test", mcp: "https://mcp.test/mcp", resource: "https://mcp.test/mcp",
			want: []string{
				"POST https://mcp.test/mcp", "GET https://mcp.test/.well-known/oauth-protected-resource/mcp",
				"GET https://as.test/.well-known/oauth-authorization-server",
			},
		},
		{
			name: "not named, OpenID Connect", issuer: "https://as.test", mcp: "https://mcp.test/mcp", resource: "https://mcp.test/mcp",
			b: oauthtest.Behaviour{Metadata: oauthtest.OIDC}, p: oauthtest.Protection{Unnamed: true},
			want: []string{
				"POST https://mcp.test/mcp", "GET https://mcp.test/.well-known/oauth-protected-resource/mcp",
				"GET https://as.test/.well-known/oauth-authorization-server", "GET https://as.test/.well-known/openid-configuration",
			},
		},
		{
			name: "at the root, an issuer with a path", issuer: "https://as.test/tenant1", mcp: "https://mcp.test/mcp", resource: "https://mcp.test",
			p: oauthtest.Protection{Unnamed: true, Metadata: wellKnown},
			want: []string{
				"POST https://mcp.test/mcp", "GET https://mcp.test/.well-known/oauth-protected-resource/mcp", "GET https://mcp.test/.well-known/oauth-protected-resource",
				"GET https://as.test/.well-known/oauth-authorization-server/tenant1",
			},
		},
		{
			name: "elsewhere, OpenID Connect appended", issuer: "https://as.test/tenant1", mcp: "https://mcp.test/mcp", resource: "https://mcp.test/mcp",
			b: oauthtest.Behaviour{Metadata: oauthtest.Appended}, p: oauthtest.Protection{Metadata: "/custom/location.json"},
			want: []string{
				"POST https://mcp.test/mcp", "GET https://mcp.test/custom/location.json",
				"GET https://as.test/.well-known/oauth-authorization-server/tenant1", "GET https://as.test/.well-known/openid-configuration/tenant1",
				"GET https://as.test/tenant1/.well-known/openid-configuration",
			},
		},
		{
			name: "a server at the root, without a challenge", issuer: "https://as.test", mcp: "https://mcp.test/", resource: "https://mcp.test/",
			p: oauthtest.Protection{Challenge: "none"},
			want: []string{
				"POST https://mcp.test/", "GET https://mcp.test/.well-known/oauth-protected-resource", "GET https://as.test/.well-known/oauth-authorization-server",
			},
		},
		{
			name: "initialize is open", issuer: "https://as.test", mcp: "https://mcp.test/mcp", resource: "https://mcp.test/mcp",
			p: oauthtest.Protection{Open: []string{"initialize"}},
			want: []string{
				"POST https://mcp.test/mcp", "POST https://mcp.test/mcp", "GET https://mcp.test/.well-known/oauth-protected-resource/mcp",
				"GET https://as.test/.well-known/oauth-authorization-server",
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &site{store: newMemory()}
			s.as = oauthtest.NewIssuer(t, &s.net, c.issuer, c.b)
			if c.mcp == "https://mcp.test/" {
				c.p.Metadata = wellKnown
				c.p.Edit = func(d map[string]any) { d["resource"] = c.mcp }
			}
			s.mcp = oauthtest.NewResource(t, &s.net, c.mcp, s.as, c.p)
			s.to = &Target{Upstream: "up", URL: c.mcp, Client: s.net.Client()}
			v := s.watch()
			d, err := Discover(t.Context(), s.to, nil)
			if err != nil {
				t.Fatal(err, v.all)
			}
			if d.Resource != c.resource || d.Server.Issuer != c.issuer || d.Server.TokenEndpoint != c.issuer+"/token" {
				t.Errorf("resource %s, issuer %s, token endpoint %s", d.Resource, d.Server.Issuer, d.Server.TokenEndpoint)
			}
			if diff := cmp.Diff(c.want, v.all); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Servers of 2025-03-26 have no metadata of their own: the authorization server is at
// their root, and has fixed places if it has none either.
func TestDiscoverLegacy(t *testing.T) {
	var n oauthtest.Net
	as := oauthtest.NewIssuer(t, &n, "https://mcp.test", oauthtest.Behaviour{})
	mcp := &oauthtest.Resource{URL: "https://mcp.test/v1/mcp"}
	mcp.Trust(as)
	mcp.Set(func(p *oauthtest.Protection) { p.Metadata, p.Scopes = "none", []string{"read"} })
	n.Handle("mcp.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/mcp" {
			mcp.ServeHTTP(w, r)
			return
		}
		as.ServeHTTP(w, r)
	}))
	to := &Target{Upstream: "up", URL: mcp.URL + "?key=secret#x", Client: n.Client()}
	d, err := Discover(t.Context(), to, nil)
	if err != nil || d.Server.RegistrationEndpoint != "https://mcp.test/register" || d.Server.RevocationEndpoint == "" || d.Resource != "https://mcp.test/v1/mcp" || !cmp.Equal(d.Scopes, []string{"read"}) {
		t.Errorf("%+v, %v", d, err)
	}
	as.Set(func(b *oauthtest.Behaviour) { b.Metadata = oauthtest.None })
	d, err = Discover(t.Context(), to, nil)
	if err != nil || d.Server.AuthorizationEndpoint != "https://mcp.test/authorize" || d.Server.TokenEndpoint != "https://mcp.test/token" || d.Server.RegistrationEndpoint != "https://mcp.test/register" {
		t.Errorf("%+v, %v", d, err)
	}
	as.Set(func(b *oauthtest.Behaviour) {
		b.Metadata, b.Edit = oauthtest.OAuth, func(d map[string]any) { d["issuer"] = "https://other.test" }
	})
	if _, err := Discover(t.Context(), to, nil); err == nil || !strings.Contains(err.Error(), `"https://other.test"`) {
		t.Errorf("an issuer that is not at its place: %v", err)
	}
	mcp.Set(func(p *oauthtest.Protection) { p.Open = []string{"initialize", "tools/list"} })
	if _, err := Discover(t.Context(), to, nil); err == nil || !strings.Contains(err.Error(), "asks for no sign-in") || strings.Contains(err.Error(), "secret") {
		t.Errorf("a server that asks nobody to sign in: %v", err)
	}
}

// What lies, or leads elsewhere, is refused with what is wrong, and nothing of it is
// asked.
func TestDiscoverLies(t *testing.T) {
	set := func(k string, v any) func(map[string]any) { return func(d map[string]any) { d[k] = v } }
	for _, c := range []struct {
		name   string
		server func(map[string]any) // the server's metadata
		issuer func(map[string]any)
		header string
		config Config
		want   string
	}{
		{name: "another server's resource", server: set("resource", "https://evil.example.com/mcp"), want: `the resource "https://evil.example.com/mcp"`},
		{name: "a neighbour's resource", server: set("resource", "https://mcp.test/other"), want: "of the resource"},
		{name: "a longer path", server: set("resource", "https://mcp.test/mcp/more"), want: "of the resource"},
		{name: "a path that only begins alike", server: set("resource", "https://mcp.test/mc"), want: "of the resource"},
		{name: "another scheme", server: set("resource", "http://mcp.test/mcp"), want: "of the resource"},
		{name: "another port", server: set("resource", "https://mcp.test:8443/mcp"), want: "of the resource"},
		{name: "no resource", server: set("resource", ""), want: "of the resource"},
		{name: "a resource with a fragment", server: set("resource", "https://mcp.test/mcp#x"), want: "of the resource"},
		{name: "a resource with a user", server: set("resource", "https://x@mcp.test/mcp"), want: "of the resource"},
		{name: "no authorization server", server: set("authorization_servers", []string{}), want: "set auth.issuer"},
		{name: "javascript: as authorization server", server: set("authorization_servers", []string{"javascript:alert(1)"}), want: "no address"},
		{name: "http authorization server", server: set("authorization_servers", []string{"http://as.test"}), want: "not https"},
		{name: "loopback authorization server", server: set("authorization_servers", []string{"http://localhost:8080"}), want: "on this machine"},
		{name: "authorization server with a query", server: set("authorization_servers", []string{"https://as.test?x=1"}), want: "query"},
		{name: "no text", server: set("authorization_servers", 7), want: "not the JSON"},
		{name: "an issuer's metadata of another", issuer: set("issuer", "https://attacker.example.com"), want: `of the issuer "https://attacker.example.com"`},
		{name: "an issuer with another path", issuer: set("issuer", "https://as.test/tenant"), want: "of the issuer"},
		{name: "an issuer in capitals", issuer: set("issuer", "https://AS.test"), want: "of the issuer"},
		{name: "metadata by http", header: `Bearer resource_metadata="http://mcp.test/x"`, want: "not https"},
		{name: "metadata as a script", header: `Bearer resource_metadata="javascript:alert(1)"`, want: "no address"},
		{name: "metadata of this machine", header: `Bearer resource_metadata="http://127.0.0.1:9200/_cat"`, want: "on this machine"},
		{name: "metadata in a file", header: `Bearer resource_metadata="file:///etc/passwd"`, want: "no address"},
		{name: "another issuer than the pinned", config: Config{Issuer: "https://mine.test"}, want: "auth.issuer is https://mine.test"},
		{name: "control characters", server: set("resource", "https://evil.test/\x1b]0;x\x07\n"), want: "of the resource"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, oauthtest.Behaviour{Edit: c.issuer}, oauthtest.Protection{Edit: c.server, Challenge: c.header})
			s.to.Config = c.config
			v := s.watch()
			_, err := Discover(t.Context(), s.to, nil)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.ContainsAny(err.Error(), "\n\x1b\x07") {
				t.Fatalf("%v, want one with %q", err, c.want)
			}
			for _, x := range v.all {
				if _, address, _ := strings.Cut(x, " "); !strings.HasPrefix(address, "https://mcp.test/") && !strings.HasPrefix(address, "https://as.test/") {
					t.Errorf("%s was asked", x)
				}
			}
		})
	}
}

// Documents that are no JSON are passed by, those that are too long, too slow or broken
// are errors; no error quotes one.
func TestDiscoverDocuments(t *testing.T) {
	const secret = "what-the-document-says"
	page := func(status int, kind, body string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodGet {
				return false
			}
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
			return true
		}
	}
	for _, c := range []struct {
		name   string
		before func(http.ResponseWriter, *http.Request) bool
		want   string
	}{
		{"a page for every path", page(200, "text/html", "<html>"+secret), "that describes an authorization server"},
		{"no kind", page(200, "", `{"resource":"`+secret), "that describes an authorization server"},
		{"403", page(403, "application/json", `{}`), "that describes an authorization server"},
		{"500", page(500, "application/json", `{"x":"`+secret+`"}`), "it answered 500"},
		{"204", page(204, "application/json", ``), "it answered 204"},
		{"broken", page(200, "application/json", `{"resource":"`+secret), "not the JSON"},
		{"two documents", page(200, "application/json", `{}{}`), "not the JSON"},
		{"null", page(200, "application/json", `null`), "of the resource"},
		{"deep", page(200, "application/json", `{"resource":`+strings.Repeat("[", 500_000)), "not the JSON"},
		{"huge", page(200, "application/json", `{"resource":"`+strings.Repeat("a", 3<<20)+`"}`), "longer than 1 MiB"},
		{"in circles", func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodGet {
				http.Redirect(w, r, "https://mcp.test/.well-known/next", http.StatusFound)
			}
			return r.Method == http.MethodGet
		}, "redirects"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, oauthtest.Behaviour{Metadata: oauthtest.None}, oauthtest.Protection{Before: c.before})
			s.to.Config.Issuer = "https://as.test" // no fixed places of 2025-03-26
			_, err := Discover(t.Context(), s.to, nil)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), secret) || len(err.Error()) > 800 {
				t.Errorf("%v, want one with %q", err, c.want)
			}
		})
	}
}

// A discovery ends after a minute, however slowly each of its documents comes.
func TestDiscoverSlow(t *testing.T) {
	for name, before := range map[string]func(http.ResponseWriter, *http.Request) bool{
		"silent": func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true },
		"drip": func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Content-Type", "application/json")
			for {
				if _, err := io.WriteString(w, " "); err != nil {
					return true
				}
				select {
				case <-time.After(time.Second):
				case <-r.Context().Done():
					return true
				}
			}
		},
		"29 seconds each": func(w http.ResponseWriter, r *http.Request) bool {
			select {
			case <-time.After(29 * time.Second):
				http.NotFound(w, r)
			case <-r.Context().Done():
			}
			return true
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, oauthtest.Behaviour{}, oauthtest.Protection{Before: before})
				start := time.Now()
				_, err := Discover(t.Context(), s.to, http.Header{})
				if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took > time.Minute {
					t.Errorf("%v after %s", err, took)
				}
				synctest.Wait()
			})
		})
	}
}

// An issuer of the configuration is used where a server names none, and picked where it
// names several.
func TestDiscoverPinned(t *testing.T) {
	for name, servers := range map[string]any{
		"none": nil, "several": []string{"https://other.test", "https://as.test/", "https://more.test"},
	} {
		s := newSite(t, oauthtest.Behaviour{}, oauthtest.Protection{Edit: func(d map[string]any) { d["authorization_servers"] = servers }})
		s.to.Config.Issuer = "https://as.test"
		if d, err := Discover(t.Context(), s.to, nil); err != nil || d.Server.Issuer != "https://as.test" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What is not used of metadata is not kept: no page of ours shows an address of it.
func TestDiscoverKeepsLittle(t *testing.T) {
	s := newSite(t, oauthtest.Behaviour{Edit: func(d map[string]any) {
		for _, k := range []string{"op_policy_uri", "op_tos_uri", "service_documentation", "jwks_uri", "introspection_endpoint"} {
			d[k] = "javascript:alert(1)"
		}
		d["scopes_supported"] = []string{"a", "<script>", "b c", "\x00"}
	}}, oauthtest.Protection{})
	d, err := Discover(t.Context(), s.to, nil)
	if err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprintf("%+v", d); strings.Contains(text, "javascript") || !slices.Equal(d.Server.ScopesSupported, []string{"a", "<script>"}) {
		t.Error(text)
	}
}

// The older transport is asked by GET, and revision 2026-07-28 in its own words; a
// session that was begun for the question is ended.
func TestKnock(t *testing.T) {
	for _, c := range []struct {
		name string
		h    func(r *http.Request, body string) (status int, session string)
		want []string
	}{
		{"sessions", func(_ *http.Request, body string) (int, string) {
			if strings.Contains(body, "initialize") {
				return 200, "s1"
			}
			return 401, ""
		}, []string{"POST ", "POST s1", "DELETE s1"}},
		{"HTTP+SSE", func(r *http.Request, _ string) (int, string) {
			if r.Method == http.MethodPost {
				return 405, ""
			}
			return 401, ""
		}, []string{"POST ", "GET "}},
		{"a slash further", func(r *http.Request, _ string) (int, string) {
			if !strings.HasSuffix(r.URL.Path, "/") {
				return 307, ""
			}
			return 401, ""
		}, []string{"POST ", "POST "}},
		{"modern", func(r *http.Request, _ string) (int, string) {
			if r.Header.Get("Mcp-Protocol-Version") != "2026-07-28" || r.Header.Get("Mcp-Method") != "tools/list" {
				return 400, ""
			}
			return 401, ""
		}, []string{"POST ", "POST "}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var n oauthtest.Net
			var got []string
			n.Handle("mcp.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				b, _ := io.ReadAll(r.Body)
				got = append(got, r.Method+" "+r.Header.Get("Mcp-Session-Id"))
				status, session := c.h(r, string(b))
				if session != "" {
					w.Header().Set("Mcp-Session-Id", session)
				}
				w.Header().Set("WWW-Authenticate", `Bearer scope="x"`)
				w.Header().Set("Location", r.URL.Path+"/")
				w.WriteHeader(status)
			}))
			to := &Target{URL: "https://mcp.test/mcp", Client: n.Client()}
			h, asked, err := to.knock(t.Context())
			if err != nil || !asked || !slices.Equal(readChallenge(h).scopes, []string{"x"}) {
				t.Errorf("%v, asked %t: %v", h, asked, err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
