package router

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestHeaderParams(t *testing.T) {
	c := Build(Defaults(), []Offer{{Upstream: "a", Prefix: "a", Listed: true, Tools: []json.RawMessage{
		json.RawMessage(`{"name":"sql","inputSchema":{"type":"object","properties":{"q":{"type":"string"},"region":{"type":"string","x-mcp-header":"region-Name"},` +
			`"at":{"type":"object","properties":{"zone":{"type":"integer","x-mcp-\u0068eader":"Zone"}}}}}}`),
		json.RawMessage(`{"name":"plain","inputSchema":{"type":"object"}}`),
	}}})
	r, ok := c.Tool("a__sql")
	if !ok {
		t.Fatal("the tool is not there:", c.Problems())
	}
	want := []HeaderParam{{"Mcp-Param-Region-Name", []string{"region"}}, {"Mcp-Param-Zone", []string{"at", "zone"}}}
	if d := cmp.Diff(want, r.Headers); d != "" {
		t.Error(d)
	}
	if r, _ := c.Tool("a__plain"); r.Headers != nil {
		t.Errorf("a plain tool has %v", r.Headers)
	}
}

// A client of 2025-11-25 refuses a whole list for one tool whose result is no
// object; 2026-07-28 allows it.
func TestLegacyListHasNoForeignOutputSchema(t *testing.T) {
	tool := func(rest string) json.RawMessage {
		return json.RawMessage(`{` + rest + `}`)
	}
	const in = `"inputSchema":{"type":"object"}`
	for _, c := range []struct{ name, sent, legacy string }{
		{"last", `"name":"t",` + in + `,"outputSchema":{"type":"array"}`, `{"name":"t",` + in + `}`},
		{"first", `"outputSchema": {"type":["object","null"]} , "name":"t",` + in, `{ "name":"t",` + in + `}`},
		{"middle", `"name":"t","outputSchema":{"$ref":"#/x"},` + in, `{"name":"t",` + in + `}`},
		{"object", `"name":"t",` + in + `,"outputSchema":{"type":"object","x":1.0}`, `{"name":"t",` + in + `,"outputSchema":{"type":"object","x":1.0}}`},
	} {
		other := `{"name":"o",` + in + `}`
		for _, modern := range []bool{true, false} {
			cat := Build(Defaults(), []Offer{{Upstream: "a", Listed: true, Modern: modern, Tools: []json.RawMessage{json.RawMessage(other), tool(c.sent), json.RawMessage(strings.Replace(other, `"o"`, `"p"`, 1))}}})
			now, _ := cat.ModernPage(Tools, "")
			old, _ := cat.Page(Tools, "")
			list := func(middle string) string {
				return `{"tools":[` + other + `,` + middle + `,` + strings.Replace(other, `"o"`, `"p"`, 1) + `]}`
			}
			if want := list("{" + c.sent + "}"); string(now) != want {
				t.Errorf("%s: modern\n%s, want\n%s", c.name, now, want)
			}
			want := list("{" + c.sent + "}")
			if modern {
				want = list(c.legacy)
			}
			if string(old) != want {
				t.Errorf("%s, modern server %v: legacy\n%s, want\n%s", c.name, modern, old, want)
			}
		}
	}
}

func TestCachingIsTheLeast(t *testing.T) {
	c := Build(Defaults(), []Offer{
		{Upstream: "a", Prefix: "a", Listed: true, TTL: time.Minute},
		{Upstream: "b", Prefix: "b", Listed: true, TTL: time.Second, Private: true},
	})
	if got := c.Caching(); got != (Caching{time.Second, true}) {
		t.Errorf("all: %v", got)
	}
	only, _ := c.Only("a")
	if got := only.Caching(); got != (Caching{time.Minute, false}) {
		t.Errorf("one: %v", got)
	}
	if got := Build(Defaults(), nil).Caching(); got != (Caching{}) {
		t.Errorf("none: %v", got)
	}
}
