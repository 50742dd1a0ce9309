package main

import (
	"errors"
	"os"
	"strings"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/spf13/cobra"
)

// reach are the flags that find the running gateway.
type reach struct {
	files []string
	admin string
}

func (r *reach) flags(cmd *cobra.Command) {
	configFlag(cmd, &r.files)
	cmd.Flags().StringVar(&r.admin, "admin", "", "where the gateway listens for operators: unix:/path or host:port")
}

// configFlag adds -c.
func configFlag(cmd *cobra.Command, files *[]string) {
	cmd.Flags().StringArrayVarP(files, "config", "c", nil, "configuration `FILE`; several are merged in order")
	_ = cmd.MarkFlagFilename("config", "yaml", "yml", "json", "toml")
}

// client returns a client for the gateway that --admin names, else the one that
// runs with the configuration, else (when there is none) the one that runs with
// the user's own state folder.
func (r *reach) client() (*admin.Client, error) {
	if r.admin != "" {
		address, stateDir := r.admin, ""
		if strings.HasPrefix(address, "/") {
			address = "unix:" + address
		}
		token := os.Getenv("INTERLOCK_ADMIN__TOKEN")
		if token == "" && !strings.HasPrefix(address, "unix:") {
			stateDir, _ = config.DefaultStateDir()
		}
		c, err := admin.NewClient(address, token, stateDir)
		if errors.Is(err, os.ErrNotExist) { // the gateway will say that it wants one
			c, err = admin.NewClient(address, "", "")
		}
		if err != nil {
			return nil, usage("", "--admin: %w", err)
		}
		return c, nil
	}
	cfg, err := config.Load(config.LoadOptions{Files: r.files})
	if errors.Is(err, config.ErrNoFile) {
		if dir, dirErr := config.DefaultStateDir(); dirErr == nil {
			return admin.NewClient("", "", dir)
		}
	}
	if err != nil {
		return nil, err
	}
	c, err := admin.NewClient(cfg.Admin.Listen, cfg.Admin.Token, cfg.StateDir)
	if errors.Is(err, os.ErrNotExist) {
		// The gateway makes the token: without one it has never run.
		err = errors.Join(admin.ErrUnreachable, err)
	}
	return c, err
}

// completing answers a shell that asks for names. It must be quick, and silent
// when no gateway runs.
func (r *reach) completing(names func(*cobra.Command, *admin.Client) []string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		c, err := r.client()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer c.Close()
		return names(cmd, c), cobra.ShellCompDirectiveNoFileComp
	}
}

func upstreamNames(cmd *cobra.Command, c *admin.Client) []string {
	ups, err := c.Upstreams(cmd.Context(), admin.Select{})
	if err != nil {
		return nil
	}
	names := make([]string, len(ups))
	for i, u := range ups {
		names[i] = cobra.CompletionWithDesc(u.Name, u.State)
	}
	return names
}

func toolNames(cmd *cobra.Command, c *admin.Client) []string {
	tools, _, err := c.Tools(cmd.Context())
	if err != nil {
		return nil
	}
	var names []string
	for _, t := range tools {
		if t.Listed {
			names = append(names, cobra.CompletionWithDesc(t.Name, sentence(t.Description)))
		}
	}
	return names
}
