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
	// What else is wrong with the configuration is not this command's business.
	at, stateDir, err := config.Locate(config.LoadOptions{Files: r.files})
	if errors.Is(err, config.ErrNoFile) {
		if dir, dirErr := config.DefaultStateDir(); dirErr == nil {
			return admin.NewClient("", "", dir)
		}
	}
	if err != nil {
		return nil, err
	}
	c, err := admin.NewClient(at.Listen, at.Token, stateDir)
	if errors.Is(err, os.ErrNotExist) {
		// The gateway makes the token: without one it has never run.
		err = errors.Join(admin.ErrUnreachable, err)
	}
	if err == nil && len(r.files) > 0 {
		c.Means(rootFiles(r.files, nil)...)
	}
	return c, err
}
