package pin

import (
	"fmt"
	"testing"

	"github.com/interlock-mcp/interlock/policy"
)

// many are tools as servers have them, of ten upstreams.
func many(n int) []*policy.Definition {
	all := make([]*policy.Definition, n)
	for i := range all {
		d := tool(fmt.Sprintf("server%d", i%10), fmt.Sprintf("tool_%d", i), "")
		d.Raw = fmt.Appendf(nil, `{"name":"tool_%d","description":"Does thing %d with a file, and says what came of it. The path is absolute.","inputSchema":{"type":"object","properties":{"path":{"type":"string","description":"the path"},"count":{"type":"integer","minimum":0}},"required":["path"],"additionalProperties":false}}`, i, i)
		all[i] = d
	}
	return all
}

func BenchmarkVet(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		all := many(n)
		b.Run(fmt.Sprintf("tools=%d/first", n), func(b *testing.B) {
			for b.Loop() {
				fresh := make([]*policy.Definition, n)
				for i, d := range all {
					fresh[i] = raw(d, string(d.Raw))
				}
				d := open(b, Config{})
				d.Vet(fresh)
				_ = d.Close()
			}
		})
		b.Run(fmt.Sprintf("tools=%d/again", n), func(b *testing.B) {
			d := open(b, Config{})
			d.Vet(all)
			for b.Loop() {
				if d.Vet(all) != nil {
					b.Fatal("not approved")
				}
			}
		})
		b.Run(fmt.Sprintf("tools=%d/file", n), func(b *testing.B) {
			d := open(b, Config{})
			d.Vet(all)
			_ = d.Close()
			for b.Loop() {
				open(b, Config{File: d.File()})
			}
		})
	}
}

func BenchmarkBefore(b *testing.B) {
	all := many(1000)
	d := open(b, Config{})
	d.Vet(all)
	c := call(all[500])
	run := func(chain *policy.Chain) func(*testing.B) {
		return func(b *testing.B) { //nolint:thelper // a benchmark
			b.ReportAllocs()
			for b.Loop() {
				if err := chain.Before(b.Context(), c); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	b.Run("pin", run(policy.NewChain(nil, policy.Step{Name: "pin", Policy: d.Policy})))
	b.Run("empty", run(policy.NewChain(nil)))
}
