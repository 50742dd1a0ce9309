package main

import (
	"context"
	"errors"
	"os/signal"
	"time"

	"github.com/interlock-mcp/interlock/gateway/bridge"
	"github.com/spf13/cobra"
)

const (
	maxLine    = 256 << 20        // bytes in one message of the client; the gateway has a limit of its own
	hangUpWait = 10 * time.Second // for answers when the client has hung up
)

func (a *app) stdioCommand() *cobra.Command {
	d := &door{app: a}
	cmd := &cobra.Command{
		Use: "stdio", GroupID: "run", Args: cobra.NoArgs,
		Short: "Join a client on stdin and stdout to the gateway that runs",
		Long: `For clients that can only start a process: carries their messages to the gateway that runs
for the configuration, so that all clients of a user share one gateway and one set of servers.

If none runs it is started in the background. It listens like any other, unless its port is
taken; it writes its log to gateway.log in state_dir; and it stops when no client has used it
for --linger. One that must run always is better started by the system: see interlock service.

A gateway that ends is replaced, and the client does not notice but for calls that were under
way: these are answered with an error that says that it is unknown whether they ran.`,
		Example: `  interlock stdio -c ~/interlock.yaml
  {"mcpServers": {"interlock": {"command": "interlock", "args": ["stdio", "-c", "/home/me/interlock.yaml"]}}}`,
	}
	d.reach.flags(cmd)
	cmd.Flags().DurationVar(&d.linger, "linger", 5*time.Minute, "how long a gateway that this starts goes on without clients; 0 for ever")
	cmd.Flags().DurationVar(&d.keeper, "keeper", keeperTime, "how long a gateway that somebody else started has to come back")
	_ = cmd.Flags().MarkHidden("keeper")
	cmd.Flags().StringVar(&d.profile, "profile", "", "have the client see this `PROFILE` and no more")
	_ = cmd.RegisterFlagCompletionFunc("profile", d.reach.completing(profileNames))
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return failed(a.stdio(cmd.Context(), d)) }
	return cmd
}

// stdio carries the client on stdin and stdout until it hangs up or a signal
// comes.
func (a *app) stdio(ctx context.Context, d *door) error {
	ctx, stop := signal.NotifyContext(ctx, stopSignals...)
	defer stop()
	defer surviveClosedPipes()()
	err := bridge.Run(ctx, bridge.Options{
		In: a.in, Out: a.out, MaxMessage: maxLine, Patience: hangUpWait, Dial: d.open,
		Say: func(text string) { a.errs.printf("interlock: %s\n", text) },
	})
	if errors.Is(err, context.Canceled) {
		return nil // how clients end what does not end by itself
	}
	return err
}
