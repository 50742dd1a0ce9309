package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/spf13/cobra"
)

func (a *app) unitCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "service", GroupID: "run",
		Short: "Have the system keep a gateway running",
		Long: `Has the system keep a gateway running for you: from your login on, and again when it ends.
On Linux that is a user unit of systemd, on macOS an agent of launchd.`,
		Example: `  interlock service install -c ~/interlock.yaml
  interlock service install --print
  interlock service status`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.unitInstallCommand(), a.unitUninstallCommand(), a.unitStatusCommand())
	return cmd
}

func (a *app) unitInstallCommand() *cobra.Command {
	var files []string
	var show bool
	cmd := &cobra.Command{
		Use: "install", Args: cobra.NoArgs,
		Example: `  interlock service install -c ~/interlock.yaml
  interlock service install --print`,
		Short: "Write the unit, and start the gateway",
		Long: `Writes the unit for this configuration and starts it. Installing again changes what has
changed. The gateway gets the PATH that you have now, so that its servers are found, and the
variables in interlock/env of your configuration folder, one KEY=value to a line, if it exists
(Linux): that is the place of secrets that the configuration means by ${NAME}.`,
	}
	configFlag(cmd, &files)
	cmd.Flags().BoolVar(&show, "print", false, "only show the unit")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return failed(a.installUnit(cmd.Context(), files, printing(show)))
	}
	return cmd
}

// printing says that nothing is to be done but to show the unit.
type printing bool

func (a *app) installUnit(ctx context.Context, files []string, only printing) error {
	cfg, err := config.Load(config.LoadOptions{Files: files})
	if err != nil {
		return err
	}
	r, err := runningOf(files, cfg)
	if err != nil {
		return err
	}
	k, err := systemKeeper(ctx, r)
	if err != nil {
		return err
	}
	text, err := k.text(r)
	if err != nil {
		return err
	}
	if only {
		a.out.printf("%s", text)
		return nil
	}
	if _, active, err := k.look(ctx); err != nil {
		return err
	} else if _, err := readiness(ctx, cfg); !active && err == nil {
		return &failure{exitFailed, errors.New("a gateway runs with this configuration already, and the service would find its place taken"), "stop it first; one that clients started ends by itself when they have gone"}
	}
	old, err := os.ReadFile(k.path())
	changed := err != nil || !bytes.Equal(old, text)
	if changed {
		if err := replaceFile(k.path(), text); err != nil {
			return err
		}
	}
	if err := k.begin(ctx, change(changed)); err != nil {
		return &failure{exitFailed, err, k.logs() + " may say more"}
	}
	a.out.printf("installed: %s\n", k.path())
	if err := a.greetFrom(ctx, cfg); err != nil {
		return &failure{exitFailed, fmt.Errorf("the gateway was started and does not answer: %w", err), k.logs() + " may say more"}
	}
	a.out.printf("%s\n", a.out.faint("its log: "+k.logs()+"\n"+k.hint()))
	return nil
}

// greetFrom says where the gateway is, once it answers.
func (a *app) greetFrom(ctx context.Context, cfg *config.Config) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startLimit, errSlow)
	defer cancel()
	for {
		_, err := readiness(ctx, cfg)
		if err == nil {
			a.out.printf("running:   %s%s%s\n", scheme(&cfg.Server), cfg.Server.Listen, cfg.Server.Path)
			return nil
		}
		if !errors.Is(err, admin.ErrUnreachable) {
			return err
		}
		if err := aMoment(ctx, lookAgain); err != nil {
			return err
		}
	}
}

func (a *app) unitUninstallCommand() *cobra.Command {
	return &cobra.Command{
		Use: "uninstall", Args: cobra.NoArgs,
		Example: `  interlock service uninstall`,
		Short:   "Stop the gateway, and remove the unit",
		RunE: func(cmd *cobra.Command, _ []string) error {
			k, err := systemKeeper(cmd.Context(), running{})
			if err != nil {
				return failed(err)
			}
			if _, err := os.Stat(k.path()); errors.Is(err, os.ErrNotExist) {
				a.out.printf("not installed\n")
				return nil
			}
			if err := k.remove(cmd.Context()); err != nil {
				return failed(err)
			}
			a.out.printf("removed: %s\n", k.path())
			return nil
		},
	}
}

// unitStatus is what `service status` says.
type unitStatus struct {
	Installed bool   `json:"installed"`
	Path      string `json:"path"`
	Enabled   bool   `json:"enabled"`
	Running   bool   `json:"running"`
}

func (a *app) unitStatusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "status", Args: cobra.NoArgs,
		Example: `  interlock service status`,
		Short:   "Say whether the service is installed and runs",
		Long:    "Says whether the service is installed, set to start with the session, and running.\nIt exits with 1 when it does not run.",
	}
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		k, err := systemKeeper(cmd.Context(), running{})
		if err != nil {
			return failed(err)
		}
		s := unitStatus{Path: k.path()}
		if _, err := os.Stat(s.Path); err == nil {
			s.Installed = true
			if s.Enabled, s.Running, err = k.look(cmd.Context()); err != nil {
				return failed(err)
			}
		}
		if *output != asTable {
			err = a.write(*output, s)
		} else {
			yes := map[bool]string{true: "yes", false: "no"}
			a.out.printf("installed  %s  %s\nenabled    %s\nrunning    %s\n", yes[s.Installed], a.out.faint(s.Path), yes[s.Enabled], yes[s.Running])
		}
		if err == nil && !s.Running {
			return &failure{code: exitFailed}
		}
		return failed(err)
	}
	return cmd
}
