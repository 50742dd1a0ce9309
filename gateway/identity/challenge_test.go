package identity

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/interlock-mcp/interlock/policy"
)

func TestChallenges(t *testing.T) {
	narrow, narrowHash := NewKey()
	wide, wideHash := NewKey()
	admin, adminHash := NewKey()
	a := newKit(t, Config{
		APIKeys: []APIKey{
			{Principal: "narrow", Hash: narrowHash, Scopes: []string{"read"}},
			{Principal: "wide", Hash: wideHash, Scopes: []string{"mcp", "github.read"}},
			{Principal: "admin", Hash: adminHash, Scopes: []string{"everything"}},
		},
		Scopes: Scopes{
			Required: []string{"mcp"},
			Tools: map[string][]string{
				"github__*": {"github.read"}, "*__delete_*": {"github.write", "mcp"}, "wide/open": nil, "github__delete_all": {"nobody"},
			},
			Implies: map[string][]string{"everything": {"some", "github.read"}, "some": {"github.write", "mcp", "everything"}},
		},
	})
	const at = `Bearer resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource/mcp", `
	check := func(name string, c *Challenge, status int, header, body string) {
		t.Helper()
		if c == nil {
			t.Errorf("%s: no challenge", name)
			return
		}
		resp := answered(c, request(""))
		if resp.StatusCode != status || resp.Header.Get("WWW-Authenticate") != at+header {
			t.Errorf("%s: %d %s\nwant %d %s", name, resp.StatusCode, resp.Header.Get("WWW-Authenticate"), status, at+header)
		}
		if got, _ := io.ReadAll(resp.Body); string(got) != body+"\n" {
			t.Errorf("%s: body %s, want %s", name, got, body)
		}
		if resp.Header.Get("Cache-Control") != "no-store" || resp.Header.Get("Access-Control-Expose-Headers") != "WWW-Authenticate" || resp.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: headers %v", name, resp.Header)
		}
	}
	who := func(key string) *policy.Principal {
		t.Helper()
		p, c := a.Authenticate(t.Context(), request(key))
		if c != nil {
			t.Fatalf("refused: %v", c)
		}
		return p
	}

	_, c := a.Authenticate(t.Context(), request(""))
	// RFC 6750 section 3.1: no error code where nothing was presented.
	check("nothing presented", c, http.StatusUnauthorized, `scope="mcp"`,
		`{"error":"unauthenticated","error_description":"a credential is needed","scope":"mcp"}`)
	_, c = a.Authenticate(t.Context(), request(narrow))
	check("a required scope is missing", c, http.StatusForbidden,
		`scope="mcp", error="insufficient_scope", error_description="the credential does not allow this: it needs the scope mcp"`,
		`{"error":"insufficient_scope","error_description":"the credential does not allow this: it needs the scope mcp","scope":"mcp"}`)
	check("a tool's scope is missing", a.Allowed(who(wide), "github__delete_repo"), http.StatusForbidden,
		`scope="mcp github.write github.read", error="insufficient_scope", error_description="the credential does not allow this: it needs the scopes mcp github.write github.read"`,
		`{"error":"insufficient_scope","error_description":"the credential does not allow this: it needs the scopes mcp github.write github.read","scope":"mcp github.write github.read"}`)

	for _, c := range []struct {
		p    *policy.Principal
		tool string
		want bool
	}{
		{who(wide), "github__list", true},
		{who(wide), "files__read", true},
		{who(wide), "files__delete_x", false},
		{who(wide), "a/b__delete_x", false},
		{who(wide), "wide/open", true},
		{who(admin), "github__delete_repo", true}, // by what everything implies
		{who(admin), "github__delete_all", false},
		{Local(), "github__delete_all", true},
		{&policy.Principal{Issuer: "interlock", Subject: "operator"}, "github__delete_all", true},
		{&policy.Principal{}, "github__delete_all", false},
	} {
		if got := a.Allowed(c.p, c.tool) == nil; got != c.want {
			t.Errorf("%s may call %s: %v, want %v", c.p, c.tool, got, c.want)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	for after, want := range map[time.Duration]string{time.Millisecond: "1", time.Second: "1", 1500 * time.Millisecond: "2", 0: ""} {
		resp := answered(&Challenge{Status: http.StatusServiceUnavailable, RetryAfter: after}, request(""))
		if got := resp.Header.Get("Retry-After"); got != want {
			t.Errorf("Retry-After of %s: %q, want %q", after, got, want)
		}
	}
}

func TestResources(t *testing.T) {
	const well = "/.well-known/oauth-protected-resource"
	for _, c := range []struct {
		resource, host, path string
		want                 string // the URL of the resource
		metadata             string // where that is told of
	}{
		{"https://mcp.example.com/mcp", "mcp.example.com", "/mcp", "https://mcp.example.com/mcp", "https://mcp.example.com" + well + "/mcp"},
		{"https://mcp.example.com/mcp", "10.0.0.1:7777", "/mcp/u/git", "https://mcp.example.com/mcp/u/git", "https://mcp.example.com" + well + "/mcp/u/git"},
		{"https://mcp.example.com/mcp", "x", "/mcp/p/small/u/git", "https://mcp.example.com/mcp/p/small/u/git", "https://mcp.example.com" + well + "/mcp/p/small/u/git"},
		{"https://mcp.example.com/mcp", "x", `/mcp/u/a"b\`, "https://mcp.example.com/mcp/u/a%22b%5C", "https://mcp.example.com" + well + "/mcp/u/a%22b%5C"},
		{"https://mcp.example.com/mcp", "x", "/sse", "https://mcp.example.com/sse", "https://mcp.example.com" + well + "/sse"},
		{"https://mcp.example.com/mcp", "x", "/messages", "https://mcp.example.com/sse", "https://mcp.example.com" + well + "/sse"},
		{"https://mcp.example.com/mcp", "x", "/elsewhere", "https://mcp.example.com/mcp", "https://mcp.example.com" + well + "/mcp"},
		{"https://mcp.example.com", "x", "/", "https://mcp.example.com", "https://mcp.example.com" + well},
		{"https://mcp.example.com/", "x", "/u/git", "https://mcp.example.com/u/git", "https://mcp.example.com" + well + "/u/git"},
		// The proxy before us has another path than we.
		{"https://example.com/tools", "x", "/mcp/u/git", "https://example.com/tools/u/git", "https://example.com" + well + "/tools/u/git"},
		{"https://example.com/u/tools", "x", "/u/tools", "https://example.com/u/tools", "https://example.com" + well + "/u/tools"},
		// Without a public URL it is what the client calls us by, on this machine.
		{"http://127.0.0.1:7777/mcp", "localhost:7777", "/mcp", "http://localhost:7777/mcp", "http://localhost:7777" + well + "/mcp"},
		{"http://127.0.0.1:7777/mcp", "[::1]:7777", "/mcp", "http://[::1]:7777/mcp", "http://[::1]:7777" + well + "/mcp"},
		{"http://127.0.0.1:7777/mcp", "localhost:8080", "/mcp", "http://127.0.0.1:7777/mcp", "http://127.0.0.1:7777" + well + "/mcp"},
		{"http://127.0.0.1:7777/mcp", "evil.example", "/mcp", "http://127.0.0.1:7777/mcp", "http://127.0.0.1:7777" + well + "/mcp"},
		{"http://0.0.0.0:7777/mcp", "host.example:7777", "/mcp", "http://host.example:7777/mcp", "http://host.example:7777" + well + "/mcp"},
		{"http://:7777/mcp", "host.example:7777", "/mcp", "http://host.example:7777/mcp", "http://host.example:7777" + well + "/mcp"},
	} {
		res, err := newResource(c.resource)
		if err != nil {
			t.Fatal(err)
		}
		r := request("")
		r.Host, r.URL.Path = c.host, c.path
		origin, path := res.of(r)
		if origin+path != c.want || res.metadataURL(r) != c.metadata {
			t.Errorf("%s asked at %s for %s: %s and %s\nwant %s and %s", c.resource, c.host, c.path, origin+path, res.metadataURL(r), c.want, c.metadata)
		}
		r.URL.Path = well + c.path // as where the document is asked for
		if origin, path := res.of(r); origin+path != c.want {
			t.Errorf("%s asked of %s: %s, want %s", c.resource, r.URL.Path, origin+path, c.want)
		}
	}
	for _, bad := range []string{"", "mcp.example.com", "ftp://x/", "https://", ":"} {
		if _, err := New(Config{}, bad, nil); err == nil {
			t.Errorf("%q is taken for the URL of an endpoint", bad)
		}
	}
}

// TestViewsAreResources: a token for the endpoint is good for its views, a token for a
// view for nothing else.
func TestViewsAreResources(t *testing.T) {
	ec := newEC("ec-1")
	a := newKit(t, oidc(), newIssuerFake(ec))
	tokens := map[string]string{}
	for _, aud := range []string{"/mcp", "/mcp/p/small", "/mcp/u/git", "/sse"} {
		tokens[aud] = ec.token(t, good(map[string]any{"aud": "https://mcp.example.com" + aud}), nil)
	}
	for _, c := range []struct {
		aud, path string
		want      bool
	}{
		{"/mcp", "/mcp", true},
		{"/mcp", "/mcp/p/small", true},
		{"/mcp", "/mcp/u/git", true},
		{"/mcp", "/sse", true},
		{"/mcp", "/messages", true},
		{"/mcp/p/small", "/mcp/p/small", true},
		{"/mcp/p/small", "/mcp/p/small/u/git", false},
		{"/mcp/p/small", "/mcp", false},
		{"/mcp/p/small", "/mcp/p/large", false},
		{"/mcp/u/git", "/mcp/p/small/u/git", false},
		{"/sse", "/messages", true},
		{"/sse", "/mcp", false},
	} {
		for range 2 { // the second from the cache, if it is in there
			r := request(tokens[c.aud])
			r.URL.Path = c.path
			if _, ch := a.Authenticate(t.Context(), r); (ch == nil) != c.want {
				t.Errorf("a token for %s used at %s: let in = %v, want %v", c.aud, c.path, ch == nil, c.want)
			}
		}
	}
}

// TestAudienceOfMachine: on this machine the gateway is ours by any name of it; where it
// listens on all interfaces, no token is by what the client calls us.
func TestAudienceOfMachine(t *testing.T) {
	ec := newEC("ec-1")
	for _, c := range []struct {
		resource, aud, host string
		want                int
	}{
		{"http://127.0.0.1:7777/mcp", "http://localhost:7777/mcp", "localhost:7777", 200},
		{"http://127.0.0.1:7777/mcp", "http://127.0.0.1:7777/mcp", "localhost:7777", 200},
		{"http://127.0.0.1:7777/mcp", "http://localhost:7778/mcp", "localhost:7777", 401},
		{"http://127.0.0.1:7777/mcp", "http://localhost:7778/mcp", "localhost:7778", 401},
		{"http://127.0.0.1:7777/mcp", "http://evil.example:7777/mcp", "evil.example:7777", 401},
		{"http://0.0.0.0:7777/mcp", "http://localhost:7777/mcp", "localhost:7777", 401},
		{"http://:7777/mcp", "http://gate.example:7777/mcp", "gate.example:7777", 401},
	} {
		a := newKitAt(t, c.resource, oidc(), newIssuerFake(ec))
		r := request(ec.token(t, good(map[string]any{"aud": c.aud}), nil))
		r.Host = c.host
		got := 200
		if _, ch := a.Authenticate(t.Context(), r); ch != nil {
			got = ch.Status
		}
		if got != c.want {
			t.Errorf("%s, called by %s, with a token for %s: %d, want %d", c.resource, c.host, c.aud, got, c.want)
		}
	}
}

func TestMetadata(t *testing.T) {
	_, hash := NewKey()
	both := oidc()
	both.OIDC = append(both.OIDC, OIDC{Issuer: "https://other.example"})
	both.Scopes.Required = []string{"mcp"}
	serve := func(c Config) http.Handler {
		mux := http.NewServeMux()
		for _, p := range []string{"", "/mcp", "/mcp/{view...}", "/sse"} {
			mux.Handle(wellKnown+p, newKit(t, c).Metadata())
		}
		return mux
	}
	ask := func(h http.Handler, method, path string) *http.Response {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, "https://mcp.example.com"+path, nil))
		return w.Result()
	}
	const rest = `,"authorization_servers":["https://login.example.com/realms/main","https://other.example"],"scopes_supported":["mcp"],"bearer_methods_supported":["header"]}` + "\n"
	for _, c := range []struct{ path, want string }{
		{wellKnown, `{"resource":"https://mcp.example.com/mcp"` + rest},
		{wellKnown + "/mcp", `{"resource":"https://mcp.example.com/mcp"` + rest},
		{wellKnown + "/mcp/u/git", `{"resource":"https://mcp.example.com/mcp/u/git"` + rest},
		{wellKnown + "/mcp/p/small", `{"resource":"https://mcp.example.com/mcp/p/small"` + rest},
		{wellKnown + "/sse", `{"resource":"https://mcp.example.com/sse"` + rest},
	} {
		resp := ask(serve(both), http.MethodGet, c.path)
		body, _ := io.ReadAll(resp.Body)
		if diff := cmp.Diff(c.want, string(body)); diff != "" || resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %d\n%s", c.path, resp.StatusCode, diff)
		}
		if resp.Header.Get("Access-Control-Allow-Origin") != "*" || resp.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: headers %v", c.path, resp.Header)
		}
	}
	for path, want := range map[string]int{wellKnown + "/mcp/x": 404, wellKnown + "/mcp/": 200, wellKnown + "/other": 404, wellKnown + "/mcp/u/": 404} {
		if resp := ask(serve(both), http.MethodGet, path); resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, resp.StatusCode, want)
		}
	}
	if resp := ask(serve(both), http.MethodOptions, wellKnown); resp.StatusCode != http.StatusNoContent {
		t.Errorf("OPTIONS: %d", resp.StatusCode)
	}
	if resp := ask(serve(both), http.MethodPost, wellKnown); resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") == "" {
		t.Errorf("POST: %d", resp.StatusCode)
	}
	keys := Config{APIKeys: []APIKey{{Principal: "ci", Hash: hash}}}
	body, _ := io.ReadAll(ask(serve(keys), http.MethodGet, wellKnown).Body)
	if !strings.HasPrefix(string(body), `{"resource":"https://mcp.example.com/mcp","bearer`) {
		t.Errorf("with keys alone: %s", body)
	}
}
