package access

import (
	"testing"

	"github.com/interlock-mcp/interlock/policy"
)

// BenchmarkBefore is what a call pays, beside an empty chain.
func BenchmarkBefore(b *testing.B) {
	rules := map[string][]Rule{
		"read-only": {{Allow: "tool.annotations.readOnlyHint"}},
		"arguments": {{Allow: `upstream.name == "files" && args.path.within("/srv")`}},
		"five": {
			{Allow: `"dev" in principal.groups`, Upstreams: []string{"files"}, Tools: []string{"read_*", "list_*"}},
			{Allow: `"ops" in principal.groups`},
			{Deny: `args.path.within("/etc")`, Tools: []string{"*_file"}},
			{Deny: `args.?text.orValue("").contains("password")`},
			{Deny: `principal.anonymous && !tool.annotations.readOnlyHint`},
		},
	}
	call := called(b, `{"path":"/srv/data/readme.md","head":100}`)
	run := func(b *testing.B, chain *policy.Chain) {
		b.Helper()
		b.ReportAllocs()
		for b.Loop() {
			if err := chain.Before(b.Context(), call); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("none", func(b *testing.B) { run(b, policy.NewChain(nil)) })
	for _, name := range []string{"read-only", "arguments", "five"} {
		b.Run(name, func(b *testing.B) {
			run(b, policy.NewChain(nil, policy.Step{Name: "access", Policy: made(b, Config{Rules: rules[name]})}))
		})
	}
}

// BenchmarkCompile is what a rule costs when the configuration is read.
func BenchmarkCompile(b *testing.B) {
	c := Config{Rules: []Rule{{Allow: `upstream.name == "files" && args.path.within("/srv")`}}}
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Validate(); err != nil {
			b.Fatal(err)
		}
	}
}
