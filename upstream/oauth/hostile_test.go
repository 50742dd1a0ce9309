package oauth

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/interlock-mcp/interlock/upstream/oauth/oauthtest"
)

// hostile is an internet in which a server that is signed in to, and its authorization
// server, do what they like: all that is fetched there goes through a Guard.
type hostile struct {
	internet *internet
	zone     *zone
	as       *oauthtest.Issuer
	mcp      *oauthtest.Resource
	to       *Target
	store    *memory
}

func newHostile(t *testing.T, b oauthtest.Behaviour, p oauthtest.Protection) *hostile {
	t.Helper()
	h := &hostile{store: newMemory(), zone: newZone(map[string]string{
		"as.test": "8.8.8.8", "mcp.test": "8.8.4.4", "evil.test": "9.9.9.9",
		"inside.test": "10.0.0.5", "cloud.test": "169.254.169.254", "loop.test": "127.0.0.1",
	})}
	h.as = oauthtest.NewIssuer(t, new(oauthtest.Net), "https://as.test", b)
	h.mcp = oauthtest.NewResource(t, new(oauthtest.Net), "https://mcp.test/mcp", h.as, p)
	h.internet = newInternet(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Host {
		case "as.test":
			h.as.ServeHTTP(w, r)
		case "mcp.test":
			h.mcp.ServeHTTP(w, r)
		case "evil.test": // redirects to what its query says
			to, _ := url.QueryUnescape(r.URL.RawQuery)
			w.Header().Set("Location", to)
			w.WriteHeader(http.StatusFound)
		default:
			_, _ = io.WriteString(w, `{"issuer":"https://as.test","resource":"https://mcp.test/mcp","authorization_servers":["https://as.test"],"secret":"of the inside"}`)
		}
	}))
	h.to = &Target{Upstream: "up", URL: h.mcp.URL, Client: h.internet.guard(t, h.mcp.URL, nil, h.zone), Name: "Interlock"}
	return h
}

func (h *hostile) begin(t *testing.T) (*Attempt, error) {
	t.Helper()
	return Begin(t.Context(), h.to, BeginOptions{RedirectURI: LoopbackRedirect, Store: h.store})
}

// stayedOutside fails the test if anything but the public servers was connected to.
func (h *hostile) stayedOutside(t *testing.T) {
	t.Helper()
	h.internet.mu.Lock()
	defer h.internet.mu.Unlock()
	for _, a := range h.internet.connected {
		if !slices.Contains([]string{"8.8.8.8:443", "8.8.4.4:443", "9.9.9.9:443"}, a) {
			t.Errorf("connected to %s", a)
		}
	}
}

// fitToShow fails the test if an error has what a terminal or a log would obey, goes on
// for pages, or has a secret.
func fitToShow(t *testing.T, err error, secrets ...string) {
	t.Helper()
	s := err.Error()
	if strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }) {
		t.Errorf("control characters in %q", s)
	}
	if len(s) > 2000 {
		t.Errorf("an error of %d bytes: %.200s", len(s), s)
	}
	for _, secret := range secrets {
		if strings.Contains(s, secret) {
			t.Errorf("%q has the secret %q", s, secret)
		}
	}
}

// within are addresses that only the gateway's machine can reach, or that are none.
var within = []string{
	"https://169.254.169.254/latest/meta-data/", "http://169.254.169.254/", "https://cloud.test/", "https://[::ffff:169.254.169.254]/",
	"https://[64:ff9b::a9fe:a9fe]/", "https://127.0.0.1:9/", "http://127.0.0.1:9/", "http://localhost:9/", "https://[::1]/", "http://[::1]:9/",
	"https://0.0.0.0/", "https://0/", "https://127.1/", "https://2130706433/", "https://0x7f000001/", "https://loop.test/", "https://inside.test/",
	"https://10.0.0.5/", "https://[fd00:ec2::254]/", "http://as.test/", "file:///etc/passwd", "javascript:alert(1)", "gopher://as.test/", "https:///",
	"//as.test/x", "https://as.test@inside.test/", "unix:///run/docker.sock",
}

