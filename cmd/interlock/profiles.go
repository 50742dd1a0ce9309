package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/spf13/cobra"
)

func (a *app) profilesCommand() *cobra.Command {
	var r reach
	cmd := &cobra.Command{
		Use: "profiles", GroupID: "ask", Args: cobra.NoArgs,
		Short: "List the profiles, and what each shows",
		Long: `Lists the profiles in the order of the file: where each is served, who gets it without asking,
and how many servers, tools, prompts and resources it shows at the moment.`,
		Example: `  interlock profiles
  interlock tools --profile reader
  interlock profiles -o json | jq -r '.[] | "\(.name) \(.tools)"'`,
	}
	r.flags(cmd)
	output := outputFlag(cmd)
	r.asks(cmd, func(ctx context.Context, c *admin.Client, _ []string) error {
		all, err := c.Profiles(ctx)
		return showList(a, *output, all, err, "no profiles: every client sees all there is", a.out.profiles)
	})
	return cmd
}

// profileFlag adds --profile.
func (r *reach) profileFlag(cmd *cobra.Command, use string) *string {
	profile := cmd.Flags().String("profile", "", use)
	_ = cmd.RegisterFlagCompletionFunc("profile", r.completing(profileNames))
	return profile
}

func (s *screen) profiles(all []admin.Profile) {
	rows := make([][]cell, len(all))
	for i, p := range all {
		who := "whoever asks for it"
		switch {
		case p.Default && len(p.Principals) > 0:
			who = "all others, and " + strings.Join(p.Principals, ", ")
		case p.Default:
			who = "all others"
		case len(p.Principals) > 0:
			who = strings.Join(p.Principals, ", ")
		}
		rows[i] = []cell{
			{p.Name, s.bold},
			plain(p.Path), plain(who),
			plain(strconv.Itoa(len(p.Upstreams))), plain(strconv.Itoa(p.Tools)), plain(strconv.Itoa(p.Prompts)), plain(strconv.Itoa(p.Resources)),
			{p.Description, s.faint},
		}
	}
	s.table([]column{
		{"PROFILE", 16, 0},
		{"PATH", 0, 0},
		{"FOR", 16, 1},
		{"SERVERS", 0, 3},
		{"TOOLS", 0, 2},
		{"PROMPTS", 0, 5},
		{"RESOURCES", 0, 4},
		{"DESCRIPTION", 20, 6},
	}, rows)
}
