package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/interlock-mcp/interlock/gateway"
	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/upstream/oauth"
	"github.com/spf13/cobra"
)

// loginFlags are how a person wants to sign in.
type loginFlags struct {
	noBrowser, headless bool
	principal           string
	scopes              []string
	redirect            string
	timeout             time.Duration
}

func (a *app) loginCommand() *cobra.Command {
	var (
		r reach
		f loginFlags
	)
	cmd := &cobra.Command{
		Use: "login NAME", GroupID: "sign", Args: oneName("login"),
		Short: "Sign in to a remote server",
		Long: `Signs in to a remote server that wants OAuth: opens your browser at its sign-in page, waits
until you come back from there, and keeps what the gateway needs from then on. It renews that
by itself, also after a restart: you sign in once, until it is revoked or the server wants more.

A gateway that runs uses it at once; then this waits until the server runs. None has to run.

On a machine without a screen, over SSH and with --no-browser no browser is opened: the address
is printed, to be opened anywhere. A browser on another machine ends at an address that it
cannot show: copy it from there, and paste it here.

Where each principal of server.auth has its own account (auth: {per: principal}), this makes the
one that lists and probes; with --principal it makes that of a principal, who is called by the
subject, or by 'ISSUER SUBJECT' where several issuers may have it.

The browser comes back to ` + oauth.LoopbackRedirect + `. Register a client by hand
(auth.client_id) with that address, or give yours with --redirect.

It exits with 1 when there is no sign-in in the end, with 4 when the server does not run with it.`,
		Example: `  interlock login linear
  interlock login linear --no-browser
  interlock login linear --scope read --scope write
  interlock login linear --principal alice
  interlock login linear -o json | jq .expires`,
	}
	configFlag(cmd, &r.files)
	output := outputFlag(cmd)
	flags := cmd.Flags()
	flags.BoolVar(&f.noBrowser, "no-browser", false, "open no browser: print the address")
	flags.BoolVar(&f.headless, "headless", false, "follow the address without a person: for tests, with servers that ask nobody")
	flags.StringVar(&f.principal, "principal", "", "sign in for this `PRINCIPAL`, not for the gateway itself")
	flags.StringArrayVar(&f.scopes, "scope", nil, "a `SCOPE` to ask for besides; may be repeated")
	flags.StringVar(&f.redirect, "redirect", "", "the `ADDRESS` that the browser comes back to, http and of this machine, as your client was registered with it")
	flags.DurationVar(&f.timeout, "timeout", 5*time.Minute, "wait for so long at most, for you and then for the server")
	choices(cmd, "timeout", []string{"1m", "5m", "15m"})
	cmd.MarkFlagsMutuallyExclusive("no-browser", "headless")
	cmd.ValidArgsFunction = inOrder(r.completing(signInNames(admin.NeedsAuth)))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx, stop := interruptible(cmd.Context())
		defer stop()
		err := a.login(ctx, &r, &f, *output, args[0])
		if said := new(failure); err != nil && ctx.Err() != nil && !errors.As(err, &said) {
			return &failure{exitFailed, errInterrupted, ""}
		}
		return failed(err)
	}
	return cmd
}

// oneName wants one name after a verb.
func oneName(verb string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) == 0:
			return usage("interlock "+verb+" NAME; interlock list shows the names", "%s where? name a server", verb)
		case len(args) > 1:
			return usage("", "%s takes one name, not %d", verb, len(args))
		}
		return nil
	}
}

// login signs in to an upstream.
func (a *app) login(ctx context.Context, r *reach, f *loginFlags, output format, name string) error {
	if f.timeout <= 0 {
		return usage("", "--timeout must be more than 0s")
	}
	c, err := r.openCounter(ctx, name)
	if err != nil {
		return err
	}
	defer c.close()
	target, err := c.target(name)
	if err != nil {
		return err
	}
	principal, err := c.principal(name, f.principal)
	if err != nil {
		return err
	}
	acct, err := a.signIn(ctx, c, target, principal, f)
	if err != nil {
		return err
	}
	return a.signedIn(ctx, c, acct, output, f.timeout)
}

