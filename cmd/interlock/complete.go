package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/upstream/oauth"
	"github.com/spf13/cobra"
)

// hasty is how long a shell is kept waiting for names.
const hasty = 2 * time.Second

// The words that flags take.
var (
	stateWords     = []string{"not_started", "starting", "running", "stopping", "stopped", "error", "unknown"}
	transportWords = []string{"stdio", "http", "sse"}
	eventWords     = []string{
		"state", "breaker", "start_stage", "alert", "added", "removed", "reloaded", "reload_refused", "tools_changed", "definition", "order", "draining",
	}
)

// completing answers a shell that asks for names. It must be quick, and silent
// when no gateway runs. What is on the line already is not proposed again.
func (r *reach) completing(names func(context.Context, *admin.Client) []string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, given []string, _ string) ([]string, cobra.ShellCompDirective) {
		c, err := r.client()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer c.Close()
		ctx, cancel := context.WithTimeout(cmd.Context(), hasty)
		defer cancel()
		found := slices.DeleteFunc(names(ctx, c), func(n string) bool {
			word, _, _ := strings.Cut(n, "\t")
			return slices.Contains(given, word)
		})
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}

// once is a completion of the first argument alone.
func once(f cobra.CompletionFunc) cobra.CompletionFunc {
	return func(cmd *cobra.Command, given []string, word string) ([]string, cobra.ShellCompDirective) {
		if len(given) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return f(cmd, given, word)
	}
}

// inOrder is once for names that a shell is to propose in their order.
func inOrder(f cobra.CompletionFunc) cobra.CompletionFunc {
	return func(cmd *cobra.Command, given []string, word string) ([]string, cobra.ShellCompDirective) {
		names, directive := once(f)(cmd, given, word)
		return names, directive | cobra.ShellCompDirectiveKeepOrder
	}
}

// choices lets a shell propose the words that a flag takes.
func choices(cmd *cobra.Command, flag string, words []string) {
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
}

func upstreamNames(ctx context.Context, c *admin.Client) []string {
	ups, err := c.Upstreams(ctx, admin.Select{})
	if err != nil {
		return nil
	}
	names := make([]string, len(ups))
	for i, u := range ups {
		names[i] = cobra.CompletionWithDesc(u.Name, u.State)
	}
	return names
}

// signInNames are the upstreams whose sign-in is in a state, and behind them the
// others that know one.
func signInNames(first string) func(context.Context, *admin.Client) []string {
	return func(ctx context.Context, c *admin.Client) []string {
		ups, err := c.Upstreams(ctx, admin.Select{})
		if err != nil {
			return nil
		}
		var names, others []string
		for _, u := range ups {
			switch {
			case u.SignIn == nil || u.SignIn.Flow != string(oauth.AuthorizationCode):
			case u.SignIn.State == first:
				names = append(names, cobra.CompletionWithDesc(u.Name, u.SignIn.State))
			default:
				others = append(others, cobra.CompletionWithDesc(u.Name, u.SignIn.State))
			}
		}
		return append(names, others...)
	}
}

func profileNames(ctx context.Context, c *admin.Client) []string {
	all, err := c.Profiles(ctx)
	if err != nil {
		return nil
	}
	names := make([]string, len(all))
	for i, p := range all {
		names[i] = cobra.CompletionWithDesc(p.Name, p.Description)
	}
	return names
}

func toolNames(ctx context.Context, c *admin.Client) []string {
	tools, _, err := c.Tools(ctx)
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
