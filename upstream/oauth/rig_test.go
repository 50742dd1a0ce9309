package oauth

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-mcp/interlock/upstream/oauth/oauthtest"
)

// shared is a Store for several Accounts, as processes share one.
type shared struct {
	*memory

	ask   sync.Mutex           // guards what follows
	put   func(*Account) error // asked before an account is put; nil for nothing
	unfit error                // of reading an account
	late  time.Duration        // how long the next who unlocks takes to go on
	reads int                  // of accounts
	pen   time.Duration        // how long an account takes to be put
}

func (m *shared) Account(ctx context.Context, k Key) (*Account, error) {
	m.ask.Lock()
	m.reads++
	err := m.unfit
	m.ask.Unlock()
	if err != nil {
		return nil, err
	}
	return m.memory.Account(ctx, k)
}

func (m *shared) Lock(ctx context.Context, k Key) (func(), error) {
	unlock, err := m.memory.Lock(ctx, k)
	return func() {
		m.ask.Lock()
		late := m.late // before who waits for the lock has it, and could take this
		m.late = 0
		m.ask.Unlock()
		unlock()
		if late > 0 {
			sleep(context.WithoutCancel(ctx), late) // of bubbles
		}
	}, err
}

func (m *shared) Put(ctx context.Context, a *Account) error {
	m.ask.Lock()
	ask, pen := m.put, m.pen
	m.ask.Unlock()
	if pen > 0 && !sleep(ctx, pen) {
		return ctx.Err()
	}
	if ask != nil {
		if err := ask(a); err != nil {
			return err
		}
	}
	return m.memory.Put(ctx, a)
}

// unreadable has accounts not be read, with an error; nil is as before.
func (m *shared) unreadable(err error) {
	m.ask.Lock()
	defer m.ask.Unlock()
	m.unfit = err
}

func (m *shared) onPut(f func(*Account) error) {
	m.ask.Lock()
	defer m.ask.Unlock()
	m.put = f
}

// rig is a server and its issuer, and one process' accounts.
type rig struct {
	t     *testing.T
	net   *oauthtest.Net
	as    *oauthtest.Issuer
	mcp   *oauthtest.Resource
	store *shared
	*process
}

// process is Accounts and what they told.
type process struct {
	*Accounts
	target *Target

	mu      sync.Mutex // guards all below
	events  []Event
	changed []Key
}

// newRig returns one whose issuer behaves like b. All ends with the test, inside of a
// bubble.
func newRig(t *testing.T, b oauthtest.Behaviour, p oauthtest.Protection, c Config) *rig {
	t.Helper()
	r := &rig{t: t, net: &oauthtest.Net{}, store: &shared{memory: newMemory()}}
	r.as = oauthtest.NewIssuer(t, r.net, "https://as.test", b)
	r.mcp = oauthtest.NewResource(t, r.net, "https://mcp.test/mcp", r.as, p)
	r.as.Know(oauthtest.Client{ID: "person", RedirectURIs: []string{"http://127.0.0.1/cb"}})
	r.as.Know(oauthtest.Client{ID: "robot", Secret: "cs-robot", Method: "client_secret_basic"})
	r.process = r.newProcess(c)
	return r
}

func (r *rig) newProcess(c Config) *process {
	p := &process{target: &Target{Upstream: "linear", URL: r.mcp.URL, Config: c, Client: r.net.Client(), Name: "Interlock"}}
	p.Accounts = New(Options{
		Store:   r.store,
		Changed: func(k Key) { p.note(func() { p.changed = append(p.changed, k) }) },
		Report:  func(e Event) { p.note(func() { p.events = append(p.events, e) }) },
	})
	r.t.Cleanup(func() {
		if err := p.Close(context.Background()); err != nil {
			r.t.Error(err)
		}
		for _, e := range p.events {
			r.noSecret(fmt.Sprintf("%v %+v %#v %v", e, e, e, e.Err))
		}
	})
	return p
}

