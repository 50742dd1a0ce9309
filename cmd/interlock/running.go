package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/spf13/cobra"
)

func (a *app) configCommand() *cobra.Command {
	var r reach
	cmd := &cobra.Command{
		Use: "config", GroupID: "ask", Args: cobra.NoArgs,
		Short: "Show the configuration that runs",
		Long: `Shows the configuration that the running gateway has, with its defaults and with *** for what
may be secret: what came from a variable, the values of env and headers, passwords.

A file that was changed since and not read yet, or was refused, is not what it shows:
interlock reload --dry-run says how the two differ.`,
		Example: `  interlock config
  interlock config -o json | jq '.upstreams | keys'
  interlock config -o table`,
	}
	r.flags(cmd)
	output := outputFlag(cmd)
	*output = asYAML
	cmd.Flags().Lookup("output").DefValue = string(asYAML)
	r.asks(cmd, func(ctx context.Context, c *admin.Client, _ []string) error {
		raw, err := c.Config(ctx)
		if err != nil {
			return err
		}
		if *output == asYAML {
			return a.write(asYAML, raw) // in the order of the gateway
		}
		var v any
		if err := json.Unmarshal(raw, &v); err != nil {
			return fmt.Errorf("the configuration is not understood: %w", err)
		}
		if *output == asJSON {
			return a.write(asJSON, v)
		}
		var rows [][]cell
		flatten("", v, func(key, value string) { rows = append(rows, []cell{{key, a.out.bold}, plain(value)}) })
		a.out.table([]column{{"KEY", 20, 0}, {"VALUE", 20, 0}}, rows)
		return nil
	})
	return cmd
}

// flatten gives each value of a tree with its path.
func flatten(path string, v any, each func(key, value string)) {
	object, ok := v.(map[string]any)
	if !ok {
		text, _ := json.Marshal(v) // it was JSON
		each(path, string(text))
		return
	}
	if path != "" {
		path += "."
	}
	for _, k := range slices.Sorted(maps.Keys(object)) {
		flatten(path+k, object[k], each)
	}
}
