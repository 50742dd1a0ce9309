package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/interlock-mcp/interlock/gateway"
	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/spf13/cobra"
)

func (a *app) validateCommand() *cobra.Command {
	var (
		files []string
		start bool
	)
	cmd := &cobra.Command{
		Use: "validate", GroupID: "file", Args: cobra.NoArgs,
		Short: "Check a configuration",
		Long: `Checks a configuration and writes everything that is wrong with it, each with its file,
line and column. It exits with 2 when something is.

With --start it also starts the servers, beside a gateway that may be running, lists what
they offer, says which names collide, are too long or are hidden, and stops them again. It
exits with 4 when one does not start.`,
		Example: `  interlock validate
  interlock validate -c interlock.yaml --start`,
	}
	configFlag(cmd, &files)
	cmd.Flags().BoolVar(&start, "start", false, "start the servers too")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := config.Load(config.LoadOptions{Files: files})
		if err != nil {
			return failed(err)
		}
		for _, w := range cfg.Warnings {
			a.errs.printf("%s ", a.errs.yellow("warning:"))
			w.Render(a.errs, a.errs.colour)
		}
		off := 0
		for _, u := range cfg.Upstreams {
			if !u.Enabled {
				off++
			}
		}
		text := strings.Join(named(files, cfg), ", ") + ": valid, " + count(len(cfg.Upstreams), "server")
		if off > 0 {
			text += fmt.Sprintf(" (%d disabled)", off)
		}
		a.out.printf("%s\n", text)
		if !start {
			return nil
		}
		ctx, stop := interruptible(cmd.Context())
		defer stop()
		return failed(a.tryStart(ctx, cfg))
	}
	return cmd
}

// named are the files as the user knows them.
func named(files []string, cfg *config.Config) []string {
	if len(files) == 0 && len(cfg.Sources) > 0 {
		return cfg.Sources[:1]
	}
	return files
}

// tryStart starts the upstreams, writes what they offer and what is odd about
// it, and stops them.
func (a *app) tryStart(ctx context.Context, cfg *config.Config) error {
	width, began, failed := 0, time.Now(), false
	for i := range cfg.Upstreams {
		width = max(width, len(cfg.Upstreams[i].Name))
	}
	each := func(u admin.Upstream) {
		failed = failed || u.State != "running"
		a.out.line(u, width, false, began)
	}
	err := a.beside(ctx, cfg, each, func(gw *gateway.Gateway) error {
		a.out.problems(gw.Problems())
		return nil
	})
	if err == nil && failed {
		err = &failure{code: exitUnhealthy}
	}
	return err
}
