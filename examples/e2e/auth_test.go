package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/interlock-mcp/interlock/upstream/addrtest"
)

// issuer is a real authorization server (drivers/issuer.mjs) in a process of its own.
type issuer struct {
	t   *testing.T
	ctx context.Context //nolint:containedctx // the test's deadline, which every wait of this kit obeys
	url string
}

func newIssuer(ctx context.Context, t *testing.T, dir string) *issuer {
	t.Helper()
	addr := addrtest.Free(t)
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("node", "drivers/issuer.mjs", port)
	said := &watcher{word: "listening on port", seen: make(chan struct{})}
	cmd.Stdout = said
	startSaying(ctx, t, dir, cmd, said)
	return &issuer{t, ctx, "http://" + addr}
}

// token returns one of a client's own, for a resource.
func (i *issuer) token(client, resource, scope string) string {
	i.t.Helper()
	body := i.post("/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {client}, "client_secret": {client + "-secret"},
		"resource": {resource}, "scope": {scope},
	})
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Token == "" {
		i.t.Fatalf("no token: %v in %s", err, body)
	}
	return answer.Token
}

func (i *issuer) post(path string, form url.Values) []byte {
	i.t.Helper()
	req, err := http.NewRequestWithContext(i.ctx, http.MethodPost, i.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		i.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Close = true // Node closes what is idle for five seconds, also under a request
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		i.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode > 299 {
		i.t.Fatalf("%s: %s %v %s", path, res.Status, err, body)
	}
	return body
}

// guarded configures a gateway with server.auth.
func guarded(ctx context.Context, t *testing.T, dir string, auth, upstreams fields) *gateway {
	t.Helper()
	g := configure(ctx, t, dir, upstreams)
	g.auth(auth)
	return g
}

// auth writes server.auth into the configuration.
func (g *gateway) auth(auth fields) {
	g.t.Helper()
	g.edit(func(whole map[string]any) { whole["server"].(map[string]any)["auth"] = auth })
}

// edit changes the configuration.
func (g *gateway) edit(change func(whole map[string]any)) {
	g.t.Helper()
	text, err := os.ReadFile(g.config)
	var whole map[string]any
	if err == nil {
		err = json.Unmarshal(text, &whole)
	}
	if err == nil {
		change(whole)
		text, err = json.Marshal(whole)
	}
	if err == nil {
		err = os.WriteFile(g.config, text, 0o600)
	}
	if err != nil {
		g.t.Fatal(err)
	}
}

// asks sends an initialize with a bearer token, "" for none, and returns the answer.
func (g *gateway) asks(token string) *http.Response {
	g.t.Helper()
	return g.asksAt(g.url(), token)
}

func (g *gateway) asksAt(url, token string) *http.Response {
	g.t.Helper()
	const initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","clientInfo":{"name":"raw","version":"1"},"capabilities":{}}}`
	req, err := http.NewRequestWithContext(g.ctx, http.MethodPost, url, bytes.NewReader([]byte(initialize)))
	if err != nil {
		g.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	res.Body.Close()
	return res
}

func (g *gateway) wants(what, token string, status int, challenge string) {
	g.t.Helper()
	res := g.asks(token)
	if res.StatusCode != status || !strings.Contains(res.Header.Get("WWW-Authenticate"), challenge) {
		g.t.Errorf("%s: %s, %s; want %d, %s", what, res.Status, res.Header.Get("WWW-Authenticate"), status, challenge)
	}
}

// TestAPIKey makes keys as a user does, and takes one back.
func TestAPIKey(t *testing.T) {
	t.Parallel()
	ctx, dir := deadline(t, 2*time.Minute), home(t)
	made := func(name string) (key string, entry fields) {
		t.Helper()
		var out struct {
			Key   string `json:"key"`
			Entry fields `json:"api_key"`
		}
		text := output(ctx, t, dir, interlock, "apikey", "new", "--principal", "ci", "--name", name, "-o", "json")
		if err := json.Unmarshal(text, &out); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		return out.Key, out.Entry
	}
	laptop, first := made("laptop")
	runner, second := made("runner")
	g := guarded(ctx, t, dir, fields{"api_keys": []fields{first, second}}, fields{"mem": memory(dir + "/memory.json")})
	g.start()
	g.wants("nothing", "", http.StatusUnauthorized, `Bearer resource_metadata="http://`+g.addr+`/.well-known/oauth-protected-resource/mcp"`)
	g.wants("another key", "ilk_"+strings.Repeat("0", 64), http.StatusUnauthorized, `error="invalid_token"`)
	g.wants("the laptop's", laptop, http.StatusOK, "")
	g.wants("the runner's", runner, http.StatusOK, "")
	if res := g.asksAt(g.url()+"?api_key="+laptop, laptop); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("a key in the URL: %s", res.Status)
	}

	g.auth(fields{"api_keys": []fields{second}})
	g.run("reload")
	g.wants("the laptop's, taken back", laptop, http.StatusUnauthorized, `error="invalid_token"`)
	g.wants("the runner's, as before", runner, http.StatusOK, "")
	g.stop()
	for _, secret := range []string{laptop, runner} {
		if strings.Contains(g.log.String(), secret) {
			t.Errorf("the log holds a key:\n%s", g.log)
		}
	}
}

// TestAccessTokens has a real authorization server make tokens: for us, for others, for
// two seconds, and with keys that are new.
func TestAccessTokens(t *testing.T) {
	t.Parallel()
	ctx, dir := deadline(t, 3*time.Minute), home(t)
	by := newIssuer(ctx, t, dir)
	g := guarded(ctx, t, dir, fields{
		"oidc":   []fields{{"issuer": by.url, "clock_skew": "1ms"}},
		"scopes": fields{"required": []string{"mcp"}},
	}, fields{"mem": memory(dir + "/memory.json")})
	g.start()
	good := by.token("ci", g.url(), "mcp")
	g.wants("for us", good, http.StatusOK, "")
	g.wants("for another", by.token("ci", "http://127.0.0.1:1/mcp", "mcp"), http.StatusUnauthorized, `error="invalid_token"`)
	g.wants("without the scope", by.token("ci", g.url(), "write"), http.StatusForbidden, `scope="mcp", error="insufficient_scope"`)
	view := by.token("ci", g.url()+"/u/mem", "mcp")
	g.wants("for a view, used elsewhere", view, http.StatusUnauthorized, `error="invalid_token"`)
	if res := g.asksAt(g.url()+"/u/mem", view); res.StatusCode != http.StatusOK {
		t.Errorf("for a view: %s", res.Status)
	}

	short := by.token("brief", g.url(), "mcp")
	for g.asks(short).StatusCode != http.StatusOK { // it took too long to get here
		if ctx.Err() != nil {
			t.Fatalf("for two seconds: %v", context.Cause(ctx))
		}
		short = by.token("brief", g.url(), "mcp")
	}
	g.becomes("after two seconds", short, http.StatusUnauthorized)

	by.post("/control/rotate", nil)
	g.becomes("signed with a key that is new", by.token("ci", g.url(), "mcp"), http.StatusOK)
	g.wants("signed with a key that is gone", good, http.StatusUnauthorized, `error="invalid_token"`)

	fresh := by.token("ci", g.url(), "mcp")
	by.post("/control/down", nil) // and not up again before it is asked: the gateway looks by itself, too
	g.stop()
	g.start()
	g.wants("that cannot be checked", fresh, http.StatusServiceUnavailable, "")
	by.post("/control/up", nil)
	g.becomes("that can be checked again", fresh, http.StatusOK)
	g.stop()
	for _, secret := range []string{good, short, view, fresh} {
		if strings.Contains(g.log.String(), secret) {
			t.Errorf("the log holds a token:\n%s", g.log)
		}
	}
}

// becomes waits until a token is answered with a status.
func (g *gateway) becomes(what, token string, status int) {
	g.t.Helper()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		res := g.asks(token)
		if res.StatusCode == status {
			return
		}
		select {
		case <-again.C:
		case <-g.ctx.Done():
			g.t.Fatalf("%s: still %s, want %d", what, res.Status, status)
		}
	}
}

