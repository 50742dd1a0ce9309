package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/interlock-mcp/interlock/gateway/identity"
	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/addrtest"
	"github.com/interlock-mcp/interlock/upstream/oauth"
	"github.com/interlock-mcp/interlock/upstream/oauth/oauthtest"
)

// fakeBrowser is xdg-open: it goes where it is told to, as a browser in which
// everything is agreed to, and sends the page that it ends with to BROWSER_PAGE.
func fakeBrowser() {
	page, err := func() (string, error) {
		if len(os.Args) != 2 {
			return "", fmt.Errorf("%d arguments", len(os.Args)-1)
		}
		res, err := http.Get(os.Args[1])
		if err != nil {
			return "", err
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		return string(body), err
	}()
	if err == nil {
		var res *http.Response
		if res, err = http.Post(os.Getenv("BROWSER_PAGE"), "text/html", strings.NewReader(page)); err == nil {
			_ = res.Body.Close()
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
}

// far is a server that wants a sign-in, and a configuration with it.
type far struct {
	issuer   *oauthtest.Issuer
	resource *oauthtest.Resource
	files    map[string]string
}

func newFar(t *testing.T, b oauthtest.Behaviour, p oauthtest.Protection) *far {
	t.Helper()
	issuer := oauthtest.StartIssuer(t, "", b)
	resource := oauthtest.StartResource(t, issuer, p)
	return &far{issuer, resource, map[string]string{"interlock.yaml": "upstreams:\n  far: {url: '" + resource.URL + "'}\n"}}
}

// goes is a browser up to the address that it is sent back to.
func goes(t *testing.T, address string) string {
	t.Helper()
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusFound {
		t.Fatalf("status %d", res.StatusCode)
	}
	return res.Header.Get("Location")
}

// silent is that nothing of a sign-in which is secret was written.
func (p *process) silent(f *far) {
	p.t.Helper()
	text := strings.Join(p.seen, "\n")
	for _, s := range f.issuer.Seen("token") {
		for _, key := range []string{"code", "code_verifier", "refresh_token", "client_secret"} {
			if v := s.Form.Get(key); v != "" && strings.Contains(text, v) {
				p.t.Errorf("the %s was written", key)
			}
		}
	}
	for _, c := range f.resource.Calls() {
		if c.Token != "" && strings.Contains(text, c.Token) {
			p.t.Error("an access token was written")
		}
	}
}

// With a screen the browser is opened, by this command alone, and the page that it
// ends with says what became of it.
func TestLoginBrowser(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the browser is another program")
	}
	f := newFar(t, oauthtest.Behaviour{}, oauthtest.Protection{})
	env, came := pages(t)
	p := launchWith(t, env, f.files, nil, "login", "far")
	p.expect(`^Sign in to far at ` + f.issuer.URL + ` in the browser that opens now`)
	p.expect(`^` + f.issuer.URL + `/authorize\?\S+$`)
	p.expect(`^far  signed in at ` + f.issuer.URL + `$`)
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	p.silent(f)
	if page := awaited(t, came, "the page that the browser ends with"); !strings.Contains(page, "<h1>Signed in to far</h1>") {
		t.Errorf("the page is %s", page)
	}
}

// pages returns an environment in which fakeBrowser is what opens, and the pages that
// it ends with.
func pages(t *testing.T) (env []string, came <-chan string) {
	t.Helper()
	pages := make(chan string, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		page, _ := io.ReadAll(r.Body)
		pages <- string(page)
	}))
	t.Cleanup(srv.Close)
	return []string{"DISPLAY=:0", "BROWSER_PAGE=" + srv.URL}, pages
}

// A refusal is told on both sides, and nothing is kept.
func TestLoginRefused(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the browser is another program")
	}
	f := newFar(t, oauthtest.Behaviour{Redirect: func(q url.Values) {
		q.Del("code")
		q.Set("error", "access_denied")
		q.Set("error_description", "<b>no</b>\x1b[31m")
	}}, oauthtest.Protection{})
	env, came := pages(t)
	p := launchWith(t, env, f.files, nil, "login", "far")
	p.expect(`^interlock: not signed in to far: it was refused in the browser$`)
	if code := p.wait(); code != exitFailed || !p.wrote(`nothing was kept`) {
		t.Errorf("exit code %d: %q", code, p.seen)
	}
	page := awaited(t, came, "the page that the browser ends with")
	if !strings.Contains(page, "<h1>Not signed in to far</h1>") || strings.Contains(page, "<b>") || strings.Contains(page, "\x1b") {
		t.Errorf("the page is %s", page)
	}
}

