package main

import (
	"context"
	"time"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/spf13/cobra"
)

// patience are the flags of commands that may wait for what becomes of an order.
type patience struct {
	wait    bool
	timeout time.Duration
}

func (p *patience) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&p.wait, "wait", false, "wait for the outcome")
	cmd.Flags().DurationVar(&p.timeout, "timeout", 5*time.Minute, "wait for so long at most, with --wait")
	choices(cmd, "timeout", []string{"10s", "30s", "1m", "5m"})
}

// check refuses a deadline for what is not waited for.
func (p *patience) check(cmd *cobra.Command) error {
	switch {
	case cmd.Flags().Changed("timeout") && !p.wait:
		return usage("add --wait", "--timeout says how long to wait, and nothing is waited for")
	case p.timeout <= 0:
		return usage("", "--timeout must be more than 0s")
	}
	return nil
}

// seconds is what an order says of it.
func (p *patience) seconds() float64 {
	if !p.wait {
		return 0
	}
	return p.timeout.Seconds()
}

// The verbs that order something. Their words are those of the API.
func (a *app) startCommand() *cobra.Command {
	return a.orderCommand("start", &cobra.Command{
		Short: "Start servers",
		Long: `Starts servers, and what they depend on first. One that was stopped by an operator is wanted
again from then on.`,
		Example: `  interlock start files
  interlock start files issues --wait --timeout 30s
  interlock start --all --wait`,
	})
}

func (a *app) stopCommand() *cobra.Command {
	return a.orderCommand("stop", &cobra.Command{
		Short: "Stop servers",
		Long: `Stops servers: stdin is closed, then TERM, then KILL (stop_timeout). What depends on them goes
on and is named. A stopped server stays so, also over a reload, until it is started or the
gateway is; its tools answer that it is stopped.`,
		Example: `  interlock stop files
  interlock stop files --force
  interlock stop --all --wait`,
	})
}

func (a *app) restartCommand() *cobra.Command {
	return a.orderCommand("restart", &cobra.Command{
		Short: "Restart servers",
		Long: `Stops servers and starts them again. One that failed is tried at once, and its failed attempts
are forgotten.`,
		Example: `  interlock restart files --wait
  interlock restart --all`,
	})
}

func (a *app) removeCommand() *cobra.Command {
	return a.orderCommand("remove", &cobra.Command{
		Aliases: []string{"rm"},
		Short:   "Take servers out of the gateway",
		Long: `Stops servers and takes them out of the running gateway. One that was added at run time is
gone for good. One of the file is left out until the gateway restarts or its entry changes:
take it out there. One that others depend on is removed together with them only.`,
		Example: `  interlock remove files
  interlock remove files issues --wait`,
	})
}

// orderCommand makes cmd the command of a verb.
func (a *app) orderCommand(verb string, cmd *cobra.Command) *cobra.Command {
	var (
		r     reach
		t     targets
		p     patience
		force bool
	)
	cmd.Use, cmd.GroupID = verb+" (NAME... | --all)", "order"
	cmd.Long += `

It returns when the order is taken; with --wait it writes each outcome as it comes. The
failure of one keeps no other from its own. It exits with 1 when one failed.`
	r.flags(cmd)
	t.flags(cmd)
	if verb == "stop" || verb == "remove" {
		cmd.Flags().BoolVar(&force, "force", false, "kill at once")
	}
	p.flags(cmd)
	output := outputFlag(cmd)
	cmd.ValidArgsFunction = r.completing(upstreamNames)
	r.asks(cmd, func(ctx context.Context, c *admin.Client, names []string) error {
		if err := t.given(verb, names); err != nil {
			return err
		}
		if err := p.check(cmd); err != nil {
			return err
		}
		o := admin.Order{Names: names, All: t.all, Force: force, Wait: p.wait, Timeout: p.seconds()}
		return a.order(ctx, c, verb, &p, *output, func(ctx context.Context, each func(admin.Outcome)) ([]admin.Outcome, error) {
			return c.Order(ctx, verb, o, each)
		})
	})
	return cmd
}
