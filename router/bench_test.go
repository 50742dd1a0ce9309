package router

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// many is n tools of about a kilobyte each, over ten upstreams.
func many(n int) []Offer {
	offers := make([]Offer, 10)
	properties := make([]string, 12)
	for i := range properties {
		properties[i] = fmt.Sprintf(`"property%d":{"type":"string","description":"what the property is for"}`, i)
	}
	for i := range offers {
		offers[i] = Offer{Upstream: fmt.Sprintf("u%d", i), Prefix: fmt.Sprintf("u%d", i), Listed: true, Deny: []string{"secret*"}}
		for j := range n / 10 {
			offers[i].Tools = append(offers[i].Tools, json.RawMessage(fmt.Sprintf(
				`{"name":"tool_%d","description":"does one thing well","inputSchema":{"type":"object","properties":{%s},"required":["property1"]}}`,
				j, strings.Join(properties, ","))))
		}
	}
	return offers
}

func BenchmarkBuild(b *testing.B) {
	for _, n := range []int{100, 1000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			offers := many(n)
			b.ReportAllocs()
			for b.Loop() {
				Build(Defaults(), offers)
			}
		})
	}
}

func BenchmarkTool(b *testing.B) {
	c := Build(Defaults(), many(10000))
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := c.Tool("u7__tool_999"); !ok {
			b.Fatal("unknown")
		}
	}
}

func BenchmarkPage(b *testing.B) {
	c := Build(Defaults(), many(10000))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Page(Tools, ""); err != nil {
			b.Fatal(err)
		}
	}
}

func TestLookupsAllocateNothing(t *testing.T) {
	c := Build(Defaults(), many(100))
	if n := testing.AllocsPerRun(100, func() {
		c.Tool("u7__tool_9")
		c.Prompt("u7__tool_9")
		_, _ = c.Page(Tools, "")
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
