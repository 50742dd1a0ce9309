package gateway

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/oauth"
	"github.com/interlock-mcp/interlock/upstream/oauth/vault"
)

// signIns is the gateway as a client of the authorization servers of its upstreams:
// the accounts that it has there, and the sign-ins that clients are offered.
type signIns struct {
	g        *Gateway
	store    oauth.Store
	accounts *oauth.Accounts
	offers   offerTable
	trouble  troubles
	// exchanges says that an upstream wants tokens in exchange for principals' own.
	exchanges atomic.Bool

	mu      sync.Mutex         // guards the rest
	targets map[string]*target // by upstream
}

// target is what is signed in to, as it was configured by that key.
type target struct {
	*oauth.Target
	key string
}

// newSignIns returns those of a state folder. store is nil for the vault there.
func newSignIns(g *Gateway, cfg *config.Config, store oauth.Store) (*signIns, error) {
	if store == nil {
		v, err := vault.Open(vault.Options{Dir: cfg.StateDir, Where: vault.Where(cfg.SignIn.Store)})
		if err != nil {
			return nil, err
		}
		store = v
	}
	s := &signIns{g: g, store: store, targets: make(map[string]*target)}
	s.accounts = oauth.New(oauth.Options{Store: store, Changed: s.changed, Report: s.reported})
	return s, nil
}

// credentials returns what gives a link its Authorization; it is
// upstream.DialerOptions.Credentials.
func (s *signIns) credentials(c *upstream.Config, principal string) oauth.Source {
	t := s.target(c)
	if t == nil {
		return nil
	}
	return s.accounts.Source(t, principal)
}

// target returns what is signed in to at an upstream, nil for nothing. While the
// configuration is the same it is the same.
func (s *signIns) target(c *upstream.Config) *oauth.Target {
	key := c.RestartKey()
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.targets[c.Name]; t != nil && t.key == key {
		return t.Target
	}
	t, err := SignInTarget(c)
	if err != nil {
		return nil // the files of tls: the link says so itself
	}
	s.drop(c.Name)
	s.targets[c.Name] = &target{t, key}
	return t
}

// drop forgets what an upstream was. The caller holds mu.
func (s *signIns) drop(name string) {
	if t := s.targets[name]; t != nil && t.Target != nil {
		t.Client.CloseIdleConnections()
	}
	delete(s.targets, name)
}

// presented gives the token of a request's principal to where it can be exchanged, if
// an upstream wants that.
func (s *signIns) presented(r *http.Request, p *policy.Principal, by *guard) {
	if by.auth == nil || !s.exchanges.Load() {
		return
	}
	if token, expires := by.auth.TokenOf(r); token != "" {
		s.accounts.Present(p.Key(), token, expires)
	}
}

// keep forgets what is not among the upstreams of a new configuration.
func (s *signIns) keep(ups []upstream.Config) {
	there, exchanges := make(map[string]bool, len(ups)), false
	for i := range ups {
		there[ups[i].Name] = ups[i].Enabled
		exchanges = exchanges || ups[i].Enabled && ups[i].Auth.Exchange
	}
	s.exchanges.Store(exchanges)
	s.mu.Lock()
	for name := range s.targets {
		if !there[name] {
			s.drop(name)
		}
	}
	s.mu.Unlock()
	s.accounts.Retain(func(name string) bool { return there[name] })
	s.trouble.retain(func(name string) bool { return there[name] })
	s.offers.endWhere(func(k oauth.Key) bool { return !there[k.Upstream] }, errOfferGone)
}

// renewalGrace is how long renewals under way may take at the end.
const renewalGrace = 5 * time.Second

// close ends the sign-ins that were offered, and waits for renewals.
func (s *signIns) close() {
	s.offers.endWhere(func(oauth.Key) bool { return true }, errDraining)
	ctx, cancel := context.WithTimeout(context.Background(), renewalGrace)
	defer cancel()
	if err := s.accounts.Close(ctx); err != nil {
		s.g.log.Warn("a renewal of a token was cut off", "error", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range s.targets {
		s.drop(name)
	}
}

// changed is told that an account came or went by a person's doing. It does not block.
func (s *signIns) changed(k oauth.Key) {
	if s.gone(k) {
		s.g.set.SignedOut(k.Upstream, k.Principal)
		return
	}
	s.g.set.SignedIn(k.Upstream, k.Principal)
	s.offers.end(k, nil)
}

// gone reports whether links have used an account that is not there any more. Of one
// that cannot be read for now nothing is known.
func (s *signIns) gone(k oauth.Key) bool {
	st := s.accounts.State(k)
	return s.accounts.Used(k) && !st.Signed && st.Err == ""
}

// look reads the accounts of an upstream again, the gateway's own and those of
// principals.
func (s *signIns) look(ctx context.Context, upstream string) error {
	keys := map[oauth.Key]struct{}{{Upstream: upstream}: {}}
	for _, k := range s.accounts.UsedAt(upstream) {
		keys[k] = struct{}{}
	}
	kept, err := s.store.Accounts(ctx)
	for i := range kept {
		if kept[i].Upstream == upstream {
			keys[kept[i].Key] = struct{}{}
		}
	}
	for k := range keys {
		s.accounts.Look(ctx, k)
		if st := s.accounts.State(k); st.Signed && st.Needs == nil { // also if a request had found it before
			s.offers.end(k, nil)
		}
	}
	return err
}
