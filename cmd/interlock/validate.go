package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/interlock-mcp/interlock/gateway"
	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/spf13/cobra"
)

// verdict is what `validate -o json` writes.
type verdict struct {
	Valid    bool             `json:"valid"`
	Files    []string         `json:"files"`
	Errors   []config.Problem `json:"errors"`
	Warnings []config.Problem `json:"warnings"`
	// Upstreams and Problems are those of --start.
	Upstreams []admin.Upstream `json:"upstreams,omitempty"`
	Problems  []admin.Problem  `json:"problems,omitempty"`

	servers, disabled int
	start             bool // the servers too
}

func (a *app) validateCommand() *cobra.Command {
	var (
		files []string
		v     verdict
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
  interlock validate -c interlock.yaml --start
  interlock validate -o json | jq -r '.errors[].text'`,
	}
	configFlag(cmd, &files)
	cmd.Flags().BoolVar(&v.start, "start", false, "start the servers too")
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		v.Files, v.Errors, v.Warnings = files, []config.Problem{}, []config.Problem{}
		cfg, err := config.Load(config.LoadOptions{Files: files})
		faults := new(config.Errors)
		if errors.As(err, &faults) && *output != asTable {
			v.Errors = faults.Problems
			if err := a.write(*output, v); err != nil {
				return failed(err)
			}
			return &failure{code: exitBadConfig}
		}
		if err == nil {
			err = pinsWhole(cfg)
		}
		if err != nil {
			return failed(err)
		}
		v.Valid, v.Files, v.Warnings = true, named(files, cfg), append(v.Warnings, cfg.Warnings...)
		v.servers = len(cfg.Upstreams)
		for _, u := range cfg.Upstreams {
			if !u.Enabled {
				v.disabled++
			}
		}
		ctx, stop := interruptible(cmd.Context())
		defer stop()
		return failed(a.judge(ctx, cfg, &v, *output))
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

// judge writes the verdict of a valid configuration.
func (a *app) judge(ctx context.Context, cfg *config.Config, v *verdict, output format) error {
	if output == asTable {
		for _, w := range v.Warnings {
			a.errs.printf("%s ", a.errs.yellow("warning:"))
			w.Render(a.errs, a.errs.colour)
		}
		text := strings.Join(v.Files, ", ") + ": valid, " + count(v.servers, "server")
		if v.disabled > 0 {
			text += fmt.Sprintf(" (%d disabled)", v.disabled)
		}
		a.out.printf("%s\n", text)
	}
	if v.start {
		if err := a.tryStart(ctx, cfg, v, output); err != nil {
			return err
		}
	}
	if output != asTable {
		if err := a.write(output, v); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(v.Upstreams, func(u admin.Upstream) bool { return u.State != "running" }) {
		return &failure{code: exitUnhealthy}
	}
	return nil
}

// tryStart starts the upstreams, notes what they offer and what is odd about it,
// writes that where it is for a person, and stops them.
func (a *app) tryStart(ctx context.Context, cfg *config.Config, v *verdict, output format) error {
	width, began := 0, time.Now()
	for i := range cfg.Upstreams {
		width = max(width, len(cfg.Upstreams[i].Name))
	}
	return a.beside(ctx, cfg, func(u admin.Upstream) {
		v.Upstreams = append(v.Upstreams, u)
		if output == asTable {
			a.out.line(u, width, false, began)
		}
	}, func(gw *gateway.Gateway) error {
		if v.Problems = append(gw.Problems(), gw.IdleRules()...); output == asTable {
			a.out.problems(v.Problems)
		}
		return nil
	})
}
