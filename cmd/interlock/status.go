package main

import (
	"context"
	"slices"
	"strings"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/spf13/cobra"
)

// statusReport is what `status -o json` writes.
type statusReport struct {
	Ready     bool             `json:"ready"`
	Waiting   []string         `json:"waiting"`
	Upstreams []admin.Upstream `json:"upstreams"`
	Problems  []admin.Problem  `json:"problems"`
	Profiles  []admin.Profile  `json:"profiles,omitempty"`
}

func (a *app) statusCommand() *cobra.Command {
	var (
		r reach
		t targets
	)
	cmd := &cobra.Command{
		Use: "status [NAME... | --all]", GroupID: "ask",
		Short: "Say how the gateway and its servers are",
		Long: `Says whether the gateway is ready, how its servers are, why those that failed did,
and which names clients do not see as the servers have them.

It exits with 4 when some server is unhealthy, so a script may ask for nothing else.`,
		Example: `  interlock status
  interlock status files -o yaml
  interlock status >/dev/null || echo "something is wrong"`,
	}
	r.flags(cmd)
	t.flags(cmd)
	output := outputFlag(cmd)
	cmd.ValidArgsFunction = r.completing(upstreamNames)
	r.asks(cmd, func(ctx context.Context, c *admin.Client, names []string) error {
		if err := t.either(names); err != nil {
			return err
		}
		report, err := ask(ctx, c, names)
		if err != nil {
			return err
		}
		if *output == asTable {
			a.out.status(report)
		} else if err := a.write(*output, report); err != nil {
			return err
		}
		if slices.ContainsFunc(report.Upstreams, func(u admin.Upstream) bool { return u.Health == "unhealthy" }) {
			return &failure{code: exitUnhealthy}
		}
		return nil
	})
	return cmd
}

// ask collects the report about the named upstreams, about all for none.
func ask(ctx context.Context, c *admin.Client, names []string) (*statusReport, error) {
	ready, err := c.Ready(ctx)
	if err != nil {
		return nil, err
	}
	report := &statusReport{Ready: ready.Ready, Waiting: ready.Waiting, Upstreams: []admin.Upstream{}}
	if report.Upstreams, err = picked(ctx, c, names); err != nil {
		return nil, err
	}
	if _, report.Problems, err = c.Tools(ctx); err != nil {
		return nil, err
	}
	if report.Profiles, err = c.Profiles(ctx); err != nil {
		return nil, err
	}
	if len(names) > 0 {
		report.Profiles = nil
		report.Problems = slices.DeleteFunc(report.Problems, func(p admin.Problem) bool { return !slices.Contains(names, p.Upstream) })
	}
	return report, nil
}

func (s *screen) status(r *statusReport) {
	if r.Ready {
		s.printf("%s\n\n", s.green("ready"))
	} else {
		s.printf("%s: %s\n\n", s.red("not ready"), strings.Join(r.Waiting, ", "))
	}
	s.upstreams(r.Upstreams)
	for _, u := range r.Upstreams {
		if u.State != "error" || u.LastFailure == nil {
			continue
		}
		s.printf("\n%s %s%s\n", s.bold(u.Name), s.red(why(u)), retry(u))
		for _, line := range u.LastFailure.Stderr {
			s.printf("  %s\n", s.faint(printable(line)))
		}
	}
	s.lackings(r.Upstreams)
	if len(r.Profiles) > 0 {
		s.printf("\n")
		s.profiles(r.Profiles)
	}
	s.problems(r.Problems)
}

// problems writes what is odd about names.
func (s *screen) problems(all []admin.Problem) {
	for i, p := range all {
		if i == 0 {
			s.printf("\n")
		}
		about := p.Upstream
		if about == "" {
			about = p.Profile
		}
		s.printf("%s %s: %s", s.yellow(p.Kind), about, printable(p.Text))
		if p.Mend != "" {
			s.printf(" (%s)", printable(p.Mend))
		}
		s.printf("\n")
	}
}
