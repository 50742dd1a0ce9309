package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"github.com/interlock-mcp/interlock/gateway"
	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/interlock-mcp/interlock/upstream"
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
		ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt)
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

// tryStart starts the upstreams with a state folder of their own, writes what
// they offer and what is odd about it, and stops them.
func (a *app) tryStart(ctx context.Context, cfg *config.Config) error {
	dir, err := os.MkdirTemp("", "interlock-validate-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	mine := *cfg
	mine.StateDir = dir
	mine.Upstreams = slices.Clone(cfg.Upstreams)
	for i := range mine.Upstreams {
		mine.Upstreams[i].Start = upstream.Eager // they are all to be seen
	}
	log := slog.New(slog.DiscardHandler)
	watcher, err := upstream.StartWatcher(log)
	if err != nil {
		return err
	}
	defer watcher.Close()
	gw, err := gateway.New(&mine, gateway.Options{Log: log, Version: a.version, Watcher: watcher})
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	stopped := make(chan error, 1)
	go func() { stopped <- gw.Run(running) }()
	ups, err := a.await(ctx, gw)
	problems := gw.Problems()
	stop()
	if runErr := <-stopped; err == nil {
		err = runErr
	}
	if err != nil {
		return err
	}
	a.out.problems(problems)
	for _, u := range ups {
		if u.State != "running" {
			return &failure{code: exitUnhealthy}
		}
	}
	return nil
}

// await writes a line for each upstream as it settles, until all have.
func (a *app) await(ctx context.Context, gw *gateway.Gateway) ([]admin.Upstream, error) {
	began, done := time.Now(), map[string]bool{}
	for {
		ups := gw.List(admin.Select{})
		width := 0
		for _, u := range ups {
			width = max(width, len(u.Name))
		}
		for _, u := range ups {
			if !done[u.Name] && (u.State == "running" || u.State == "error") {
				done[u.Name] = true
				u.NextRetry = time.Time{} // there will be none
				a.out.line(u, width, false, began)
			}
		}
		if allSettled(ups) {
			return ups, nil
		}
		select {
		case <-ctx.Done():
			return nil, errors.New("interrupted")
		case <-gw.Changed():
		}
	}
}
