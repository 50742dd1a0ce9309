//go:build !windows

package main

import (
	"bufio"
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/interlock-mcp/interlock/gateway"
	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/gateway/identity"
	"github.com/interlock-mcp/interlock/upstream/addrtest"
)

// listener is one of a gateway's listeners, as whoever may use it reaches it.
type listener struct {
	name     string
	dial     func(context.Context) (net.Conn, error)
	host     string // one that is right
	token    string // "" if none is needed
	patterns []string
	exempt   []string // paths that anybody may see
	open     []string // paths that need no token
}

func tcp(address string) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) { return new(net.Dialer).DialContext(ctx, "tcp", address) }
}

// listeners runs gateways that together have each kind of listener there is.
func listeners(t *testing.T) []listener {
	t.Helper()
	var free [3]string
	for i := range free {
		free[i] = addrtest.Free(t)
	}
	text := "server: {listen: '" + free[0] + "'}\nadmin: {listen: '" + free[1] + "', token: sesame}\n" +
		"telemetry: {logs: {level: warn}, metrics: {listen: '" + free[2] + "'}}\nprofiles: {all: {}}\nupstreams:\n" + clock
	launch(t, map[string]string{"interlock.yaml": text}, nil, "serve").expect(`^1 of 1 server ready`)
	p := launch(t, map[string]string{"interlock.yaml": quiet + clock}, nil, "serve")
	p.expect(`^1 of 1 server ready`)
	socket := filepath.Join(p.dir, "interlock", "admin.sock")
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the admin socket: %v %v", info, err)
	}
	key, hash := identity.NewKey()
	keyed := addrtest.Free(t)
	launch(t, map[string]string{"interlock.yaml": "server:\n  listen: '" + keyed + "'\n  auth: {api_keys: [{principal: me, hash: '" + hash + "'}]}\n" +
		"telemetry: {logs: {level: warn}}\nprofiles: {all: {}}\nupstreams:\n" + clock}, nil, "serve").expect(`^1 of 1 server ready`)
	health := []string{"/livez", "/readyz"}
	// Who may sign in where is no secret, nor that there is nothing.
	open := []string{"/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp", "/", "/nothing", "/v1/nothing"}
	// What a browser is sent to has no token; a ticket, or a cookie, is worth more.
	open = append(open, "/signin/{ticket}", "/oauth/callback", "/oauth/client.json", "/oauth/native.json")
	return []listener{
		{"the endpoint", tcp(free[0]), free[0], "", gateway.Patterns("/mcp"), health, nil},
		{"the endpoint with keys", tcp(keyed), keyed, key, gateway.Patterns("/mcp"), health, append(open, health...)},
		{"the admin address", tcp(free[1]), free[1], "sesame", admin.Patterns(), health, nil},
		{"the admin socket", func(ctx context.Context) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		}, "interlock", "", admin.Patterns(), health, nil},
		{"the metrics", tcp(free[2]), free[2], "", []string{metricsPattern}, nil, nil},
	}
}

// ask sends a request without a body and returns the answer, whose body is not
// read: some go on for ever.
func (l *listener) ask(t *testing.T, method, path, host, origin, token string) *http.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://x"+path, strings.NewReader(""))
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	if origin != "" {
		req.Header.Set("Origin", origin)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := l.client().Do(req)
	if err != nil {
		t.Fatalf("%s %s on %s: %v", method, path, l.name, err)
	}
	_ = res.Body.Close()
	return res
}

// calls are requests to each pattern, and to nothing.
func (l *listener) calls() [][2]string {
	var out [][2]string
	for _, p := range append(l.patterns, "/nothing", "GET /v1/nothing") {
		method, path, ok := strings.Cut(p, " ")
		methods := []string{method}
		if !ok {
			methods, path = []string{"GET", "POST", "DELETE", "OPTIONS", "PUT"}, p
		}
		// The names lead nowhere, so that what gets through does no harm.
		path = strings.NewReplacer("{name}", "nobody", "{upstream}", "clock", "{profile}", "all", "{rest...}", "mcp", "{$}", "").Replace(path)
		for _, m := range methods {
			out = append(out, [2]string{m, path})
		}
	}
	return out
}

