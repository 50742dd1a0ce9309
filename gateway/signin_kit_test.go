package gateway

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/interlock-mcp/interlock/telemetry"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
	"github.com/interlock-mcp/interlock/upstream/oauth"
	"github.com/interlock-mcp/interlock/upstream/oauth/oauthtest"
	"github.com/interlock-mcp/interlock/upstream/oauth/vault"
)

// protected is a gateway in front of a server "up" that wants tokens of an
// authorization server, which asks nobody.
type protected struct {
	*rig
	issuer *oauthtest.Issuer
	mcp    *oauthtest.Resource
	kept   oauth.Store
	log    *logBuffer
}

// protect runs one. change may change its configuration.
func protect(t *testing.T, b oauthtest.Behaviour, change func(*config.Config)) *protected {
	t.Helper()
	return protectWith(t, b, change, nil)
}

// protectWith is protect with telemetry, nil for none.
func protectWith(t *testing.T, b oauthtest.Behaviour, change func(*config.Config), tel *telemetry.Telemetry) *protected {
	t.Helper()
	p := &protected{kept: kept(t), log: new(logBuffer)}
	p.issuer = oauthtest.StartIssuer(t, "", b)
	p.mcp = oauthtest.StartResource(t, p.issuer, oauthtest.Protection{})
	cfg := config.Defaults()
	cfg.StateDir = t.TempDir()
	u := upstream.Defaults()
	u.Name, u.URL = "up", p.mcp.URL
	cfg.Upstreams = []upstream.Config{u}
	if change != nil {
		change(&cfg)
	}
	p.rig = startWith(t, &cfg, Options{SignIns: p.kept, Telemetry: tel, Log: slog.New(slog.NewTextHandler(p.log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	t.Cleanup(func() { // no token is in the log, whatever the test does
		for _, secret := range p.secrets() {
			if strings.Contains(p.log.String(), secret) {
				t.Error("a secret is in the log")
			}
		}
	})
	return p
}

// secrets are all that the gateway holds, and all tokens that it sent.
func (p *protected) secrets() []string {
	p.t.Helper()
	var all []string
	for _, c := range p.mcp.Calls() {
		if c.Token != "" {
			all = append(all, c.Token)
		}
	}
	accounts, err := p.kept.Accounts(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	for _, listed := range accounts {
		a, err := p.kept.Account(p.t.Context(), listed.Key)
		if err != nil {
			p.t.Fatal(err)
		}
		for _, s := range []oauth.Secret{a.AccessToken, a.RefreshToken, a.Client.ClientSecret} {
			if s != "" {
				all = append(all, string(s))
			}
		}
	}
	return all
}

// signIn signs the gateway in, or a principal, as the command line does.
func (p *protected) signIn(principal string) *oauth.Account {
	p.t.Helper()
	target, err := SignInTarget(p.set.Upstream("up").Config())
	if err != nil {
		p.t.Fatal(err)
	}
	defer target.Client.CloseIdleConnections()
	a, err := oauth.Begin(p.t.Context(), target, oauth.BeginOptions{Principal: principal, RedirectURI: oauth.LoopbackRedirect, Store: p.kept})
	if err != nil {
		p.t.Fatal(err)
	}
	query, err := a.Headless(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	account, err := a.Finish(p.t.Context(), query)
	if err != nil {
		p.t.Fatal(err)
	}
	return account
}

// signedIn is a gateway whose upstream runs, with an account of the gateway's own.
func (p *protected) signedIn() *protected {
	p.t.Helper()
	if err := p.signIns.accounts.SignedIn(p.t.Context(), p.signIn("")); err != nil {
		p.t.Fatal(err)
	}
	p.running()
	return p
}

// browser is a person with a browser.
type browser struct {
	t    *testing.T
	http *http.Client
}

func newBrowser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	tr := new(http.Transport)
	t.Cleanup(tr.CloseIdleConnections)
	return &browser{t, &http.Client{Jar: jar, Transport: tr}}
}

// visit gets a page.
func (b *browser) visit(at string) reply {
	b.t.Helper()
	return b.send(http.MethodGet, at)
}

// press presses the button of the page at an address, and goes where that leads.
func (b *browser) press(at string) reply {
	b.t.Helper()
	return b.send(http.MethodPost, at)
}

func (b *browser) send(method, at string) reply {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, at, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	if method == http.MethodPost {
		u, _ := url.Parse(at)
		req.Header.Set("Origin", u.Scheme+"://"+u.Host)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := b.http.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, string(body)}
}

// staying is the browser, but it does not follow redirects.
func (b *browser) staying() *browser {
	c := *b.http
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &browser{b.t, &c}
}

var linkIn = regexp.MustCompile(`"url":"([^"]+)"`)

// pageIn is the link in a question.
func pageIn(t *testing.T, question string) string {
	t.Helper()
	m := linkIn.FindStringSubmatch(question)
	if m == nil {
		t.Fatalf("no link in %s", question)
	}
	return m[1]
}

// told posts a body and returns all messages that come in answer, as they come,
// streamed or not.
func (c *client) told(body string) <-chan string {
	out := make(chan string, 10)
	req := c.request(c.r.t.Context(), http.MethodPost, body)
	go func() {
		defer close(out)
		resp, err := c.r.web.Do(req)
		if err != nil {
			c.r.t.Error(err)
			return
		}
		defer resp.Body.Close()
		if resp.Header.Get("Content-Type") != "text/event-stream" {
			b, _ := io.ReadAll(resp.Body)
			out <- string(b)
			return
		}
		in := jsonrpc.NewEventReader(resp.Body, 1<<20)
		for e, err := in.Next(); err == nil; e, err = in.Next() {
			if len(e.Data) > 0 {
				out <- string(e.Data)
			}
		}
	}()
	return out
}

// logBuffer is a log that may be read while it is written.
type logBuffer struct {
	mu   sync.Mutex // guards text
	text []byte
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text = append(b.text, p...)
	return len(p), nil
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.text)
}

// kept is a store of the test's own, as a gateway has it.
func kept(t *testing.T) oauth.Store {
	t.Helper()
	v, err := vault.Open(vault.Options{Dir: t.TempDir(), Where: vault.InFile})
	if err != nil {
		t.Fatal(err)
	}
	return v
}
