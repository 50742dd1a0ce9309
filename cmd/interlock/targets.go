package main

import (
	"context"
	"slices"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/spf13/cobra"
)

// targets is which upstreams a command is about: those named, or --all.
type targets struct {
	all bool
}

func (t *targets) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&t.all, "all", false, "all servers")
}

// given checks what a command that changes something was given: it never means
// all for want of a name.
func (t *targets) given(verb string, names []string) error {
	if len(names) == 0 && !t.all {
		return usage("interlock "+verb+" NAME..., or interlock "+verb+" --all", "%s which? name one or several, or say --all", verb)
	}
	return t.either(names)
}

// either checks what a command that only looks was given; it takes none for all.
func (t *targets) either(names []string) error {
	if len(names) > 0 && t.all {
		return usage("", "--all and names exclude each other")
	}
	return nil
}

// picked returns those of the gateway's upstreams that are named, all for none.
// An unknown name is the gateway's error about it.
func picked(ctx context.Context, c *admin.Client, names []string) ([]admin.Upstream, error) {
	ups, err := c.Upstreams(ctx, admin.Select{})
	if err != nil || len(names) == 0 {
		return ups, err
	}
	for _, name := range names {
		if !slices.ContainsFunc(ups, func(u admin.Upstream) bool { return u.Name == name }) {
			_, err := c.Info(ctx, name) // for its error
			return nil, err
		}
	}
	return slices.DeleteFunc(ups, func(u admin.Upstream) bool { return !slices.Contains(names, u.Name) }), nil
}
