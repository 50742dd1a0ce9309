package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/spf13/cobra"
)

func (a *app) policiesCommand() *cobra.Command {
	var r reach
	cmd := &cobra.Command{
		Use: "policies", GroupID: "ask", Args: cobra.NoArgs,
		Short: "List the policies, and what they have decided",
		Long: `Lists the policies in the order in which they are consulted before a call, and how often each
let pass, changed, refused or hid something, or could not decide. In a dry run a policy decides
in the same way, and nothing comes of it. What a policy does to the definitions of servers is
shown by interlock tools.`,
		Example: `  interlock policies
  interlock policies -o json | jq -r '.[] | "\(.name) \(.decisions.deny // 0)"'`,
	}
	r.flags(cmd)
	output := outputFlag(cmd)
	r.asks(cmd, func(ctx context.Context, c *admin.Client, _ []string) error {
		all, err := c.Policies(ctx)
		return showList(a, *output, all, err, "no policies: every call passes", a.out.policies)
	})
	return cmd
}

func (s *screen) policies(all []admin.Policy) {
	rows := make([][]cell, len(all))
	for i, p := range all {
		mode := cell{"enforced", s.green}
		if p.DryRun {
			mode = cell{"dry run", s.yellow}
		}
		if strings.HasPrefix(p.State, "down") {
			mode = cell{"down", s.red}
		}
		count := func(effects ...string) string {
			var n uint64
			for _, e := range effects {
				n += p.Decisions[e]
			}
			return strconv.FormatUint(n, 10)
		}
		rows[i] = []cell{
			plain(strconv.Itoa(i + 1)),
			{p.Name, s.bold},
			plain(p.Kind), mode, plain(p.OnError),
			plain(count("allow", "report")), plain(count("change")), plain(count("deny", "hide")), plain(count("error")),
			{p.LastReason, s.faint},
		}
	}
	s.table([]column{
		{"#", 0, 0},
		{"POLICY", 0, 0},
		{"KIND", 0, 1},
		{"MODE", 0, 2},
		{"ON ERROR", 0, 4},
		{"PASSED", 0, 1},
		{"CHANGED", 0, 1},
		{"REFUSED", 0, 1},
		{"ERRORS", 0, 1},
		{"LAST REASON", 20, 3},
	}, rows)
}