// TestHostileAddresses names addresses on the inside wherever a server can name one.
// None is ever connected to.
func TestHostileAddresses(t *testing.T) {
	at := func(key string) func(h *hostile, address string) {
		return func(h *hostile, address string) {
			h.as.Set(func(b *oauthtest.Behaviour) { b.Edit = func(doc map[string]any) { doc[key] = address } })
		}
	}
	for where, put := range map[string]func(h *hostile, address string){
		"challenge": func(h *hostile, address string) {
			h.mcp.Set(func(p *oauthtest.Protection) { p.Challenge = fmt.Sprintf("Bearer resource_metadata=%q", address) })
		},
		"challenge, redirected": func(h *hostile, address string) {
			h.mcp.Set(func(p *oauthtest.Protection) {
				p.Challenge = fmt.Sprintf("Bearer resource_metadata=%q", "https://evil.test/go?"+url.QueryEscape(address))
			})
		},
		"authorization server": func(h *hostile, address string) {
			h.mcp.Set(func(p *oauthtest.Protection) {
				p.Edit = func(doc map[string]any) { doc["authorization_servers"] = []string{address} }
			})
		},
		"metadata, redirected": func(h *hostile, address string) {
			h.as.Set(func(b *oauthtest.Behaviour) { b.Before = redirectMetadata(address) })
		},
		"registration": at("registration_endpoint"),
		"token":        at("token_endpoint"),
	} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			h := newHostile(t, oauthtest.Behaviour{}, oauthtest.Protection{})
			for _, address := range within {
				put(h, address)
				h.store = newMemory()
				a, err := h.begin(t)
				if err == nil {
					_, err = a.Finish(t.Context(), url.Values{"code": {"c0de"}, "state": {a.State}, "iss": {a.Issuer}})
				}
				if err == nil {
					t.Errorf("%s: signed in", address)
					continue
				}
				fitToShow(t, err)
			}
			h.stayedOutside(t)
		})
	}
}

func redirectMetadata(to string) func(w http.ResponseWriter, r *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/.well-known/") {
			return false
		}
		w.Header().Set("Location", to)
		w.WriteHeader(http.StatusFound)
		return true
	}
}

// TestHostileRebinding has the name of the authorization server lead inside once it was
// looked at.
func TestHostileRebinding(t *testing.T) {
	for first := range 4 {
		h := newHostile(t, oauthtest.Behaviour{}, oauthtest.Protection{})
		asked := 0
		h.zone.names["as.test"] = func() []string {
			if asked++; asked > first {
				return []string{"127.0.0.1", "10.0.0.5", "169.254.169.254"}
			}
			return []string{"8.8.8.8"}
		}
		h.to.Client.CloseIdleConnections()
		if a, err := h.begin(t); err == nil {
			h.to.Client.CloseIdleConnections() // each request looks the name up
			if _, err := a.Finish(t.Context(), url.Values{"code": {"c"}, "state": {a.State}, "iss": {a.Issuer}}); err == nil {
				t.Error("signed in")
			}
		} else {
			fitToShow(t, err)
		}
		h.stayedOutside(t)
	}
}

// TestHostileAuthorizationAddress has what a browser would be opened at. Either it is
// refused, or what comes of it is an https address that no program on its way obeys.
func TestHostileAuthorizationAddress(t *testing.T) {
	h := newHostile(t, oauthtest.Behaviour{}, oauthtest.Protection{})
	for _, address := range []string{
		"javascript:alert(1)", "JavaScript:alert(1)//https://as.test", "data:text/html,<script>", "file:///etc/passwd", "file://as.test/x", "http://as.test/authorize",
		"vscode://x/y", "ms-msdt:/id", "search-ms:query=x", `\\evil.test\share`, "--help", "-a", "", " https://as.test/", "https:", "https://", "/authorize",
		"https://as.test/$(touch x)", "https://as.test/`id`", "https://as.test/;id", "https://as.test/a b", "https://as.test/\"&calc&\"", "https://as.test/%0acalc",
		"https://as.test/?a=$(id)&b=`id`|c>d", "https://as.test/#fragment", "https://me:pass@as.test/", "https://as.test/\n", "https://as.test/\x1b[2J", "https://as.test/\u202e",
		"https://as.test/?client_id=other&redirect_uri=https://evil.test/&state=fixed&code_challenge=x&code_challenge_method=plain&response_type=token&scope=all&resource=x",
	} {
		h.as.Set(func(b *oauthtest.Behaviour) {
			b.Edit = func(doc map[string]any) { doc["authorization_endpoint"] = address }
		})
		h.store = newMemory()
		a, err := h.begin(t)
		if err != nil {
			fitToShow(t, err)
			continue
		}
		u, err := url.Parse(a.URL)
		if err != nil || u.Scheme != "https" || u.Host != "as.test" || u.User != nil || u.Fragment != "" || !strings.HasPrefix(a.URL, "https://as.test/") {
			t.Errorf("%q leads to %q", address, a.URL)
			continue
		}
		if i := strings.IndexFunc(a.URL, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("\"<>\\^`{|}", r) }); i >= 0 {
			t.Errorf("%q leads to %q, which has %q", address, a.URL, a.URL[i])
		}
		for key, want := range map[string]string{"response_type": "code", "redirect_uri": LoopbackRedirect, "state": a.State, "code_challenge_method": "S256", "resource": h.mcp.URL} {
			if got := u.Query()[key]; len(got) != 1 || got[0] != want {
				t.Errorf("%q: %s is %q, want %q", address, key, got, want)
			}
		}
		for _, key := range []string{"client_id", "code_challenge"} {
			if got := u.Query()[key]; len(got) != 1 || got[0] == "other" || got[0] == "x" {
				t.Errorf("%q: %s is %q", address, key, got)
			}
		}
	}
	h.stayedOutside(t)
}