// Where no browser can be opened the address is printed, whole and on a line of its
// own, and the address at which a browser elsewhere ended is taken from stdin.
func TestLoginPasted(t *testing.T) {
	for _, tt := range []struct {
		name string
		env  []string
		args []string
		why  string
	}{
		{"asked for", []string{"DISPLAY=:0"}, []string{"--no-browser"}, ""},
		{"no screen", nil, nil, "no screen"},
		{"over SSH", []string{"DISPLAY=:0", "SSH_CONNECTION=192.0.2.1 1 192.0.2.2 22"}, nil, "over SSH"},
		{"no program", []string{"DISPLAY=:0", "PATH=/nowhere"}, nil, "no browser could be opened"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if runtime.GOOS != "linux" && tt.args == nil {
				t.Skip("screens are told otherwise")
			}
			f := newFar(t, oauthtest.Behaviour{}, oauthtest.Protection{})
			p := launchWith(t, tt.env, f.files, nil, append([]string{"login", "far"}, tt.args...)...)
			p.expect(`^Sign in to far at ` + f.issuer.URL + ` in a browser, here or on another machine.*` + tt.why)
			at := p.expect(`^` + f.issuer.URL + `/authorize\?\S+$`)[0]
			p.expect(`paste it here`)
			back := goes(t, at)
			p.say("what?")
			p.expect(`^interlock: that is not the address`)
			p.say(strings.Replace(back, "state=", "state=x", 1))
			p.expect(`^interlock: that is the address of another sign-in`)
			p.say(back)
			p.expect(`^far  signed in at`)
			if code := p.wait(); code != 0 {
				t.Errorf("exit code %d", code)
			}
			p.silent(f)
		})
	}
}

// Who gives up leaves nothing behind: no listener, no account.
func TestLoginGivenUp(t *testing.T) {
	f := newFar(t, oauthtest.Behaviour{}, oauthtest.Protection{})
	free := addrtest.Free(t)
	l, err := net.Listen("tcp", free)
	if err != nil {
		t.Fatal(err)
	}
	back := "http://" + free + "/back"

	taken := launch(t, f.files, nil, "login", "far", "--no-browser", "--redirect", back)
	if code := taken.wait(); code != exitFailed || !taken.wrote(`^interlock: redirect address `+back) {
		t.Errorf("exit code %d: %q", code, taken.seen)
	}
	_ = l.Close()

	late := launch(t, f.files, nil, "login", "far", "--no-browser", "--redirect", back, "--timeout", "1ns")
	if code := late.wait(); code != exitFailed || !late.wrote(`^interlock: not signed in to far: nobody came back`) {
		t.Errorf("exit code %d: %q", code, late.seen)
	}

	if runtime.GOOS == "windows" {
		return
	}
	p := launch(t, f.files, nil, "login", "far", "--no-browser", "--redirect", back)
	p.expect(`paste it here`)
	p.signal(os.Interrupt)
	if code := p.wait(); code != exitFailed || !p.wrote(`^interlock: interrupted$`) {
		t.Errorf("exit code %d: %q", code, p.seen)
	}
	if l, err := net.Listen("tcp", free); err != nil {
		t.Error(err)
	} else {
		_ = l.Close()
	}
	if found := kept(t, p.dir); len(found) > 0 {
		t.Errorf("it left %q", found)
	}
}

// kept are the files of accounts below a folder.
func kept(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && filepath.Base(path) != "interlock.yaml" && !strings.Contains(path, "lock") {
			found = append(found, path)
		}
		return err
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return found
}

