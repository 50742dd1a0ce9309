package identity

import (
	"context"
	"log/slog"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/interlock-mcp/interlock/policy"
)

// Authenticator tells who makes requests.
type Authenticator struct {
	log      *slog.Logger
	resource resource
	keys     []key
	issuers  map[string]*issuer // by iss
	names    []string           // of issuers, in the order of the configuration
	scopes   scopes
	cache    cache
}

// New makes one for a valid configuration. resource is the URL by which clients
// call the MCP endpoint; where its host is a loopback or unspecified address, they
// call it by the Host of their requests, which must have been checked. New does not
// block. The error says that resource is no URL, or the configuration not valid.
func New(c Config, resource string, log *slog.Logger) (*Authenticator, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	res, err := newResource(resource)
	if err != nil {
		return nil, err
	}
	keys, err := newKeys(c.APIKeys)
	if err != nil {
		return nil, err
	}
	a := &Authenticator{log: log, resource: res, keys: keys, issuers: map[string]*issuer{}, scopes: newScopes(c.Scopes)}
	for _, o := range c.OIDC {
		a.issuers[o.Issuer] = newIssuer(o, log)
		a.names = append(a.names, o.Issuer)
	}
	return a, nil
}

// Inherit takes the keys of issuers that old knows and whose configuration is the
// same, so that a reload asks for none of them, and turns nobody away while one is
// down. It must come before any use of a; old may be in use.
func (a *Authenticator) Inherit(old *Authenticator) {
	if old == nil {
		return
	}
	for name, i := range a.issuers {
		if known := old.issuers[name]; known != nil && reflect.DeepEqual(known.config, i.config) {
			a.issuers[name] = known
		}
	}
}

// Run keeps the keys of issuers up to date until ctx ends, and returns its error.
// Without it they are asked when a request needs them, which waits then.
func (a *Authenticator) Run(ctx context.Context) error {
	var all sync.WaitGroup
	for _, i := range a.issuers {
		all.Go(func() { i.run(ctx) })
	}
	all.Wait()
	<-ctx.Done()
	return ctx.Err()
}

// refusal is why a credential is refused; the zero value is none.
type refusal struct {
	// reason is for the log alone.
	reason string
	// credential and who name what was refused, "" where that is not known.
	credential, who string
	// unavailable says that it could not be checked, and for how long that is likely.
	unavailable time.Duration
}

// Authenticate tells who makes a request, or with which challenge it is to be
// answered; one of the two is nil. The principal is shared by all requests with
// the same credential and must not be changed. It may wait for an issuer, no longer
// than ctx and some seconds.
func (a *Authenticator) Authenticate(ctx context.Context, r *http.Request) (*policy.Principal, *Challenge) {
	credential, err := credentialOf(r)
	if err != nil {
		return nil, a.refuse(ctx, refusal{reason: err.Error()})
	}
	if credential == "" {
		return nil, &Challenge{Status: http.StatusUnauthorized, Scopes: a.scopes.required, a: a}
	}
	p, why := a.check(ctx, r, credential)
	if why.reason != "" {
		return nil, a.refuse(ctx, why)
	}
	if !a.scopes.has(p, a.scopes.required) {
		return nil, a.insufficient(a.scopes.required)
	}
	return p, nil
}

func (a *Authenticator) check(ctx context.Context, r *http.Request, credential string) (*policy.Principal, refusal) {
	switch {
	case strings.HasPrefix(credential, KeyPrefix):
		return a.byKey(credential)
	case len(a.issuers) == 0:
		return nil, refusal{reason: "not a key, and no issuer is configured"}
	}
	return a.byToken(ctx, r, credential)
}

// refuse logs why and makes the challenge, which does not say it: whoever tries
// credentials learns nothing of them.
func (a *Authenticator) refuse(ctx context.Context, why refusal) *Challenge {
	a.log.DebugContext(ctx, "a credential is refused", "reason", why.reason, "credential", why.credential, "principal", why.who)
	if why.unavailable > 0 {
		return &Challenge{Status: http.StatusServiceUnavailable, RetryAfter: why.unavailable, a: a}
	}
	return &Challenge{Status: http.StatusUnauthorized, Code: "invalid_token", Scopes: a.scopes.required, a: a}
}
