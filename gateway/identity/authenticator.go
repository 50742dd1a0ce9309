package identity

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/interlock-mcp/interlock/policy"
)

// Authenticator tells who makes requests.
type Authenticator struct {
	log      *slog.Logger
	resource resource
	keys     []key
	scopes   scopes
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
	return &Authenticator{log: log, resource: res, keys: keys, scopes: newScopes(c.Scopes)}, nil
}

// Run keeps what the authenticator needs of others up to date until ctx ends, and
// returns its error. Without it requests are answered as well, and some wait.
func (a *Authenticator) Run(ctx context.Context) error {
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

func (a *Authenticator) check(_ context.Context, _ *http.Request, credential string) (*policy.Principal, refusal) {
	if strings.HasPrefix(credential, prefix) {
		return a.byKey(credential)
	}
	return nil, refusal{reason: "neither a key nor a token of a known issuer"}
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

// resource is what the gateway is to OAuth: a protected resource, known by its URL
// (RFC 8707 section 2).
type resource struct {
	scheme, host, path string
	// anyHost takes the host from the request, loopback does so where that is
	// loopback, too.
	anyHost, loopback bool
}

func newResource(s string) (resource, error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return resource{}, fmt.Errorf("resource %q is not the URL of an endpoint", s)
	}
	return resource{
		scheme: u.Scheme, host: strings.ToLower(u.Host), path: strings.TrimSuffix(u.Path, "/"),
		anyHost: unspecified(u.Hostname()), loopback: loopback(u.Hostname()),
	}, nil
}