// Each route of each listener refuses pages, names that DNS rebinding could use,
// and whoever has no token. The routes come from the tables that they are served
// from.
func TestEveryRouteOfEveryListener(t *testing.T) {
	evilHosts := []string{"evil.example", "null", "localhost.evil.example", "localhost.", "127.0.0.1.", "127.0.0.1.evil.example", "0.0.0.0", "[::]"}
	evilOrigins := []string{"http://evil.example", "null", "http://localhost.evil.example", "http://localhost.", "https://127.0.0.1.evil.example", "file://", "http://localhost@evil.example"}
	for _, l := range listeners(t) {
		t.Run(l.name, func(t *testing.T) {
			seen := 0
			for _, c := range l.calls() {
				method, path := c[0], c[1]
				exempt := slices.Contains(l.exempt, path) && method == "GET"
				check := func(what, host, origin, token string, want int) {
					t.Helper()
					seen++
					res := l.ask(t, method, path, host, origin, token)
					if exempt {
						if res.StatusCode != http.StatusOK {
							t.Errorf("%s %s with %s: %d, and probes may send anything", method, path, what, res.StatusCode)
						}
						return
					}
					if res.StatusCode != want {
						t.Errorf("%s %s with %s: %d, want %d", method, path, what, res.StatusCode, want)
					}
					if want == http.StatusUnauthorized && !strings.HasPrefix(res.Header.Get("WWW-Authenticate"), "Bearer") {
						t.Errorf("%s %s: no WWW-Authenticate", method, path)
					}
				}
				for i, host := range evilHosts {
					check("Host "+host, host, "", l.token, http.StatusForbidden)
					check("Host "+host+" and an Origin", host, evilOrigins[i%len(evilOrigins)], l.token, http.StatusForbidden)
				}
				for _, origin := range evilOrigins {
					check("Origin "+origin, l.host, origin, l.token, http.StatusForbidden)
				}
				check("an evil Host and no token", evilHosts[0], evilOrigins[0], "", http.StatusForbidden)
				if l.token != "" && !slices.Contains(l.open, path) && (method != "OPTIONS" || l.open == nil) {
					check("no token", l.host, "", "", http.StatusUnauthorized)
					check("another token", l.host, "", "sesam", http.StatusUnauthorized)
				}
			}
			t.Logf("%d requests", seen)
		})
	}
}

// What refuses all would pass the test above, too.
func TestListenersAnswer(t *testing.T) {
	for _, l := range listeners(t) {
		path := "/v1/tools"
		switch l.name {
		case "the endpoint", "the endpoint with keys":
			path = "/livez"
		case "the metrics":
			path = "/metrics"
		}
		if res := l.ask(t, "GET", path, l.host, "http://localhost:3000", l.token); res.StatusCode != http.StatusOK {
			t.Errorf("%s: %d", l.name, res.StatusCode)
		}
	}
}

// A page that a browser shows cannot send a body without asking first; the
// gateway does not count on it.
func TestBodiesOfEveryListener(t *testing.T) {
	for _, l := range listeners(t) {
		if l.name == "the metrics" {
			continue
		}
		t.Run(l.name, func(t *testing.T) {
			for _, c := range l.calls() {
				// These find no session, or take no body.
				other := []string{"/", "/nothing", "/sse", "/messages", "/v1/attach", "/signin/{ticket}", "/oauth/callback", "/oauth/client.json", "/oauth/native.json"}
				if c[0] != "POST" || slices.Contains(append(other, l.exempt...), c[1]) || strings.HasPrefix(c[1], "/.well-known/") {
					continue
				}
				for _, tt := range []struct {
					what, contentType string
					size              int
					want              int
				}{
					{"a form's type", "text/plain", 2, http.StatusUnsupportedMediaType},
					{"too much", "application/json", 5 << 20, http.StatusRequestEntityTooLarge},
				} {
					if got := l.post(t, c[1], tt.contentType, tt.size); got != tt.want {
						t.Errorf("%s with %s: %d, want %d", c[1], tt.what, got, tt.want)
					}
				}
			}
		})
	}
}

// post sends the head of a request with a body of that size, and the first bytes of
// it, and returns the status: a body that is too large is not waited for.
func (l *listener) post(t *testing.T, path, contentType string, size int) int {
	t.Helper()
	conn, err := l.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patient))
	head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n", path, l.host, contentType, size) +
		"Accept: application/json, text/event-stream\r\n"
	if l.token != "" {
		head += "Authorization: bearer " + l.token + "\r\n" // the scheme is in any case
	}
	if _, err := io.WriteString(conn, head+"\r\n{}"); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	_ = res.Body.Close()
	return res.StatusCode
}

