package flow

import (
	"testing"

	"github.com/interlock-mcp/interlock/policy"
)

// BenchmarkCall is what a call pays from its beginning to its answer, beside an
// empty chain: one that has to do with nothing, one whose answer is remembered, and
// one that may leave.
func BenchmarkCall(b *testing.B) {
	run := func(b *testing.B, chain *policy.Chain, what string) {
		b.Helper()
		b.ReportAllocs()
		c, a := call(b, what), new(policy.Answer)
		for b.Loop() {
			if err := chain.Before(b.Context(), c); err != nil {
				b.Fatal(err)
			}
			if err := chain.After(b.Context(), c, a); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("none", func(b *testing.B) { run(b, policy.NewChain(nil), "a clock") })
	for _, what := range []string{"a clock", "a files", "a chat"} {
		b.Run(what[2:], func(b *testing.B) {
			run(b, policy.NewChain(nil, policy.Step{Name: "flow", Policy: made(b, Config{Tools: map[string][]string{"issues__get_*": {"untrusted"}}})}), what)
		})
	}
}
