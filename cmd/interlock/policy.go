package main

import (
	"errors"
	"strings"

	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/interlock-mcp/interlock/policy/builtin"
	"github.com/interlock-mcp/interlock/policy/rehearse"
	"github.com/spf13/cobra"
)

func (a *app) policyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "policy", GroupID: "file", Args: cobra.NoArgs,
		Short: "Try the policies of a configuration",
		Example: `  interlock policy test cases.yaml
  interlock policy test -c interlock.yaml cases.yaml`,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.policyTestCommand())
	return cmd
}

func (a *app) policyTestCommand() *cobra.Command {
	var files []string
	cmd := &cobra.Command{
		Use: "test FILE...", Args: cobra.MinimumNArgs(1),
		Short: "Put made-up calls through the policies, and see what becomes of them",
		Long: `Reads cases from files and puts each through the policies of a configuration, as the gateway
does with real calls; no server is called. The policies are those of -c, or of the file
itself, which may hold policies (and upstreams, for their tags) beside its cases. It exits
with 1 when a case is not as expected, and with 2 when a file cannot be read.

A case says who calls what:
  name         what it is about
  principal    a name, or {issuer, subject, name, groups, scopes}; nobody by default
  groups, scopes, session, profile
  upstream     and one of tool, prompt, uri; or a method, also one of a server's messages,
               such as elicitation/create
  args         the arguments, or the params of another method
  exposed      what clients call it; by default UPSTREAM__NAME
  annotations  of the tool; definition: what else the server says of it
  tags         of the upstream, and trusted: whether its annotations are believed; both by
               default as the configuration says
  answer       the result of the server, for policies that look at answers
  after        a list of calls that were made before, for policies that remember
and what should become of it:
  expect       allow, deny, or error if a policy cannot decide
  policy, rule, reason          who refuses, by which rule, and words of the reason
  change, change_answer         the arguments, and the answer, that policies make of them

Each case meets policies that remember nothing but its own after. Policies of the kinds pin
and plugin need more than a configuration and are left out.`,
		Example: `  interlock policy test -c interlock.yaml cases.yaml
  interlock policy test cases.yaml more-cases.yaml -o json

  # cases.yaml
  policies:
    - access:
        rules:
          - name: readers
            allow: 'tool.annotations.readOnlyHint && args.path.within("/srv")'
  cases:
    - name: a reader reads
      upstream: files
      tool: read_file
      annotations: {readOnlyHint: true}
      args: {path: /srv/notes.txt}
      expect: allow
    - name: nobody gets out
      upstream: files
      tool: read_file
      annotations: {readOnlyHint: true}
      args: {path: /srv/../etc/passwd}
      expect: deny
      policy: access`,
	}
	configFlag(cmd, &files)
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx, stop := interruptible(cmd.Context())
		defer stop()
		t := tried{Cases: []triedCase{}}
		for _, name := range args {
			f, err := openCases(name, files)
			if err != nil {
				return failed(err)
			}
			if err := t.run(ctx, f); err != nil {
				return &failure{exitBadConfig, err, ""}
			}
		}
		if *output != asTable {
			if err := a.write(*output, t); err != nil {
				return failed(err)
			}
		} else {
			a.out.tried(&t)
		}
		if t.Failed > 0 {
			return &failure{code: exitFailed}
		}
		return nil
	}
	return cmd
}

// rules are what the cases of a file are put through.
type rules struct {
	policies []builtin.Config
	left     []string // the names of policies that are left out
	known    map[string]rehearse.Upstream
}

// loadRules reads the policies of the configuration, or without one of the file of
// cases.
func loadRules(name string, own bool, files []string) (*rules, error) {
	o := config.LoadOptions{Files: files, LookPath: func(string) (string, error) { return "", nil }}
	switch {
	case own && len(files) > 0:
		return nil, usage("remove one of them", "%s has policies of its own, and -c names others", name)
	case own:
		o.Files, o.Ignore = []string{name}, []string{"cases"}
	}
	cfg, err := config.Load(o)
	if errors.Is(err, config.ErrNoFile) {
		return nil, usage("add policies: to it, or name a configuration with -c", "%s has no policies", name)
	}
	if err != nil {
		return nil, err
	}
	if len(cfg.Policies) == 0 {
		return nil, usage("", "%s has no policies", strings.Join(named(o.Files, cfg), ", "))
	}
	r := &rules{known: make(map[string]rehearse.Upstream)}
	r.policies, r.left = rehearse.Inside(cfg.Policies)
	for i := range cfg.Upstreams {
		u := &cfg.Upstreams[i]
		r.known[u.Name] = rehearse.Upstream{Tags: u.Tags, Trusted: u.TrustAnnotations}
	}
	return r, nil
}
