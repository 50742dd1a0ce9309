package main

import (
	"context"
	"errors"
	"os"
	"os/signal"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/spf13/cobra"
)

var errInterrupted = errors.New("interrupted")

// asks makes do the body of a command that talks to the gateway: it has a client,
// and a context that Ctrl-C ends.
func (r *reach) asks(cmd *cobra.Command, do func(ctx context.Context, c *admin.Client, args []string) error) {
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := r.client()
		if err != nil {
			return failed(err)
		}
		defer c.Close()
		ctx, stop := interruptible(cmd.Context())
		defer stop()
		err = do(ctx, c, args)
		if said := new(failure); err != nil && ctx.Err() != nil && !errors.As(err, &said) {
			return &failure{exitFailed, errInterrupted, ""}
		}
		return failed(err)
	}
}

// interruptible is a context that Ctrl-C ends.
func interruptible(ctx context.Context) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(ctx, os.Interrupt)
}
