package screen

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/interlock-mcp/interlock/policy"
)

// texts are a mebibyte each, as servers send them.
func texts(b *testing.B) map[string]*policy.Answer {
	b.Helper()
	out := make(map[string]*policy.Answer)
	for name, text := range map[string]string{
		"ascii":  strings.Repeat("func main() {\n\tfmt.Println(\"hello, world\", 12345)\n}\n", 18_000),
		"arabic": strings.Repeat("يقرأ ملفًا من القرص ويعيد محتواه كما هو. ", 14_000),
		"emoji":  strings.Repeat("✅ done ❤\ufe0f by 👨\u200d👩\u200d👧 – and so on, and so on\n", 15_000),
		"dirty":  strings.Repeat("a\u200bline with a bit of colour \x1b[31mred\x1b[0m in it\n", 20_000),
	} {
		raw, err := json.Marshal(text)
		if err != nil {
			b.Fatal(err)
		}
		out[name] = answer(b, `{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":`+string(raw)+`}]}}`)
	}
	out["small"] = answer(b, `{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"It is 12:31 in Paris"}]}}`)
	return out
}

func BenchmarkAfter(b *testing.B) {
	p, _ := open(b, Config{})
	screen, empty := policy.NewChain(nil, policy.Step{Name: "screen", Policy: p}), policy.NewChain(nil)
	for name, a := range texts(b) {
		for what, chain := range map[string]*policy.Chain{"screen": screen, "empty": empty} {
			b.Run(name+"/"+what, func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(len(a.Message.Raw)))
				c := call()
				for b.Loop() {
					copied := *a
					if err := chain.After(b.Context(), c, &copied); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkVet(b *testing.B) {
	const n = 10_000
	all := make([]*policy.Definition, n)
	for i := range all {
		all[i] = define(fmt.Sprintf("server%d", i%10), policy.Tool, fmt.Sprintf("tool_%d", i),
			fmt.Sprintf(`{"name":"tool_%d","description":"Does thing %d with a file, and says what came of it. See also tool_%d.","inputSchema":{"type":"object","properties":{"path":{"type":"string","description":"the path – absolute"},"count":{"type":"integer","minimum":0}},"required":["path"]}}`, i, i, i))
	}
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			p, _ := open(b, Config{})
			p.Vet(all)
		}
	})
	b.Run("again", func(b *testing.B) {
		p, _ := open(b, Config{})
		for b.Loop() {
			p.Vet(all)
		}
	})
}

// What has nothing to find is looked at without an allocation.
func TestCleanAllocates(t *testing.T) {
	p, _ := open(t, Config{})
	a := answer(t, `{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"`+strings.Repeat("x ", 5000)+`"}]}}`)
	c := call()
	if n := testing.AllocsPerRun(100, func() { _ = p.After(t.Context(), c, a) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
