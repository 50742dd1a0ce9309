package main

import (
	"context"
	"slices"
	"strings"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/spf13/cobra"
)

func (a *app) toolsCommand() *cobra.Command {
	var r reach
	cmd := &cobra.Command{
		Use: "tools [NAME...]", GroupID: "ask",
		Short: "List the tools that clients see",
		Example: `  interlock tools
  interlock tools files
  interlock tools --profile reader
  interlock tools -o json | jq -r '.[].name'`,
	}
	r.flags(cmd)
	output := outputFlag(cmd)
	profile := r.profileFlag(cmd, "list what this `PROFILE` shows")
	cmd.ValidArgsFunction = r.completing(upstreamNames)
	r.asks(cmd, func(ctx context.Context, c *admin.Client, names []string) error {
		if _, err := picked(ctx, c, names); err != nil {
			return err
		}
		tools, problems, err := c.ToolsIn(ctx, *profile)
		if err != nil {
			return err
		}
		if len(names) > 0 {
			tools = slices.DeleteFunc(tools, func(t admin.Tool) bool { return !slices.Contains(names, t.Upstream) })
			problems = slices.DeleteFunc(problems, func(p admin.Problem) bool { return !slices.Contains(names, p.Upstream) })
		}
		if *output != asTable {
			return a.write(*output, tools)
		}
		a.out.tools(tools)
		a.errs.problems(problems)
		return nil
	})
	return cmd
}

func (s *screen) tools(tools []admin.Tool) {
	rows := make([][]cell, len(tools))
	for i, t := range tools {
		name, text := s.bold, sentence(t.Description)
		if !t.Listed {
			name, text = s.faint, strings.TrimSpace("(not listed) "+text)
		}
		rows[i] = []cell{{t.Name, name}, plain(t.Upstream), {text, s.faint}}
	}
	s.table([]column{{"TOOL", 24, 0}, {"UPSTREAM", 0, 2}, {"DESCRIPTION", 20, 1}}, rows)
}
