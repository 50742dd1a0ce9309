package main

import (
	"context"
	"strings"
	"time"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/upstream/oauth"
)

// signInReport is what login writes: nothing of it is secret.
type signInReport struct {
	Upstream string `json:"upstream"`
	// Principal is whose it is, "" for the gateway's own.
	Principal string   `json:"principal,omitempty"`
	Issuer    string   `json:"issuer"`
	Resource  string   `json:"resource"`
	Scopes    []string `json:"scopes"`
	// Expires is when the access token does; Renewable says that it is renewed then.
	Expires   time.Time `json:"expires,omitzero"`
	Renewable bool      `json:"renewable"`
	// Client says how the client is known to the issuer: pre-registered,
	// client_id_metadata_document or dynamic.
	Client string `json:"client"`
	// Gateway says whether one runs that uses it. State is the server's then, Tools
	// how many it has, and Error why it does not run.
	Gateway bool         `json:"gateway"`
	State   string       `json:"state,omitempty"`
	Tools   int          `json:"tools,omitempty"`
	Error   *admin.Fault `json:"error,omitempty"`

	idle bool
	took time.Duration
	per  oauth.Per
}

// signedIn has the gateway use an account, if one runs, and says what came of it.
func (a *app) signedIn(ctx context.Context, c *counter, acct *oauth.Account, output format, patience time.Duration) error {
	r := &signInReport{
		Upstream: acct.Upstream, Principal: acct.Subject(), Issuer: acct.Issuer, Resource: acct.Resource, Scopes: acct.Scopes, Expires: acct.Expires,
		Renewable: acct.RefreshToken != "", Client: string(acct.Client.How), per: c.cfg.Upstream(acct.Upstream).Auth.Per,
	}
	if r.Scopes == nil {
		r.Scopes = []string{}
	}
	if output == asTable {
		a.out.account(r)
	}
	if err := a.put(ctx, c, r, patience); err != nil {
		return err
	}
	if output != asTable {
		if err := a.write(output, r); err != nil {
			return err
		}
	} else {
		a.out.used(r)
	}
	if r.Error != nil {
		return &failure{code: exitUnhealthy}
	}
	return nil
}

// put has the gateway use the account, and waits until the upstream runs.
func (a *app) put(ctx context.Context, c *counter, r *signInReport, patience time.Duration) error {
	if c.client == nil {
		return nil
	}
	began := time.Now()
	wait := a.awaiting("waiting for " + r.Upstream + " to run")
	defer wait.stop()
	o, err := c.tell(ctx, r.Upstream, patience)
	if err != nil {
		return &failure{exitFailed, err, "the sign-in is kept: interlock restart " + r.Upstream + " has it used"}
	}
	r.Gateway, r.State, r.Error, r.took = true, o.State, o.Error, time.Since(began)
	if info, err := c.client.Info(ctx, r.Upstream); err == nil {
		r.State, r.Tools, r.idle = info.State, info.Tools, info.Idle
	}
	return nil
}

// account writes what was signed in to.
func (s *screen) account(r *signInReport) {
	name := s.bold(r.Upstream)
	if r.Principal != "" {
		name += " " + printable(r.Principal)
	}
	s.printf("%s  %s\n", name, s.green(s.mark("✓ ")+"signed in")+" at "+printable(r.Issuer))
	if len(r.Scopes) > 0 {
		s.printf("  %s\n", s.faint("scopes: "+printable(strings.Join(r.Scopes, " "))))
	}
	switch {
	case r.Renewable:
		s.printf("  %s\n", s.faint("it is renewed by itself, until it is revoked"))
	case r.Expires.IsZero():
		s.printf("  %s\n", s.faint("it was not said when it expires"))
	default:
		s.printf("  %s\n", s.yellow("it cannot be renewed: sign in again after "+r.Expires.Local().Format("2006-01-02 15:04")))
	}
	if r.per == oauth.PerPrincipal && r.Principal == "" {
		s.printf("  %s\n", s.faint("it makes the lists and probes; for calls each principal signs in, through its client"))
	}
}

// used writes what became of the upstream with it.
func (s *screen) used(r *signInReport) {
	name := s.bold(r.Upstream)
	switch {
	case !r.Gateway:
		s.printf("%s  no gateway runs now; the next one uses it: interlock serve\n", name)
	case r.Error != nil:
		s.printf("%s  %s %s%s\n", name, s.red(s.mark("✗ ")+"not running:"), printable(r.Error.Detail), s.faint(" ["+r.Error.Code+"]"))
		if r.Error.Mend != "" {
			s.printf("  %s\n", s.faint(printable(r.Error.Mend)))
		}
	case r.idle:
		s.printf("%s  starts when it is needed\n", name)
	case r.State == "stopped" || r.State == "not_started":
		s.printf("%s  is %s; interlock start %s starts it\n", name, r.State, r.Upstream)
	default:
		s.printf("%s  %s%s\n", name, s.green(s.mark("✓ ")+r.State), " with "+count(r.Tools, "tool")+s.faint(" after "+seconds(r.took.Seconds())))
	}
}
