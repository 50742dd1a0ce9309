package oauth

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What servers write into WWW-Authenticate.
func TestReadChallenge(t *testing.T) {
	for _, c := range []struct {
		name    string
		headers []string
		want    challenged
	}{
		{"none", nil, challenged{}},
		{"no parameters", []string{"Bearer"}, challenged{}},
		{
			"all",
			[]string{`Bearer error="insufficient_scope", scope="a b", resource_metadata="https://mcp.test/x"`},
			challenged{metadata: "https://mcp.test/x", scopes: []string{"a", "b"}, code: "insufficient_scope"},
		},
		{"tokens without quotes", []string{`bearer resource_metadata=https://mcp.test/x, error=invalid_token`}, challenged{metadata: "https://mcp.test/x", code: "invalid_token"}},
		{"several in one", []string{`Basic realm="a, b", Bearer scope="x"`}, challenged{scopes: []string{"x"}}},
		{"a malformed one does not hide the next", []string{`Negotiate abc==, x`, `Bearer scope="x"`}, challenged{scopes: []string{"x"}}},
		{"scopes of another scheme are not ours", []string{`DPoP scope="y", resource_metadata="https://mcp.test/x"`}, challenged{metadata: "https://mcp.test/x"}},
		{"the first counts", []string{`Bearer scope="a"`, `Bearer scope="b"`}, challenged{scopes: []string{"a"}}},
		{"what is no scope", []string{`Bearer scope="a \"b\" c"`}, challenged{scopes: []string{"a", "c"}}},
		{"too long", []string{`Bearer scope="` + strings.Repeat("a ", 4000) + `"`}, challenged{}},
		{"commas without end", []string{strings.Repeat(",", 4000), `Bearer scope="a"`}, challenged{scopes: []string{"a"}}},
		{"too many", append(make([]string, 8), `Bearer scope="a"`), challenged{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if d := cmp.Diff(c.want, readChallenge(http.Header{"Www-Authenticate": c.headers}), cmp.AllowUnexported(challenged{})); d != "" {
				t.Error(d)
			}
		})
	}
}

// Whatever a server writes, scopes are scopes and few.
func FuzzReadChallenge(f *testing.F) {
	for _, s := range []string{
		`Bearer resource_metadata="https://a/b", scope="a b", error="insufficient_scope"`, `Basic realm="x", Bearer scope=a`, `Bearer scope="\`, `Bearer a="b" c`,
		`"`, `,`, `Bearer =`, `Negotiate a==`, "Bearer scope=\"a\x00b\"", `Bearer scope="a", Bearer scope="b"`,
	} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		c := readChallenge(http.Header{"Www-Authenticate": {a, b}})
		if len(c.scopes) > maxScopes {
			t.Errorf("%d scopes", len(c.scopes))
		}
		for _, s := range c.scopes {
			if !isScope(s) {
				t.Errorf("%q is a scope", s)
			}
		}
	})
}

// Whatever a document names, what is followed is https, or loopback's for a server that
// is there itself.
func FuzzAddress(f *testing.F) {
	for _, s := range []string{
		"https://as.test/x?y=1", "http://localhost:80", "http://127.0.0.1", "javascript:alert(1)", "https://as.test#x", "//as.test", "https://u@as.test", "https:as.test",
		"https://0x7f.1/", "https://[::1]", "https://localhost.", "HTTPS://AS.test", "https://as.test\\@127.0.0.1", "https://as.test:443:1", "https://1.1", "https://.",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		away, here := &Target{URL: "https://mcp.test/mcp"}, &Target{URL: "http://127.0.0.1:3000/mcp"}
		if u, err := away.address(s); err == nil {
			again, err := url.Parse(u.String())
			if err != nil || again.Scheme != "https" || again.Host == "" || again.User != nil || meansLoopback(again.Hostname()) {
				t.Errorf("%q is followed", s)
			}
		}
		if u, err := here.address(s); err == nil && u.Scheme != "https" && !loopbackHost(u.Hostname()) {
			t.Errorf("%q is followed", s)
		}
	})
}