func (p *process) note(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

// count is how many events of a kind there were. They are told after those who wait
// for a token have it.
func (p *process) count(kind EventKind) (n int) {
	synctest.Wait()
	p.note(func() {
		for _, e := range p.events {
			if e.Kind == kind {
				n++
			}
		}
	})
	return n
}

// noSecret fails if a text that may be shown has a token in it, or the robot's secret.
func (r *rig) noSecret(text string) {
	r.t.Helper()
	for _, mark := range []string{"at-", "rt-", "cs-"} {
		if strings.Contains(text, mark) {
			r.t.Errorf("a secret that begins with %s is told", mark) // it is not shown here either
		}
	}
}

// signIn has a person sign in, without the code that is tested elsewhere.
func (r *rig) signIn(principal string, scopes ...string) *Account {
	r.t.Helper()
	const verifier = "0123456789012345678901234567890123456789012"
	sum := sha256.Sum256([]byte(verifier))
	q := url.Values{
		"response_type": {"code"}, "client_id": {"person"}, "redirect_uri": {"http://127.0.0.1/cb"}, "state": {"s"}, "resource": {r.mcp.URL},
		"scope": {strings.Join(scopes, " ")}, "code_challenge_method": {"S256"}, "code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])},
	}
	req, _ := http.NewRequestWithContext(r.t.Context(), http.MethodGet, r.as.URL+"/authorize?"+q.Encode(), nil)
	resp, err := r.net.RoundTrip(req)
	if err != nil {
		r.t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	back, err := resp.Location()
	if err != nil {
		r.t.Fatal(err)
	}
	form := url.Values{
		"grant_type": {"authorization_code"}, "client_id": {"person"}, "code_verifier": {verifier}, "resource": {r.mcp.URL},
		"redirect_uri": {"http://127.0.0.1/cb"}, "code": {back.Query().Get("code")},
	}
	var tok struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
		Expires int    `json:"expires_in"`
	}
	r.post(r.as.URL+"/token", "application/x-www-form-urlencoded", "", form.Encode(), &tok)
	a := &Account{
		Key: Key{"linear", principal}, Issuer: r.as.URL, Resource: r.mcp.URL, Scopes: scopes,
		Client:        Registration{Issuer: r.as.URL, RedirectURI: "http://127.0.0.1/cb", ClientID: "person", AuthMethod: "none", How: Dynamic},
		TokenEndpoint: r.as.URL + "/token", RevocationEndpoint: r.as.URL + "/revoke",
		AccessToken: Secret(tok.Access), RefreshToken: Secret(tok.Refresh), Obtained: time.Now(),
	}
	if tok.Expires > 0 {
		a.Expires = time.Now().Add(time.Duration(tok.Expires) * time.Second)
	}
	if err := r.SignedIn(r.t.Context(), a); err != nil {
		r.t.Fatal(err)
	}
	return a
}

func (r *rig) post(address, kind, authorization, body string, into any) (int, http.Header) {
	r.t.Helper()
	req, _ := http.NewRequestWithContext(r.t.Context(), http.MethodPost, address, strings.NewReader(body))
	req.Header.Set("Content-Type", kind)
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	resp, err := r.net.RoundTrip(req)
	if err != nil {
		r.t.Error(err)
		return 0, nil
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Error(err)
	}
	if err := json.NewDecoder(bytes.NewReader(b)).Decode(into); err != nil {
		r.t.Error(err)
	}
	return resp.StatusCode, resp.Header
}

// call calls a tool as a link does: one more try after a refusal.
func (r *rig) call(s Source, tool string) (text string, err error) {
	r.t.Helper()
	defer func() {
		if err != nil {
			r.noSecret(fmt.Sprintf("%v %+v %#v", err, err, err))
		}
	}()
	for try := range 3 {
		sent, err := s.Authorization(r.t.Context())
		if err != nil {
			return "", err
		}
		var answer struct {
			Result struct {
				Content []struct{ Text string }
			}
		}
		status, h := r.post(r.mcp.URL, "application/json", sent, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"`+tool+`"}}`, &answer)
		if status == http.StatusOK {
			if try > 0 || sent == "" {
				s.Accepted(sent)
			}
			return answer.Result.Content[0].Text, nil
		}
		if err := s.Refused(r.t.Context(), sent, status, h); err != nil {
			return "", err
		}
	}
	return "", errors.New("refused three times")
}

// must is call of whoami, which succeeds.
func (r *rig) must(s Source) string {
	r.t.Helper()
	text, err := r.call(s, "whoami")
	if err != nil {
		r.t.Fatal(err)
	}
	return text
}

// needs is call of a tool, which needs a sign-in.
func (r *rig) needs(s Source, tool string) *NeedsAuth {
	r.t.Helper()
	text, err := r.call(s, tool)
	var n *NeedsAuth
	if !errors.As(err, &n) {
		r.t.Fatalf("got %q, %v, want a need of a sign-in", text, err)
	}
	return n
}

// header is Authorization, which succeeds.
func (r *rig) header(s Source) string {
	r.t.Helper()
	h, err := s.Authorization(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return h
}

// refreshes is how many requests with refresh tokens the issuer got.
func (r *rig) refreshes() int { return len(r.as.Seen("token/refresh_token")) }
