package main

import (
	"context"
	"strings"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/spf13/cobra"
)

func (a *app) reloadCommand() *cobra.Command {
	var (
		r   reach
		dry bool
	)
	cmd := &cobra.Command{
		Use: "reload", GroupID: "order", Args: cobra.NoArgs,
		Short: "Read the configuration anew",
		Long: `Has the gateway read its configuration anew and says what changed: servers that are added,
removed, restarted, changed while they run (with the keys), or kept as they are, and which
tools appear or vanish, as far as that is known before a server is started.

A configuration with an error changes nothing, and every error is written. Servers that did
not change go on undisturbed. With --dry-run nothing changes at all.

It exits with 2 when the configuration is refused.`,
		Example: `  interlock reload --dry-run
  interlock reload
  interlock reload --dry-run -o json | jq .tools_removed`,
	}
	r.flags(cmd)
	output := outputFlag(cmd)
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only say what would change")
	r.asks(cmd, func(ctx context.Context, c *admin.Client, _ []string) error {
		wait := a.awaiting("reload")
		plan, err := c.Reload(ctx, admin.DryRun(dry))
		wait.stop()
		if err != nil {
			return err
		}
		if *output != asTable {
			return a.write(*output, plan)
		}
		a.out.plan(plan)
		for _, w := range plan.Warnings {
			a.errs.printf("%s %s\n", a.errs.yellow("warning:"), printable(w))
		}
		return nil
	})
	return cmd
}

// plan writes what a reload does, or would do.
func (s *screen) plan(p *admin.Plan) {
	if p.Applied {
		s.printf("%s\n", s.bold("reloaded"))
	} else {
		s.printf("%s\n", s.bold("a reload would do this:"))
	}
	for _, part := range []struct {
		word  string
		paint func(string) string
		names []string
		keys  bool
	}{
		{"added", s.green, p.Added, false},
		{"removed", s.red, p.Removed, false},
		{"restarted", s.yellow, p.Restarted, true},
		{"changed", s.yellow, p.Changed, true},
		{"kept", s.faint, p.Kept, false},
		{"profiles", s.yellow, p.Profiles, false},
		{"tools added", s.green, p.ToolsAdded, false},
		{"tools removed", s.red, p.ToolsRemoved, false},
		{"policies added", s.green, p.PoliciesAdded, false},
		{"policies removed", s.red, p.PoliciesRemoved, false},
		{"policies changed", s.yellow, p.PoliciesChanged, false},
		{"applies after a restart of the gateway", s.yellow, p.NeedRestart, false},
	} {
		if len(part.names) == 0 {
			continue
		}
		texts := make([]string, len(part.names))
		for i, name := range part.names {
			texts[i] = printable(name)
			if keys := p.Keys[name]; part.keys && len(keys) > 0 {
				texts[i] += " (" + strings.Join(keys, ", ") + ")"
			}
		}
		s.printf("  %s: %s\n", part.paint(part.word), strings.Join(texts, ", "))
	}
	if len(p.Added)+len(p.Removed)+len(p.Restarted)+len(p.Changed)+len(p.NeedRestart) == 0 {
		s.printf("  %s\n", s.faint("no server is concerned"))
	}
}
