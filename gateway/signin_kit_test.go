package gateway

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/interlock-mcp/interlock/telemetry"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
	"github.com/interlock-mcp/interlock/upstream/oauth"
	"github.com/interlock-mcp/interlock/upstream/oauth/oauthtest"
)

// protected is a gateway in front of a server "up" that wants tokens of an
// authorization server, which asks nobody.
type protected struct {
	*rig
	issuer *oauthtest.Issuer
	mcp    *oauthtest.Resource
	kept   *memory
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
	p := &protected{kept: newMemory(), log: new(logBuffer)}
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
	var all []string
	for _, c := range p.mcp.Calls() {
		if c.Token != "" {
			all = append(all, c.Token)
		}
	}
	p.kept.mu.Lock()
	defer p.kept.mu.Unlock()
	for _, a := range p.kept.accounts {
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

// memory is an oauth.Store without a disk.
type memory struct {
	mu            sync.Mutex // guards the rest
	accounts      map[oauth.Key]oauth.Account
	registrations map[[3]string]oauth.Registration
	locks         map[oauth.Key]chan struct{} // capacity 1: who is in it has the lock
}

func newMemory() *memory {
	return &memory{
		accounts: map[oauth.Key]oauth.Account{}, registrations: map[[3]string]oauth.Registration{}, locks: map[oauth.Key]chan struct{}{},
	}
}

func (m *memory) Account(_ context.Context, k oauth.Key) (*oauth.Account, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a, ok := m.accounts[k]
	if !ok {
		return nil, oauth.ErrNoAccount
	}
	return &a, nil
}

func (m *memory) Put(_ context.Context, a *oauth.Account) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.accounts[a.Key] = *a
	return nil
}

func (m *memory) Delete(_ context.Context, k oauth.Key) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.accounts, k)
	return nil
}

func (m *memory) Accounts(context.Context) ([]oauth.Account, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := slices.SortedFunc(maps.Values(m.accounts), func(a, b oauth.Account) int {
		return cmp.Or(cmp.Compare(a.Upstream, b.Upstream), cmp.Compare(a.Principal, b.Principal))
	})
	for i := range all {
		all[i].AccessToken, all[i].RefreshToken, all[i].Client.ClientSecret = "", "", ""
	}
	return all, nil
}

func (m *memory) Registration(_ context.Context, up, issuer, redirect string) (*oauth.Registration, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r, ok := m.registrations[[3]string{up, issuer, redirect}]; ok {
		return &r, nil
	}
	return nil, nil //nolint:nilnil // none, as the interface says
}

func (m *memory) PutRegistration(_ context.Context, up string, r *oauth.Registration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.registrations[[3]string{up, r.Issuer, r.RedirectURI}] = *r
	return nil
}

func (m *memory) DeleteRegistration(_ context.Context, up, issuer, redirect string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.registrations, [3]string{up, issuer, redirect})
	return nil
}

func (m *memory) Lock(ctx context.Context, k oauth.Key) (func(), error) {
	m.mu.Lock()
	l := m.locks[k]
	if l == nil {
		l = make(chan struct{}, 1)
		m.locks[k] = l
	}
	m.mu.Unlock()
	select {
	case l <- struct{}{}:
		return func() { <-l }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
