package oauth

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/interlock-mcp/interlock/upstream/oauth/oauthtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a Store without a disk.
type memory struct {
	mu            sync.Mutex
	accounts      map[Key]Account
	registrations map[[3]string]Registration
	locks         map[Key]chan struct{}
}

func newMemory() *memory {
	return &memory{accounts: map[Key]Account{}, registrations: map[[3]string]Registration{}, locks: map[Key]chan struct{}{}}
}

func (m *memory) Account(_ context.Context, k Key) (*Account, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a, ok := m.accounts[k]
	if !ok {
		return nil, ErrNoAccount
	}
	return &a, nil
}

func (m *memory) Put(_ context.Context, a *Account) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.accounts[a.Key] = *a
	return nil
}

func (m *memory) Delete(_ context.Context, k Key) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.accounts, k)
	return nil
}

func (m *memory) Accounts(context.Context) ([]Account, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := slices.Collect(maps.Values(m.accounts))
	slices.SortFunc(all, func(a, b Account) int {
		return strings.Compare(a.Upstream+"\x00"+a.Principal, b.Upstream+"\x00"+b.Principal)
	})
	for i := range all {
		all[i].AccessToken, all[i].RefreshToken, all[i].Client.ClientSecret = "", "", ""
	}
	return all, nil
}

func (m *memory) Registration(_ context.Context, upstream, issuer, redirectURI string) (*Registration, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.registrations[[3]string{upstream, issuer, redirectURI}]
	if !ok {
		return nil, nil
	}
	return &r, nil
}

func (m *memory) PutRegistration(_ context.Context, upstream string, r *Registration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.registrations[[3]string{upstream, r.Issuer, r.RedirectURI}] = *r
	return nil
}

func (m *memory) DeleteRegistration(_ context.Context, upstream, issuer, redirectURI string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.registrations, [3]string{upstream, issuer, redirectURI})
	return nil
}

func (m *memory) Lock(ctx context.Context, k Key) (func(), error) {
	m.mu.Lock()
	l := m.locks[k]
	if l == nil {
		l = make(chan struct{}, 1) // 1: who is in it has the lock
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

// site is an issuer and a server that it protects, in memory, and what signs in to it.
type site struct {
	net   oauthtest.Net
	as    *oauthtest.Issuer
	mcp   *oauthtest.Resource
	to    *Target
	store *memory
}

func newSite(t *testing.T, b oauthtest.Behaviour, p oauthtest.Protection) *site {
	t.Helper()
	s := &site{store: newMemory()}
	s.as = oauthtest.NewIssuer(t, &s.net, "https://as.test", b)
	s.mcp = oauthtest.NewResource(t, &s.net, "https://mcp.test/mcp", s.as, p)
	s.to = &Target{Upstream: "up", URL: s.mcp.URL, Client: s.net.Client(), Name: "Interlock"}
	return s
}
