package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/spf13/cobra"
)

func (a *app) listCommand() *cobra.Command {
	var (
		r reach
		s admin.Select
	)
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, GroupID: "ask", Args: cobra.NoArgs,
		Short: "List the servers behind the gateway",
		Long: `Lists the servers behind the gateway, in the order of the file: their state, health, breaker,
transport, tools and process, and why those that failed did.

On a terminal the table fits its width; JSON, YAML and a pipe have everything.`,
		Example: `  interlock list
  interlock list --state error
  interlock list --transport stdio --name 'file*'
  interlock list -o json | jq -r '.[] | select(.state != "running") | .name'`,
	}
	r.flags(cmd)
	output := outputFlag(cmd)
	cmd.Flags().StringVar(&s.State, "state", "", "only those in this `STATE`: "+strings.Join(stateWords, ", "))
	cmd.Flags().StringVar(&s.Transport, "transport", "", "only those over this `TRANSPORT`: "+strings.Join(transportWords, ", "))
	cmd.Flags().StringVar(&s.Name, "name", "", "only those whose name matches this `GLOB`")
	choices(cmd, "state", stateWords)
	choices(cmd, "transport", transportWords)
	_ = cmd.RegisterFlagCompletionFunc("name", r.completing(upstreamNames))
	r.asks(cmd, func(ctx context.Context, c *admin.Client, _ []string) error {
		if err := legal(s); err != nil {
			return err
		}
		ups, err := c.Upstreams(ctx, s)
		if err != nil {
			return err
		}
		if *output != asTable {
			return a.write(*output, ups)
		}
		a.out.upstreams(ups)
		return nil
	})
	return cmd
}

// legal checks the words of a selection.
func legal(s admin.Select) error {
	bad := new(admin.Error)
	if err := s.Validate(); errors.As(err, &bad) {
		return usage(bad.Mend, "%s", bad.Detail)
	}
	return nil
}

// upstreams writes one line for each.
func (s *screen) upstreams(ups []admin.Upstream) {
	rows := make([][]cell, len(ups))
	for i, u := range ups {
		pid := ""
		if u.PID != 0 {
			pid = strconv.Itoa(u.PID)
		}
		rows[i] = []cell{
			{u.Name, s.bold},
			{u.State, s.stateColour(u)},
			{orDash(u.Health), s.stateColour(u)},
			plain(u.Breaker), plain(u.Transport),
			plain(strconv.Itoa(u.Tools)), plain(orDash(pid)), plain(age(u.Since)), plain(remark(u)),
		}
	}
	s.table([]column{
		{"NAME", 24, 0}, {"STATE", 0, 0}, {"HEALTH", 0, 3}, {"BREAKER", 0, 5}, {"TRANSPORT", 0, 6}, {"TOOLS", 0, 4}, {"PID", 0, 7}, {"SINCE", 0, 2}, {"REMARK", 20, 1},
	}, rows)
}

func (s *screen) stateColour(u admin.Upstream) func(string) string {
	switch {
	case u.State == "error" || u.Health == "unhealthy":
		return s.red
	case u.Health == "healthy":
		return s.green
	case u.Health == "degraded" || u.State == "starting":
		return s.yellow
	}
	return s.faint
}

// remark says what is to be known beyond the state.
func remark(u admin.Upstream) string {
	switch {
	case u.WaitingFor != "":
		return "waits for " + u.WaitingFor
	case needsSignIn(u):
		return admin.NeedsAuth + ": " + strings.TrimPrefix(howToSignIn(u), "sign in with: ")
	case u.State == "error" && u.LastFailure != nil:
		return why(u) + retry(u)
	case u.Idle:
		return "starts when it is needed"
	case u.State == "stopped" && u.Because != "":
		return u.Because
	case u.Server != nil:
		return u.Server.Name + " " + u.Server.Version
	}
	return ""
}

// why says why an upstream is in error, in one line.
func why(u admin.Upstream) string {
	f := u.LastFailure
	text := f.Stage + ": " + f.Message
	if needsSignIn(u) && strings.HasPrefix(f.Message, admin.NeedsAuth) {
		text = f.Message // whatever it was at
	}
	if f.Exit != "" && !strings.Contains(f.Message, f.Exit) {
		text += " (" + f.Exit + ")"
	}
	return printable(text)
}

// retry says when an upstream in error is tried again.
func retry(u admin.Upstream) string {
	if u.NextRetry.IsZero() {
		return ""
	}
	if wait := time.Until(u.NextRetry).Round(time.Second); wait > 0 {
		return fmt.Sprintf(", next try in %s", wait)
	}
	return ", next try now"
}