// signIn makes an account of a principal, "" for the gateway itself, and keeps it.
func (a *app) signIn(ctx context.Context, c *counter, t *oauth.Target, principal string, f *loginFlags) (*oauth.Account, error) {
	// A keyring that cannot be reached is better known before than after.
	_, err := c.store.Account(ctx, oauth.Key{Upstream: t.Upstream, Principal: principal})
	if err != nil && !errors.Is(err, oauth.ErrNoAccount) && !errors.Is(err, oauth.ErrLost) {
		return nil, err
	}
	back, err := f.comeBack(ctx, t)
	if err != nil {
		return nil, err
	}
	defer back.close()
	wait := a.awaiting("asking " + bare(t.URL) + " where to sign in")
	attempt, err := oauth.Begin(ctx, t, oauth.BeginOptions{Principal: principal, RedirectURI: back.uri.String(), Offered: gateway.LoginDocument(&c.cfg.Server), More: append(c.wanted(), f.scopes...), Store: c.store})
	wait.stop()
	if err == nil {
		err = showable(attempt.URL)
	}
	if err != nil {
		return nil, notBegun(t.Upstream, err)
	}
	v, err := a.goThere(ctx, attempt, back, f)
	if err != nil {
		return nil, notSignedIn(t.Upstream, err)
	}
	acct, err := attempt.Finish(ctx, v.query)
	if err == nil {
		err = c.accounts.SignedIn(ctx, acct)
	}
	if err != nil {
		v.tell <- farewell{Title: "Not signed in to " + t.Upstream, Text: "What went wrong: " + printable(err.Error()) + "."}
		return nil, notSignedIn(t.Upstream, err)
	}
	v.tell <- farewell{OK: true, Title: "Signed in to " + t.Upstream, Text: "You can close this page and go back to the terminal."}
	return acct, nil
}

// comeBack opens the address that the browser comes back to. A client that was
// registered by somebody else has one of its own.
func (f *loginFlags) comeBack(ctx context.Context, t *oauth.Target) (*callback, error) {
	uri, other := oauth.LoopbackRedirect, anyPort(t.Config.ClientID == "" && t.Config.ClientMetadata == "")
	if f.redirect != "" {
		uri, other = f.redirect, false
	}
	if f.headless {
		return elsewhere(uri)
	}
	back, err := newCallback(ctx, uri, other)
	if err != nil && taken(err) {
		return nil, &failure{exitFailed, err, "end what listens there, another interlock login perhaps; or register another address for the client, and give it with --redirect"}
	}
	return back, err
}

// notBegun says why nobody can sign in.
func notBegun(name string, err error) error {
	var mend string
	switch {
	case errors.Is(err, context.Canceled): // by Ctrl-C
		return err
	case errors.As(err, new(*net.OpError)):
		mend = "see that the server runs and that url is right"
	default:
		mend = "if " + name + " takes a token that you have, set headers: {Authorization: \"Bearer ${TOKEN}\"}"
	}
	return &failure{exitFailed, fmt.Errorf("%s: %w", name, err), mend}
}

// notSignedIn says why an attempt came to nothing.
func notSignedIn(name string, err error) error {
	mend := "nothing was kept; interlock login " + name + " tries it again"
	switch refusal := new(oauth.Refusal); {
	case errors.Is(err, context.Canceled): // by Ctrl-C
		return &failure{exitFailed, errInterrupted, "nothing was kept"}
	case errors.Is(err, errNobody):
		mend = "nothing was kept; --timeout says how long to wait"
	case errors.As(err, &refusal) && refusal.Code == "access_denied" && refusal.Status == 0:
		err = errors.New("it was refused in the browser")
	}
	return &failure{exitFailed, fmt.Errorf("not signed in to %s: %w", name, err), mend}
}