// TestSignIn has the clients of the SDKs find out by themselves where to sign in, and do
// so again for a tool that needs more.
func TestSignIn(t *testing.T) {
	t.Parallel()
	ctx, dir := deadline(t, 3*time.Minute), home(t)
	by := newIssuer(ctx, t, dir)
	g := guarded(ctx, t, dir, fields{
		"oidc":   []fields{{"issuer": by.url}},
		"scopes": fields{"required": []string{"mcp"}, "tools": fields{"*__create_*": []string{"write"}}},
	}, fields{"mem": memory(dir + "/memory.json")})
	g.start()
	for _, where := range []string{"", "/u/mem"} {
		for _, c := range []struct {
			name string
			made fields
		}{{"legacy", fields{}}, {"modern", fields{"mode": "auto"}}} {
			t.Run(c.name+where, func(t *testing.T) {
				client := newClient(ctx, t, home(t))
				client.must("connect", fields{"url": g.url() + where, "signIn": true, "mode": c.made["mode"]}, nil)
				prefix := "mem__"
				if where != "" {
					prefix = ""
				}
				call := func(tool string, arguments fields) {
					t.Helper()
					var result struct {
						IsError bool
						Content json.RawMessage
					}
					client.must("callTool", fields{"params": fields{"name": prefix + tool, "arguments": arguments}}, &result)
					if result.IsError {
						t.Errorf("%s: %s", tool, result.Content)
					}
				}
				call("read_graph", fields{})
				call("create_entities", fields{"entities": []fields{}})
				call("create_entities", fields{"entities": []fields{}})
				var state struct{ Asked []string }
				client.must("state", fields{}, &state)
				if want := []string{"mcp", "mcp write"}; !slices.Equal(state.Asked, want) {
					t.Errorf("signed in for %q, want %q", state.Asked, want)
				}
			})
		}
	}
}

