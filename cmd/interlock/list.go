package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/spf13/cobra"
)

func (a *app) listCommand() *cobra.Command {
	var r reach
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, GroupID: "ask", Args: cobra.NoArgs,
		Short: "List the servers behind the gateway",
		Example: `  interlock list
  interlock list -o json | jq -r '.[] | select(.state != "running") | .name'`,
	}
	r.flags(cmd)
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := r.client()
		if err != nil {
			return failed(err)
		}
		defer c.Close()
		ups, err := c.Upstreams(cmd.Context(), admin.Select{})
		if err != nil {
			return failed(err)
		}
		if *output != asTable {
			return failed(a.write(*output, ups))
		}
		a.out.upstreams(ups)
		return nil
	}
	return cmd
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
	s.table([]string{"NAME", "STATE", "HEALTH", "BREAKER", "TRANSPORT", "TOOLS", "PID", "SINCE", "REMARK"}, rows)
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
	case u.State == "error" && u.LastFailure != nil:
		return why(u) + retry(u)
	case u.Server != nil:
		return u.Server.Name + " " + u.Server.Version
	}
	return ""
}

// why says why an upstream is in error, in one line.
func why(u admin.Upstream) string {
	f := u.LastFailure
	text := f.Stage + ": " + f.Message
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

// age is how long ago t was, in its largest unit.
func age(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	switch d := time.Since(t); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", max(int(d.Seconds()), 0))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd", int(d.Hours()/24))
	}
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
