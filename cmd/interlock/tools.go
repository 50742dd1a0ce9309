package main

import (
	"slices"
	"strings"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/spf13/cobra"
)

func (a *app) toolsCommand() *cobra.Command {
	var r reach
	cmd := &cobra.Command{
		Use: "tools [UPSTREAM...]", GroupID: "ask",
		Short: "List the tools that clients see",
		Example: `  interlock tools
  interlock tools files
  interlock tools -o json | jq -r '.[].name'`,
	}
	r.flags(cmd)
	output := outputFlag(cmd)
	cmd.ValidArgsFunction = r.completing(upstreamNames)
	cmd.RunE = func(cmd *cobra.Command, names []string) error {
		c, err := r.client()
		if err != nil {
			return failed(err)
		}
		defer c.Close()
		for _, name := range names {
			if _, err := c.Info(cmd.Context(), name); err != nil {
				return failed(err)
			}
		}
		tools, problems, err := c.Tools(cmd.Context())
		if err != nil {
			return failed(err)
		}
		if len(names) > 0 {
			tools = slices.DeleteFunc(tools, func(t admin.Tool) bool { return !slices.Contains(names, t.Upstream) })
			problems = slices.DeleteFunc(problems, func(p admin.Problem) bool { return !slices.Contains(names, p.Upstream) })
		}
		if *output != asTable {
			return failed(a.write(*output, tools))
		}
		a.out.tools(tools)
		a.errs.problems(problems)
		return nil
	}
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
	s.table([]string{"TOOL", "UPSTREAM", "DESCRIPTION"}, rows)
}