// Wrong methods are told which are right.
func TestMethodsOfEveryListener(t *testing.T) {
	for _, l := range listeners(t) {
		allowed := map[string][]string{}
		for _, p := range l.patterns {
			if method, path, ok := strings.Cut(p, " "); ok {
				allowed[path] = append(allowed[path], method)
			}
		}
		if strings.HasPrefix(l.name, "the endpoint") {
			allowed["/mcp"] = []string{"GET", "POST", "DELETE", "OPTIONS"}
		}
		for path, methods := range allowed {
			res := l.ask(t, "PUT", strings.ReplaceAll(path, "{name}", "nobody"), l.host, "", l.token)
			if res.StatusCode != http.StatusMethodNotAllowed {
				t.Errorf("PUT %s on %s: %d", path, l.name, res.StatusCode)
			}
			for _, m := range methods {
				if !strings.Contains(res.Header.Get("Allow"), m) {
					t.Errorf("PUT %s on %s: Allow is %q, without %s", path, l.name, res.Header.Get("Allow"), m)
				}
			}
		}
	}
}

// A listener or a mux that the tests above do not know of would not be tested:
// whoever adds one adds it there, and here.
func TestListenersAreKnown(t *testing.T) {
	want := map[string]int{
		"gateway/http.go NewServeMux": 1, "gateway/http.go Server": 1,
		"gateway/admin/routes.go NewServeMux": 1, "gateway/admin/serve.go Server": 1,
		"cmd/interlock/service.go NewServeMux": 1, "cmd/interlock/service.go Server": 1,
		"cmd/interlock/callback.go Server": 1, // not the gateway's: TestCallback
	}
	got := map[string]int{}
	root := filepath.Join("..", "..")
	for _, dir := range []string{"cmd", "gateway", "upstream", "router", "policy", "telemetry"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "upstreamtest") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				var x ast.Expr
				switch n := n.(type) {
				case *ast.CallExpr:
					x = n.Fun
				case *ast.CompositeLit:
					x = n.Type
				case *ast.ImportSpec:
					if n.Path.Value == `"net/http/pprof"` || n.Path.Value == `"expvar"` {
						t.Errorf("%s imports %s, which serves itself", path, n.Path.Value)
					}
				}
				if s, ok := x.(*ast.SelectorExpr); ok {
					pkg, _ := s.X.(*ast.Ident)
					serves := []string{"NewServeMux", "Server", "Serve", "ServeTLS", "ListenAndServe", "ListenAndServeTLS"}
					if pkg != nil && pkg.Name == "http" && slices.Contains(serves, s.Sel.Name) {
						rel, _ := filepath.Rel(root, path)
						got[filepath.ToSlash(rel)+" "+s.Sel.Name]++
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Nothing that comes over TCP makes the gateway run a program of its choice. The
// socket, which is its owner's alone, does.
func TestOnlyTheSocketTakesCommands(t *testing.T) {
	for _, l := range listeners(t) {
		marker := filepath.Join(t.TempDir(), "ran")
		body := fmt.Sprintf(`{"mcpServers": {"x": {"command": "touch", "args": [%q], "restart": "no"}}, "wait": true}`, marker)
		for _, c := range l.calls() {
			if c[1] == "/v1/attach" || c[1] == "/sse" || strings.HasSuffix(c[1], "events") || c[1] == "/mcp" && c[0] == "GET" {
				continue
			}
			ctx, cancel := context.WithTimeout(t.Context(), patient)
			req, err := http.NewRequestWithContext(ctx, c[0], "http://x"+c[1], strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			req.Host = l.host
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Accept", "application/json, text/event-stream")
			if l.token != "" {
				req.Header.Set("Authorization", "Bearer "+l.token)
			}
			res, err := l.client().Do(req)
			if err != nil {
				t.Fatalf("%v on %s: %v", c, l.name, err)
			}
			said, _ := io.ReadAll(res.Body)
			_ = res.Body.Close()
			cancel()
			if c == [2]string{"POST", "/v1/upstreams"} && l.token != "" &&
				(res.StatusCode != http.StatusForbidden || !strings.Contains(string(said), `"code":"needs_socket"`) || !strings.Contains(string(said), `"mend":"`)) {
				t.Errorf("%s: %d %s", l.name, res.StatusCode, said)
			}
		}
		_, err := os.Stat(marker)
		if ran := err == nil; ran != (l.name == "the admin socket") {
			t.Errorf("%s: the command ran: %v", l.name, ran)
		}
	}
}

// client makes a connection for each request.
func (l *listener) client() *http.Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return l.dial(ctx) }
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: dial}}
}