// TestHostileMetadata lies in what a sign-in is built on.
func TestHostileMetadata(t *testing.T) {
	resource := func(edit func(doc map[string]any)) func(h *hostile) {
		return func(h *hostile) { h.mcp.Set(func(p *oauthtest.Protection) { p.Edit = edit }) }
	}
	server := func(edit func(doc map[string]any)) func(h *hostile) {
		return func(h *hostile) { h.as.Set(func(b *oauthtest.Behaviour) { b.Edit = edit }) }
	}
	body := func(kind, text string) func(w http.ResponseWriter, r *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "/.well-known/") {
				return false
			}
			w.Header().Set("Content-Type", kind)
			_, _ = io.WriteString(w, text)
			return true
		}
	}
	good := `{"issuer":"https://as.test","authorization_endpoint":"https://as.test/authorize","token_endpoint":"https://as.test/token","registration_endpoint":"https://as.test/register","code_challenge_methods_supported":["S256"]`
	for name, lie := range map[string]func(h *hostile){
		"another resource": resource(func(doc map[string]any) { doc["resource"] = "https://bank.test/mcp" }),
		"a resource of another port": resource(func(doc map[string]any) {
			doc["resource"] = "https://mcp.test:8443/mcp"
		}),
		"a resource that begins like ours": resource(func(doc map[string]any) { doc["resource"] = "https://mcp.test.evil.test/mcp" }),
		"a resource below ours":            resource(func(doc map[string]any) { doc["resource"] = "https://mcp.test/mcp/admin" }),
		"no resource":                      resource(func(doc map[string]any) { delete(doc, "resource") }),
		"another issuer":                   server(func(doc map[string]any) { doc["issuer"] = "https://bank.test" }),
		"an issuer with a path":            server(func(doc map[string]any) { doc["issuer"] = "https://as.test/tenant" }),
		"no issuer":                        server(func(doc map[string]any) { delete(doc, "issuer") }),
		"no S256":                          server(func(doc map[string]any) { doc["code_challenge_methods_supported"] = []string{"plain"} }),
		"no PKCE":                          server(func(doc map[string]any) { delete(doc, "code_challenge_methods_supported") }),
		"no token endpoint":                server(func(doc map[string]any) { delete(doc, "token_endpoint") }),
		"a page": func(h *hostile) {
			h.as.Set(func(b *oauthtest.Behaviour) { b.Before = body("text/html", "<h1>Sign in</h1>") })
		},
		"deep": func(h *hostile) {
			h.as.Set(func(b *oauthtest.Behaviour) {
				b.Before = body("application/json", good+`,"x":`+strings.Repeat("[", 200_000)+strings.Repeat("]", 200_000)+"}")
			})
		},
		"two MiB": func(h *hostile) {
			h.as.Set(func(b *oauthtest.Behaviour) { b.Before = body("application/json", good+strings.Repeat(" ", 2<<20)+"}") })
		},
		"endless": func(h *hostile) {
			h.as.Set(func(b *oauthtest.Behaviour) {
				b.Before = func(w http.ResponseWriter, r *http.Request) bool {
					w.Header().Set("Content-Type", "application/json")
					_, err := io.WriteString(w, good+`,"x":"`)
					for err == nil && r.Context().Err() == nil {
						_, err = io.WriteString(w, strings.Repeat("x", 4096))
					}
					return true
				}
			})
		},
		"a circle": func(h *hostile) {
			h.as.Set(func(b *oauthtest.Behaviour) {
				b.Before = redirectMetadata("https://as.test/.well-known/oauth-authorization-server")
			})
		},
		"from https to http": func(h *hostile) {
			h.as.Set(func(b *oauthtest.Behaviour) {
				b.Before = redirectMetadata("http://as.test/.well-known/oauth-authorization-server")
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHostile(t, oauthtest.Behaviour{}, oauthtest.Protection{})
			lie(h)
			a, err := h.begin(t)
			if err == nil {
				t.Fatalf("a sign-in at %.200s", a.URL)
			}
			fitToShow(t, err)
			if regs := h.as.Seen("register"); len(regs) > 0 {
				t.Error("the gateway has registered there")
			}
		})
	}
}

