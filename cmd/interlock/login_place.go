package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/interlock-mcp/interlock/gateway"
	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/interlock-mcp/interlock/gateway/identity"
	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/oauth"
	"github.com/interlock-mcp/interlock/upstream/oauth/vault"
)

// unlocking is how long a person may take to unlock the system's keyring.
const unlocking = time.Minute

// counter is where sign-ins are made and kept: the same place that the gateway of a
// configuration has them from, whether it runs or not.
type counter struct {
	cfg      *config.Config
	store    oauth.Store
	accounts *oauth.Accounts
	// client is nil where no gateway runs for the configuration, and info where it does
	// not know the upstream.
	client *admin.Client
	info   *admin.Info
}

// openCounter opens the place for an upstream of the configuration that r names; ""
// is for whatever upstreams there are. The caller closes it.
func (r *reach) openCounter(ctx context.Context, name string) (*counter, error) {
	cfg, err := config.LoadFor(config.LoadOptions{Files: r.files}, name)
	if err != nil {
		return nil, err
	}
	if cfg.StateDir == "" {
		return nil, &failure{exitBadConfig, errors.New("there is no folder to keep a sign-in in"), "set state_dir"}
	}
	if cfg, err = gateway.WithAdded(cfg, filepath.Join(cfg.StateDir, gateway.AddedFile)); err != nil {
		return nil, err
	}
	c := &counter{cfg: cfg}
	if c.store, err = vault.Open(vault.Options{Dir: cfg.StateDir, Where: vault.Where(cfg.SignIn.Store), Patience: unlocking}); err != nil {
		return nil, err
	}
	c.accounts = oauth.New(oauth.Options{Store: c.store})
	return c, c.ask(ctx, r, name)
}

// ask finds the gateway that runs, if one does.
func (c *counter) ask(ctx context.Context, r *reach, name string) error {
	client, err := r.client()
	if errors.Is(err, admin.ErrUnreachable) {
		return nil
	} else if err != nil {
		return err
	}
	asking, cancel := context.WithTimeoutCause(ctx, answerLimit, errMute)
	defer cancel()
	var refused *admin.Error
	if name == "" {
		_, err = client.Upstreams(asking, admin.Select{})
	} else {
		c.info, err = client.Info(asking, name)
	}
	switch {
	case err == nil || errors.As(err, &refused) && refused.Code == admin.CodeUnknownUpstream: // it has not read the file anew
		c.client = client
		return nil
	case errors.Is(err, admin.ErrUnreachable), refused != nil && refused.Code == admin.CodeOtherConfig:
		client.Close()
		return nil
	}
	client.Close()
	return err
}

func (c *counter) close() {
	if c.client != nil {
		c.client.Close()
	}
	_ = c.accounts.Close(context.Background()) // nothing is renewed here
}

// target is what is signed in to for an upstream. The error says why there is
// nothing.
func (c *counter) target(name string) (*oauth.Target, error) {
	u := c.cfg.Upstream(name)
	if u == nil {
		return nil, usage(c.choices(), "no upstream is named %q", name)
	}
	t, err := gateway.SignInTarget(u)
	if err != nil || t != nil && (u.Auth.Flow == "" || u.Auth.Flow == oauth.AuthorizationCode) {
		return t, err
	}
	switch {
	case u.Kind() == upstream.Stdio:
		return nil, usage(c.choices(), "%s is a process: there is nothing to sign in to", name)
	case u.Auth.Flow == oauth.ClientCredentials:
		return nil, usage("interlock status "+name+" says how it is", "%s signs in by itself, with its client_id (auth.flow: client_credentials)", name)
	case u.Auth.Flow == oauth.Bearer:
		return nil, usage("interlock status "+name+" says how it is", "%s has a token of its own (auth.flow: bearer)", name)
	case u.Auth.Flow == oauth.NoFlow:
		return nil, usage("take auth.flow out to sign in there", "%s is not signed in to (auth.flow: none)", name)
	}
	return nil, usage("take them out to sign in there", "%s has credentials of its own, in headers or url", name)
}

// principal returns the key of a principal that is called by its subject, or by its
// issuer and subject with a space between; "" is for the gateway itself.
func (c *counter) principal(name, called string) (string, error) {
	if called == "" {
		return "", nil
	}
	if c.cfg.Upstream(name).Auth.Per != oauth.PerPrincipal {
		return "", usage("leave --principal out, or set auth: {per: principal}", "%s has one sign-in for all", name)
	}
	if issuer, subject, ok := strings.Cut(called, " "); ok {
		return (&policy.Principal{Issuer: issuer, Subject: subject}).Key(), nil
	}
	auth := &c.cfg.Server.Auth
	var issuers []string
	if slices.ContainsFunc(auth.APIKeys, func(k identity.APIKey) bool { return k.Principal == called }) {
		issuers = append(issuers, identity.Issuer)
	}
	for i := range auth.OIDC {
		issuers = append(issuers, auth.OIDC[i].Issuer)
	}
	switch len(issuers) {
	case 1:
		return (&policy.Principal{Issuer: issuers[0], Subject: called}).Key(), nil
	case 0:
		return "", usage("the principals that server.auth.api_keys has are those there are", "no principal is called %q", called)
	}
	return "", usage(fmt.Sprintf("--principal '%s %s'", issuers[0], called), "whose %q? it may be of %s", called, strings.Join(issuers, " or "))
}

// choices says which upstreams can be signed in to.
func (c *counter) choices() string {
	names := c.remotes()
	if len(names) == 0 {
		return "no remote server is configured"
	}
	return "these can be signed in to: " + strings.Join(names, ", ")
}

// remotes are the upstreams that a person can sign in to.
func (c *counter) remotes() []string {
	var names []string
	for i := range c.cfg.Upstreams {
		u := &c.cfg.Upstreams[i]
		if u.Auth.Flow != "" && u.Auth.Flow != oauth.AuthorizationCode {
			continue
		}
		if t, err := gateway.SignInTarget(u); err == nil && t != nil {
			names = append(names, u.Name)
		}
	}
	return names
}

// wanted are the scopes that the running gateway was refused for want of.
func (c *counter) wanted() []string {
	if c.info == nil || c.info.SignIn == nil || c.info.SignIn.Why != string(oauth.MoreScope) {
		return nil
	}
	return slices.Clone(c.info.SignIn.Scopes)
}

// tell has the gateway look again, and waits for what becomes of the upstream, for
// at most patience.
func (c *counter) tell(ctx context.Context, name string, patience time.Duration) (*admin.Outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, patience+late)
	defer cancel()
	o, err := c.client.SignedIn(ctx, name, admin.Order{Wait: true, Timeout: patience.Seconds()})
	if err != nil {
		return nil, fmt.Errorf("the gateway was not told: %w", err)
	}
	return o, nil
}