// A resource that covers a server is of its very host, and at or above its path.
func FuzzCovers(f *testing.F) {
	const server = "https://mcp.test/a/mcp?tenant=1"
	for _, s := range []string{
		"https://mcp.test", "https://mcp.test/", "https://MCP.test:443/a", "https://mcp.test/a/mcp", "https://mcp.test/a/mcp?tenant=1", "https://mcp.test/a/mcp?tenant=2",
		"https://mcp.test/a/m", "https://mcp.test/b", "https://mcp.test/a/../b", "https://mcp.test/%61", "http://mcp.test", "https://mcp.test.evil", "https://mcp.test@evil",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !covers(s, server) {
			return
		}
		u, err := url.Parse(s)
		if err != nil || !strings.EqualFold(u.Host, "mcp.test") && !strings.EqualFold(u.Host, "mcp.test:443") && !strings.EqualFold(u.Host, "mcp.test:") ||
			!strings.EqualFold(u.Scheme, "https") || !strings.HasPrefix("/a/mcp/", u.Path) && u.Path != "" {
			t.Errorf("%q covers the server", s)
		}
	})
}

func TestCovers(t *testing.T) {
	for _, c := range []struct {
		resource, server string
		want             bool
	}{
		{"https://mcp.test/mcp", "https://mcp.test/mcp", true},
		{"https://mcp.test/mcp/", "https://mcp.test/mcp", true},
		{"https://mcp.test/mcp", "https://mcp.test/mcp/", true},
		{"https://mcp.test", "https://mcp.test/mcp", true},
		{"https://mcp.test/", "https://mcp.test/mcp", true},
		{"https://mcp.test/a", "https://mcp.test/a/mcp", true},
		{"HTTPS://MCP.test:443/mcp", "https://mcp.test/mcp", true},
		{"https://mcp.test/mcp", "https://mcp.test/mcp?tenant=1", true},
		{"https://mcp.test/mcp?tenant=1", "https://mcp.test/mcp?tenant=1", true},
		{"https://mcp.test/mcp?tenant=2", "https://mcp.test/mcp?tenant=1", false},
		{"https://mcp.test/mcp?tenant=2", "https://mcp.test/mcp", false},
		{"https://mcp.test/mcp/x", "https://mcp.test/mcp", false},
		{"https://mcp.test/mc", "https://mcp.test/mcp", false},
		{"https://mcp.test/MCP", "https://mcp.test/mcp", false},
		{"https://mcp.test:8443/mcp", "https://mcp.test/mcp", false},
		{"http://mcp.test/mcp", "https://mcp.test/mcp", false},
		{"http://mcp.test:443/mcp", "https://mcp.test/mcp", false},
		{"https://mcp.test.evil/mcp", "https://mcp.test/mcp", false},
		{"https://evil@mcp.test/mcp", "https://mcp.test/mcp", false},
		{"https://mcp.test/mcp#", "https://mcp.test/mcp", true},
		{"https://mcp.test/mcp#x", "https://mcp.test/mcp", false},
		{"https://mcp.test/%6dcp", "https://mcp.test/mcp", false},
		{"mcp.test/mcp", "https://mcp.test/mcp", false},
		{"", "https://mcp.test/mcp", false},
		{"https://" + strings.Repeat("a", 3000), "https://mcp.test/mcp", false},
	} {
		if got := covers(c.resource, c.server); got != c.want {
			t.Errorf("%q covers %q: %t", c.resource, c.server, got)
		}
	}
}

// The identifier of a server has nothing in it that may be secret.
func TestCanonical(t *testing.T) {
	for in, want := range map[string]string{
		"https://MCP.test/mcp":                      "https://mcp.test/mcp",
		"HTTPS://user:pass@mcp.test:8443/a%2Fb?k=s": "https://mcp.test:8443/a%2Fb",
		"http://[::1]:3000/mcp#x":                   "http://[::1]:3000/mcp",
		"http://[::1]/mcp":                          "http://[::1]/mcp",
		"https://mcp.test":                          "https://mcp.test",
	} {
		if got := canonical(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}