// What a call was refused for want of is asked for at the next sign-in.
func TestLoginForMore(t *testing.T) {
	f := newFar(t, oauthtest.Behaviour{Scopes: []string{"read", "write"}}, oauthtest.Protection{
		Scopes: []string{"read"}, Needs: map[string][]string{"tools/call:whoami": {"write"}},
	})
	f.files["interlock.yaml"] = "server: {listen: '127.0.0.1:0'}\n" + f.files["interlock.yaml"]
	gw := launch(t, f.files, nil, "serve")
	gw.expect(`^far +failed: .*interlock login far`)
	config := filepath.Join(gw.dir, "interlock.yaml")
	state := []string{"XDG_STATE_HOME=" + gw.dir}
	run := func(code int, args ...string) *process {
		t.Helper()
		p := launchWith(t, state, nil, nil, append(args, "-c", config)...)
		if got := p.wait(); got != code {
			t.Fatalf("%v: exit code %d, want %d: %s", args, got, code, strings.Join(p.seen, "\n"))
		}
		p.silent(f)
		return p
	}
	if p := run(0, "login", "far", "--headless"); !p.wrote(`scopes: read$`) {
		t.Errorf("%q", p.seen)
	}
	run(1, "call", "far__whoami")
	if p := run(0, "status"); !p.wrote(`^far the server wants more than was granted: .*write.*interlock login far$`) {
		t.Errorf("%q", p.seen)
	}
	if p := run(0, "doctor", "--no-start"); !p.wrote(`^warning needs_scope$`) {
		t.Errorf("%q", p.seen)
	}
	if p := run(0, "login", "far", "--headless"); !p.wrote(`scopes: read write$`) {
		t.Errorf("%q", p.seen)
	}
	run(0, "call", "far__whoami")
}

// A principal's sign-in is its own: kept under its key, and forgotten alone.
func TestLoginPrincipal(t *testing.T) {
	f := newFar(t, oauthtest.Behaviour{}, oauthtest.Protection{})
	hash := "sha256:" + strings.Repeat("0", 64)
	f.files["interlock.yaml"] = "server: {auth: {api_keys: [{principal: alice, hash: '" + hash + "'}]}}\n" +
		"state_dir: " + t.TempDir() + "\nupstreams:\n  far: {url: '" + f.resource.URL + "', auth: {per: principal}}\n  one: {url: '" + f.resource.URL + "'}\n"
	run := func(code int, args []string, says ...string) {
		t.Helper()
		p := launch(t, f.files, nil, args...)
		for _, s := range says {
			p.expect(s)
		}
		if got := p.wait(); got != code {
			t.Errorf("%v: code %d, want %d", args, got, code)
		}
		p.silent(f)
	}
	run(exitBadConfig, []string{"login", "one", "--headless", "--principal", "alice"}, `one has one sign-in for all$`, `leave --principal out`)
	run(exitBadConfig, []string{"login", "far", "--headless", "--principal", "bob"}, `no principal is called "bob"$`)
	run(0, []string{"login", "far", "--headless", "--principal", "alice"}, `^far alice  signed in at `+f.issuer.URL+`$`)
	run(exitFailed, []string{"logout", "far"}, `not signed in to far$`, `1 other sign-in there`)
	run(0, []string{"logout", "far", "--principal", "alice"}, `^far alice  signed out of `)
}

// How a principal may be called, and whom that means.
func TestPrincipalCalled(t *testing.T) {
	own := func(s string) string { return (&policy.Principal{Issuer: identity.Issuer, Subject: s}).Key() }
	const a, b = "https://a.example", "https://b.example"
	for _, c := range []struct {
		keys, issuers []string
		called, want  string // "" for an error
	}{
		{keys: []string{"alice"}, called: "alice", want: own("alice")},
		{keys: []string{"alice"}, called: "bob"},
		{issuers: []string{a}, called: "u1", want: a + "\x00u1"},
		{issuers: []string{a, b}, called: "u1"},
		{issuers: []string{a, b}, called: b + " u1", want: b + "\x00u1"},
		{keys: []string{"alice"}, issuers: []string{a}, called: "alice"},
		{keys: []string{"alice"}, issuers: []string{a}, called: "u1", want: a + "\x00u1"},
	} {
		cfg := &config.Config{Upstreams: []upstream.Config{{Name: "far", Auth: oauth.Config{Per: oauth.PerPrincipal}}}}
		for _, k := range c.keys {
			cfg.Server.Auth.APIKeys = append(cfg.Server.Auth.APIKeys, identity.APIKey{Principal: k})
		}
		for _, i := range c.issuers {
			cfg.Server.Auth.OIDC = append(cfg.Server.Auth.OIDC, identity.OIDC{Issuer: i})
		}
		got, err := (&counter{cfg: cfg}).principal("far", c.called)
		if got != c.want || (err != nil) != (c.want == "") {
			t.Errorf("%v: %q, %v", c, got, err)
		}
	}
}
