package main

import (
	"bytes"

	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/spf13/cobra"
)

func (a *app) schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use: "schema", GroupID: "file", Args: cobra.NoArgs,
		Short: "Write the JSON Schema of the configuration, for editors",
		Example: `  interlock schema > interlock.schema.json
  # then, as the first line of interlock.yaml:
  # yaml-language-server: $schema=interlock.schema.json`,
		RunE: func(*cobra.Command, []string) error {
			a.out.printf("%s\n", bytes.TrimRight(config.Schema(), "\n"))
			return nil
		},
	}
}