// TestHostileScopes has scopes that are none: they end in no request and in no line of
// a terminal.
func TestHostileScopes(t *testing.T) {
	all := []string{"read", "a b", "q\"", "x\r\nX-Evil: 1", "\x1b[2J", "é", "", "back\\slash", strings.Repeat("long", 10_000)}
	for i := range 50_000 {
		all = append(all, fmt.Sprint("s", i))
	}
	h := newHostile(t, oauthtest.Behaviour{}, oauthtest.Protection{Supported: all})
	a, err := h.begin(t)
	if err != nil {
		t.Fatal(err)
	}
	u, _ := url.Parse(a.URL)
	for _, s := range append(strings.Fields(u.Query().Get("scope")), a.Scopes...) {
		if !isScope(s) {
			t.Errorf("asks for %q", s)
		}
	}
	if len(a.URL) > 64<<10 { // what a browser's command line takes
		t.Errorf("an address of %d bytes", len(a.URL))
	}
}

// TestHostileRegistration has answers to a registration that would make the gateway
// another client, or its tokens somebody else's.
func TestHostileRegistration(t *testing.T) {
	for name, doc := range map[string]map[string]any{
		"another redirect":         {"client_id": "c", "redirect_uris": []string{"https://evil.test/cb"}},
		"another redirect beside":  {"client_id": "c", "redirect_uris": []string{"https://evil.test/cb", LoopbackRedirect}},
		"an empty id":              {"client_id": "", "redirect_uris": []string{LoopbackRedirect}},
		"no id":                    {"redirect_uris": []string{LoopbackRedirect}},
		"an id with a line break":  {"client_id": "c\r\nX: y", "redirect_uris": []string{LoopbackRedirect}},
		"an id that clears":        {"client_id": "c\x1b[2J", "redirect_uris": []string{LoopbackRedirect}},
		"an unknown method":        {"client_id": "c", "client_secret": "s3cret", "redirect_uris": []string{LoopbackRedirect}, "token_endpoint_auth_method": "tls_client_auth"},
		"a secret of two lines":    {"client_id": "c", "client_secret": "s3cret\r\nX: y", "redirect_uris": []string{LoopbackRedirect}, "token_endpoint_auth_method": "client_secret_basic"},
		"a secret that has passed": {"client_id": "c", "client_secret": "s3cret", "client_secret_expires_at": 1, "redirect_uris": []string{LoopbackRedirect}, "token_endpoint_auth_method": "client_secret_post"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHostile(t, oauthtest.Behaviour{}, oauthtest.Protection{})
			h.as.Set(func(b *oauthtest.Behaviour) {
				b.Before = func(w http.ResponseWriter, r *http.Request) bool {
					if r.URL.Path != "/register" {
						return false
					}
					w.Header().Set("Content-Type", "application/json")
					w.WriteHeader(http.StatusCreated)
					_ = json.NewEncoder(w).Encode(doc)
					return true
				}
			})
			a, err := h.begin(t)
			if err != nil {
				fitToShow(t, err, "s3cret")
				return
			}
			u, _ := url.Parse(a.URL)
			if got := u.Query().Get("redirect_uri"); got != LoopbackRedirect {
				t.Errorf("comes back to %q", got)
			}
			if id := u.Query().Get("client_id"); id == "" || strings.ContainsFunc(id, unicode.IsControl) {
				t.Errorf("is the client %q", id)
			}
			if strings.Contains(a.URL, "s3cret") {
				t.Error("the secret is in the address")
			}
		})
	}
}

