package main

import (
	"context"
	"slices"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/spf13/cobra"
)

func (a *app) checkCommand() *cobra.Command {
	var (
		r reach
		t targets
	)
	cmd := &cobra.Command{
		Use: "check [NAME... | --all]", GroupID: "ask",
		Short: "Probe servers now",
		Long: `Probes the named servers now, all without a name, and says what each answered and how fast.
A probe does not wait behind calls and has a deadline of its own (health.timeout).

It exits with 4 when one is unhealthy. A server that was stopped on purpose, or that is busy
with a call and so does not answer in time, is neither healthy nor unhealthy (-).

To check a configuration, use interlock validate.`,
		Example: `  interlock check
  interlock check files issues
  interlock check -o json | jq -r 'to_entries[] | select(.value.healthy | not) | .key'`,
	}
	r.flags(cmd)
	t.flags(cmd)
	output := outputFlag(cmd)
	cmd.ValidArgsFunction = r.completing(upstreamNames)
	r.asks(cmd, func(ctx context.Context, c *admin.Client, names []string) error {
		if err := t.either(names); err != nil {
			return err
		}
		ups, err := picked(ctx, c, names)
		if err != nil {
			return err
		}
		wait := a.awaiting("probing " + count(len(ups), "server"))
		checks, err := c.Check(ctx, names...)
		wait.stop()
		if err != nil {
			return err
		}
		if *output == asTable {
			a.out.checks(ups, checks)
		} else if err := a.write(*output, checks); err != nil {
			return err
		}
		if slices.ContainsFunc(ups, func(u admin.Upstream) bool { return unhealthy(checks[u.Name]) }) {
			return &failure{code: exitUnhealthy}
		}
		return nil
	})
	return cmd
}

// unhealthy tells whether a check is bad news.
func unhealthy(c admin.Check) bool { return !c.Healthy && !c.Neutral }

// checks writes a line for each, in the order of the file.
func (s *screen) checks(ups []admin.Upstream, checks map[string]admin.Check) {
	var rows [][]cell
	for _, u := range ups {
		c, ok := checks[u.Name]
		if !ok { // it was removed meanwhile
			continue
		}
		healthy := cell{"yes", s.green}
		switch {
		case !c.Healthy && c.Neutral:
			healthy = cell{"-", s.faint}
		case !c.Healthy:
			healthy = cell{"no", s.red}
		case u.Idle && c.ResponseTime == nil: // nobody asked it: it starts when it is needed
			healthy = cell{"idle", s.faint}
		}
		reason := orNone(c.Error, printable)
		if needsSignIn(u) && !c.Healthy {
			reason = remark(u)
		}
		rows = append(rows, []cell{
			{u.Name, s.bold}, healthy, plain(c.Status), plain(orNone(c.ResponseTime, millis)), {reason, s.faint},
		})
	}
	s.table([]column{{"NAME", 24, 0}, {"HEALTHY", 0, 0}, {"STATUS", 0, 2}, {"RESPONSE", 0, 1}, {"ERROR", 20, 0}}, rows)
}