// TestCredentialsStayHere: what clients present is seen by no upstream, and is in no log,
// audit or file of the gateway.
func TestCredentialsStayHere(t *testing.T) {
	t.Parallel()
	ctx, dir := deadline(t, 3*time.Minute), home(t)
	by := newIssuer(ctx, t, dir)
	remote, err := url.Parse(everythingRemote(ctx, t, dir, "streamableHttp"))
	if err != nil {
		t.Fatal(err)
	}
	wire, err := os.Create(filepath.Join(dir, "wire"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { wire.Close() })
	transport := &http.Transport{DisableKeepAlives: true} // as in issuer.post
	between := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		whole, err := httputil.DumpRequest(r, true)
		if err != nil {
			t.Error(err)
		}
		_, _ = wire.Write(whole)
		proxy := &httputil.ReverseProxy{Transport: transport, FlushInterval: -1, Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host = remote.Scheme, remote.Host
			p.Out.Host = remote.Host
		}}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(between.Close) // after the gateway has stopped
	g := guarded(ctx, t, dir, fields{"oidc": []fields{{"issuer": by.url}}, "scopes": fields{"required": []string{"mcp"}}}, fields{
		"every": fields{"url": between.URL + remote.Path, "required": true},
		"files": filesystem(dir),
	})
	audit := filepath.Join(dir, "audit.jsonl")
	g.edit(func(whole map[string]any) {
		whole["telemetry"] = fields{"logs": fields{"level": "debug"}, "audit": fields{"path": audit}}
	})
	g.start()
	for _, mode := range []any{nil, "auto"} {
		client := newClient(ctx, t, home(t))
		client.must("connect", fields{"url": g.url(), "signIn": true, "mode": mode}, nil)
		client.must("callTool", fields{"params": fields{"name": "every__echo", "arguments": fields{"message": "hello"}}}, nil)
		client.must("callTool", fields{"params": fields{"name": "files__list_allowed_directories", "arguments": fields{}}}, nil)
		client.must("readResource", fields{"params": fields{"uri": "demo://resource/dynamic/text/3"}}, nil)
	}
	g.stop()
	seen := map[string]string{"the log": g.log.String()}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		seen[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(seen[wire.Name()], "hello") || !strings.Contains(seen[audit], `"ada"`) || len(seen["the log"]) >= 64<<10 {
		t.Errorf("not all was seen: wire %d bytes, log %d, audit %s", len(seen[wire.Name()]), len(seen["the log"]), seen[audit])
	}
	for where, text := range seen {
		// eyJ begins the header of each token, and Authorization its line.
		if i := strings.Index(text, "eyJ"); i >= 0 {
			t.Errorf("%s: a token: %.80s", where, text[i:])
		}
		if where == wire.Name() && strings.Contains(strings.ToLower(text), "authorization:") {
			t.Errorf("%s: a header of a client's:\n%s", where, text)
		}
	}
}