// TestHostileReturn has what a browser may come back with that is not the answer to
// this sign-in. No code is spent on it, and what another can send without the state
// does not end the sign-in.
func TestHostileReturn(t *testing.T) {
	h := newHostile(t, oauthtest.Behaviour{}, oauthtest.Protection{})
	other, err := h.begin(t)
	if err != nil {
		t.Fatal(err)
	}
	set := func(key string, values ...string) func(q url.Values) { return func(q url.Values) { q[key] = values } }
	del := func(key string) func(q url.Values) { return func(q url.Values) { q.Del(key) } }
	for _, tt := range []struct {
		name  string
		lie   func(q url.Values)
		blind bool // whoever sends it does not know the state
	}{
		{"no state", del("state"), true},
		{"an empty state", set("state", ""), true},
		{"the state of another", set("state", other.State), true},
		{"two states", func(q url.Values) { q.Add("state", "x") }, false},
		{"two states, ours second", func(q url.Values) { q["state"] = []string{"x", q.Get("state")} }, false},
		{"no issuer", del("iss"), false},
		{"another issuer", set("iss", "https://bank.test"), false},
		{"an issuer that begins so", set("iss", "https://as.test.evil.test"), false},
		{"two issuers", func(q url.Values) { q.Add("iss", "https://bank.test") }, false},
		{"no code", del("code"), false},
		{"an empty code", set("code", ""), false},
		{"two codes", func(q url.Values) { q.Add("code", "x") }, false},
		{"nothing", func(q url.Values) { clear(q) }, true},
		{"an error beside the code", set("error", "access_denied"), false},
		{"an error of another issuer", func(q url.Values) {
			q.Del("code")
			q["error"], q["iss"] = []string{"access_denied"}, []string{"https://bank.test"}
		}, false},
		{"an error with orders to a terminal", func(q url.Values) {
			q.Del("code")
			q.Set("error", "access_denied\x1b[2J")
			q.Set("error_description", "\x1b]0;owned\a<script>alert(1)</script>\u202e\r\n"+strings.Repeat("x", 5000))
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, err := h.begin(t)
			if err != nil {
				t.Fatal(err)
			}
			q, err := a.Headless(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			lie := url.Values{}
			for k, v := range q {
				lie[k] = slices.Clone(v)
			}
			tt.lie(lie)
			spent := len(h.as.Seen("token"))
			if _, err := a.Finish(t.Context(), lie); err == nil {
				t.Fatal("signed in")
			} else {
				fitToShow(t, err, q.Get("code"), a.State)
			}
			if got := len(h.as.Seen("token")); got != spent {
				t.Error("a code was spent on it")
			}
			if !tt.blind {
				return
			}
			if _, err := a.Finish(t.Context(), q); err != nil {
				t.Errorf("the right answer does not count after it: %v", err)
			}
			if _, err := a.Finish(t.Context(), q); err == nil {
				t.Error("signed in twice with one answer")
			}
		})
	}
}

// TestHostileTokens has answers of a token endpoint.
func TestHostileTokens(t *testing.T) {
	const fine = `{"access_token":"s3cret","token_type":"Bearer"`
	for _, tt := range []struct {
		name, kind, body string
		status           int
		taken            bool // else it is refused
	}{
		{"plain", "application/json", fine + "}", 200, true},
		{"a token of two lines", "application/json", `{"access_token":"s3cret\r\nX-Evil: 1","token_type":"Bearer"}`, 200, false},
		{"a token with a space", "application/json", `{"access_token":"s3cret x","token_type":"Bearer"}`, 200, false},
		{"a token beyond ASCII", "application/json", `{"access_token":"s3cret\u00e9","token_type":"Bearer"}`, 200, false},
		{"an empty token", "application/json", `{"access_token":"","token_type":"Bearer"}`, 200, false},
		{"no token", "application/json", `{"token_type":"Bearer"}`, 200, false},
		{"a number", "application/json", `{"access_token":5,"token_type":"Bearer"}`, 200, false},
		{"of 500 KB", "application/json", `{"access_token":"` + strings.Repeat("s3cret", 90_000) + `","token_type":"Bearer"}`, 200, false},
		{"another type", "application/json", `{"access_token":"s3cret","token_type":"mac\u001b[2J"}`, 200, false},
		{"a refresh token of two lines", "application/json", fine + `,"refresh_token":"s3cret\nx"}`, 200, false},
		{"a life that is negative", "application/json", fine + `,"expires_in":-5}`, 200, true},
		{"a life beyond all", "application/json", fine + `,"expires_in":1e300}`, 200, false},
		{"a life of 2^63", "application/json", fine + `,"expires_in":9223372036854775807}`, 200, true},
		{"a life in a text", "application/json", fine + `,"expires_in":"3600"}`, 200, true},
		{"scopes that are none", "application/json", fine + `,"scope":"read a\"b \u001b[2J x\\y"}`, 200, true},
		{"a page", "text/html", "<h1>s3cret</h1>", 200, false},
		{"an error with orders", "application/json", `{"error":"invalid_grant\u001b[2J","error_description":"s3cret \u001b]0;x\u0007\u202e` + strings.Repeat("x", 5000) + `"}`, 400, false},
		{"a failure", "text/plain", "\x1b[2Js3cret", 500, false},
		{"a redirect", "text/plain", "", 307, false},
		{"two MiB", "application/json", fine + strings.Repeat(" ", 2<<20) + "}", 200, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHostile(t, oauthtest.Behaviour{}, oauthtest.Protection{})
			a, err := h.begin(t)
			if err != nil {
				t.Fatal(err)
			}
			q, err := a.Headless(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			h.as.Set(func(b *oauthtest.Behaviour) {
				b.Before = func(w http.ResponseWriter, r *http.Request) bool {
					w.Header().Set("Content-Type", tt.kind)
					w.Header().Set("Location", "https://evil.test/take")
					w.WriteHeader(tt.status)
					_, _ = io.WriteString(w, tt.body)
					return true
				}
			})
			acct, err := a.Finish(t.Context(), q)
			if tt.taken != (err == nil) {
				t.Fatalf("taken: %v, %v", err == nil, err)
			}
			if err != nil {
				// Of an endpoint's own text it cannot be known what is a secret; of its other
				// answers nothing is quoted.
				if tt.status != http.StatusBadRequest {
					fitToShow(t, err, "s3cret", q.Get("code"))
				} else {
					fitToShow(t, err, q.Get("code"))
				}
				return
			}
			for _, s := range acct.Scopes {
				if !isScope(s) {
					t.Errorf("was granted %q", s)
				}
			}
			if shown := fmt.Sprintf("%v %+v %#v", acct, *acct, *acct); strings.Contains(shown, "s3cret") {
				t.Errorf("an account shows its token: %s", shown)
			}
			h.internet.mu.Lock()
			defer h.internet.mu.Unlock()
			if slices.Contains(h.internet.connected, "9.9.9.9:443") {
				t.Error("the code went on to where the endpoint redirected it")
			}
		})
	}
}

// TestHostileChallenges has headers that no server writes.
func TestHostileChallenges(t *testing.T) {
	h := newHostile(t, oauthtest.Behaviour{}, oauthtest.Protection{})
	for _, value := range []string{
		`Bearer resource_metadata="https://mcp.test/x`, `Bearer resource_metadata=`, `Bearer ,,,,=`, strings.Repeat(`Bearer realm="x", `, 2000),
		`Bearer resource_metadata="\"\\`, "Bearer scope=\"a\\\"b\x1b[2J\"", "Negotiate", "", `Basic realm="x", Bearer`, strings.Repeat("(", 50_000),
	} {
		ch := http.Header{"Www-Authenticate": {value}}
		a, err := Begin(t.Context(), h.to, BeginOptions{RedirectURI: LoopbackRedirect, Challenge: ch, Store: newMemory()})
		if err != nil {
			fitToShow(t, err)
			continue
		}
		for _, s := range a.Scopes {
			if !isScope(s) {
				t.Errorf("%q: asks for %q", value, s)
			}
		}
	}
	h.stayedOutside(t)
}
