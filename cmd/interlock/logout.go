package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/upstream/oauth"
	"github.com/spf13/cobra"
)

// signOut is what became of one sign-in that was to be forgotten.
type signOut struct {
	Upstream string `json:"upstream"`
	// Principal is whose it was, "" for the gateway's own.
	Principal string `json:"principal,omitempty"`
	Issuer    string `json:"issuer"`
	// Forgotten says that nothing is kept any more, Revoked that the issuer was told,
	// and takes its tokens no longer.
	Forgotten bool `json:"forgotten"`
	Revoked   bool `json:"revoked"`
	// Error is why one of these is false, "" for both true.
	Error string `json:"error,omitempty"`
}

func (a *app) logoutCommand() *cobra.Command {
	var (
		r          reach
		t          targets
		principals []string
	)
	cmd := &cobra.Command{
		Use: "logout (NAME | --all)", GroupID: "sign",
		Short: "Sign out of remote servers",
		Long: `Forgets the gateway's sign-in at a remote server, and tells the authorization server that its
tokens are void, where that can be told. A gateway that runs stops using it at once.

With --principal the sign-in of a principal of server.auth is forgotten in its place; with --all
every sign-in there is, at all servers and of all principals, also at servers that are not
configured any more.

It exits with 1 when there was nothing to forget, or something could not be forgotten. A server
that could not be told is a warning: then the tokens are good until they expire.`,
		Example: `  interlock logout linear
  interlock logout linear --principal alice
  interlock logout --all`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usage("", "logout takes one name, not %d", len(args))
			}
			return t.given("logout", args)
		},
	}
	configFlag(cmd, &r.files)
	t.flags(cmd)
	output := outputFlag(cmd)
	cmd.Flags().StringArrayVar(&principals, "principal", nil, "forget the sign-in of this `PRINCIPAL`, not the gateway's own; may be repeated")
	cmd.ValidArgsFunction = inOrder(r.completing(signInNames(admin.SignedIn)))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx, stop := interruptible(cmd.Context())
		defer stop()
		if t.all && len(principals) > 0 {
			return usage("", "--all forgets those of all principals: it does not go with --principal")
		}
		name := ""
		if !t.all {
			name = args[0]
		}
		c, err := r.openCounter(ctx, name)
		if err != nil {
			return failed(err)
		}
		defer c.close()
		keys, err := c.kept(ctx, name, principals)
		if err != nil {
			return failed(err)
		}
		return failed(a.logout(ctx, c, keys, *output))
	}
	return cmd
}

// kept are the accounts that are meant: those of an upstream, the gateway's own if
// there are no principals; all for the name "".
func (c *counter) kept(ctx context.Context, name string, principals []string) ([]oauth.Account, error) {
	all, err := c.store.Accounts(ctx)
	if err != nil || name == "" {
		return all, err
	}
	if len(principals) == 0 {
		principals = []string{""}
	}
	var mine []oauth.Account
	others := 0
	for _, acct := range all {
		switch {
		case acct.Upstream != name:
		case slices.Contains(principals, acct.Subject()):
			mine = append(mine, acct)
		default:
			others++
		}
	}
	switch {
	case len(mine) > 0:
		return mine, nil
	case c.cfg.Upstream(name) == nil:
		return nil, usage(c.choices(), "no upstream is named %q", name)
	case others > 0:
		return nil, &failure{exitFailed, errors.New("not signed in to " + name), count(others, "other sign-in") + " there: --principal PRINCIPAL means that of a principal; interlock info " + name}
	}
	return nil, &failure{exitFailed, errors.New("not signed in to " + name), ""}
}

// logout forgets accounts, each for itself, and says what became of it.
func (a *app) logout(ctx context.Context, c *counter, accts []oauth.Account, output format) error {
	all := make([]signOut, 0, len(accts))
	ok := true
	for _, acct := range accts {
		wait := a.awaiting("signing out of " + acct.Upstream)
		o := c.forget(ctx, &acct)
		wait.stop()
		if ctx.Err() != nil {
			return errInterrupted
		}
		all, ok = append(all, o), ok && o.Forgotten
		if output == asTable {
			a.out.signOut(o)
		}
	}
	err := showList(a, output, all, nil, "nobody is signed in anywhere", func([]signOut) {})
	if err == nil && !ok {
		err = &failure{code: exitFailed}
	}
	return err
}

// forget forgets one account, and has the gateway look again.
func (c *counter) forget(ctx context.Context, acct *oauth.Account) signOut {
	o := signOut{Upstream: acct.Upstream, Principal: acct.Subject(), Issuer: acct.Issuer}
	err := c.accounts.Forget(ctx, c.former(acct), acct.Principal)
	o.Revoked = err == nil
	o.Forgotten = err == nil || errors.Is(err, oauth.ErrNotRevoked) || errors.Is(err, oauth.ErrNoAccount)
	if err != nil {
		o.Error = err.Error()
	}
	if o.Forgotten && c.client != nil && c.cfg.Upstream(acct.Upstream) != nil {
		looking, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		if _, err := c.client.SignedIn(looking, acct.Upstream, admin.Order{}); err != nil {
			o.Error = "the gateway was not told: " + err.Error()
		}
	}
	return o
}

// former is what an account is of; a server that is not configured any more, or in
// another way, is one by its address alone.
func (c *counter) former(acct *oauth.Account) *oauth.Target {
	if t, err := c.target(acct.Upstream); err == nil {
		return t
	}
	return &oauth.Target{Upstream: acct.Upstream, URL: acct.Resource, Client: oauth.Guard(acct.Resource, nil, oauth.GuardOptions{})}
}

// signOut writes what became of one.
func (s *screen) signOut(o signOut) {
	name := s.bold(o.Upstream)
	if o.Principal != "" {
		name += " " + printable(o.Principal)
	}
	if !o.Forgotten {
		s.printf("%s  %s %s\n", name, s.red(s.mark("✗ ")+"not signed out:"), printable(o.Error))
		return
	}
	s.printf("%s  %s\n", name, s.green(s.mark("✓ ")+"signed out")+" of "+printable(o.Issuer))
	if o.Error != "" {
		s.printf("  %s\n", s.yellow(printable(o.Error)))
	}
}
