package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// What is named in other places than params.name gets the upstream's own name too:
// prompts and templates that are completed, resources in the form that always works.
func TestNamesGoUpAsTheUpstreamKnowsThem(t *testing.T) {
	d := new(linktest.Dialer)
	sent := make(chan string, 1)
	serve := func(_ context.Context, _ *linktest.Link, method string, r *upstream.Request) (json.RawMessage, error) {
		switch method {
		case "prompts/list":
			return json.RawMessage(`{"prompts":[{"name":"p"}]}`), nil
		case "resources/templates/list":
			return json.RawMessage(`{"resourceTemplates":[{"uriTemplate":"db:///{table}","name":"t"}]}`), nil
		case "resources/list":
			return json.RawMessage(`{"resources":[{"uri":"db:///one","name":"one"}]}`), nil
		case "tools/list", "ping":
			return nil, nil
		}
		sent <- string(r.Edits.Apply(nil, r.Message.Raw))
		return nil, nil
	}
	d.Server("a").OnRequest, d.Server("b").OnRequest = serve, serve
	for _, s := range []string{"a", "b"} {
		d.Server(s).Capabilities = json.RawMessage(`{"tools":{},"prompts":{},"resources":{"subscribe":true},"completions":{}}`)
	}
	r := start(t, settings(t, "a", "b"), d).running()
	c := r.connect(`{}`)
	for _, x := range []struct{ method, params, want string }{
		{"prompts/get", `{"name":"b__p","arguments":{"x":"1"}}`, `{"name":"p","arguments":{"x":"1"}}`},
		{
			"completion/complete", `{"argument":{"name":"x","value":""},"ref":{"name":"b__p","type":"ref/prompt"}}`,
			`{"argument":{"name":"x","value":""},"ref":{"name":"p","type":"ref/prompt"}}`,
		},
		{
			"completion/complete", `{"ref":{"type":"ref/resource","uri":"db:///{table}"},"argument":{"name":"table","value":"o"}}`,
			`{"ref":{"type":"ref/resource","uri":"db:///{table}"},"argument":{"name":"table","value":"o"}}`,
		},
		{
			"completion/complete", `{"ref":{"type":"ref/resource","uri":"interlock://b/db%3A%2F%2F%2F%7Btable%7D"},"argument":{"name":"table","value":"o"}}`,
			`{"ref":{"type":"ref/resource","uri":"db:///{table}"},"argument":{"name":"table","value":"o"}}`,
		},
		{"resources/read", `{"uri":"db:///one"}`, `{"uri":"db:///one"}`},
		{"resources/read", `{"uri":"db:///two"}`, `{"uri":"db:///two"}`},
		{"resources/read", `{"uri":"interlock://b/db%3A%2F%2F%2Fone"}`, `{"uri":"db:///one"}`},
		{"resources/subscribe", `{"uri":"interlock://b/db%3A%2F%2F%2Fone"}`, `{"uri":"db:///one"}`},
	} {
		got := c.post(`{"jsonrpc":"2.0","id":1,"method":"` + x.method + `","params":` + x.params + `}`)
		if !strings.Contains(got.body, `"result"`) {
			t.Errorf("%s %s: %s", x.method, x.params, got.body)
			continue
		}
		if up := <-sent; !strings.Contains(up, `"params":`+x.want+`}`) {
			t.Errorf("%s %s went up as %s", x.method, x.params, up)
		}
	}
	for params, code := range map[string]int{
		`{"ref":1}`:                                           -32602,
		`{"ref":{"type":"ref/prompt"}}`:                       -32602,
		`{"ref":{"type":"ref/prompt","name":1}}`:              -32602,
		`{"ref":{"type":"ref/prompt","name":"p"}}`:            -32602,
		`{"ref":{"type":"ref/resource"}}`:                     -32602,
		`{"ref":{"type":"ref/resource","uri":"nowhere://x"}}`: -32602,
		`{"ref":{"type":"ref/tool","name":"x"}}`:              -32602,
	} {
		if got := c.post(`{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":` + params + `}`); got.rpcCode() != code {
			t.Errorf("%s: %s", params, got.body)
		}
	}
}

// Instructions that clients would cut are a resource of the gateway's own.
func TestInstructionsResource(t *testing.T) {
	d := new(linktest.Dialer)
	d.Server("a").Instructions = strings.Repeat("All about a. ", 500)
	r := start(t, settings(t, "a", "b"), d).running()
	c := r.connect(`{}`)
	const own = `{"uri":"interlock://instructions"}`
	if got := c.post(`{"jsonrpc":"2.0","id":1,"method":"resources/list"}`).body; !strings.Contains(got, "interlock://instructions") {
		t.Errorf("listed: %s", got)
	}
	if got := c.post(`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":` + own + `}`).body; strings.Count(got, "All about a.") != 500 {
		t.Errorf("read: %.300s", got)
	}
	for _, m := range []string{"resources/subscribe", "resources/unsubscribe"} {
		if got := c.post(`{"jsonrpc":"2.0","id":1,"method":"` + m + `","params":` + own + `}`).body; !strings.Contains(got, `"result":{}`) {
			t.Errorf("%s: %s", m, got)
		}
	}
	if got := c.post(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18"}}`).result(t)["instructions"]; got == nil || len(got.(string)) > 2000 {
		t.Errorf("a new client gets %d characters", len(fmt.Sprint(got)))
	}
}

// A long list comes in pages that together hold everything once.
func TestPages(t *testing.T) {
	d := new(linktest.Dialer)
	for n := range 2500 {
		d.Server("a").Tools = append(d.Server("a").Tools, fmt.Sprintf("t%d", n))
	}
	r := start(t, settings(t, "a"), d).running()
	c := r.connect(`{}`)
	seen := map[string]bool{}
	cursor, pages := "", 0
	for {
		params := "{}"
		if cursor != "" {
			params = fmt.Sprintf(`{"cursor":%q}`, cursor)
		}
		res := c.post(`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":` + params + `}`).result(t)
		for _, tool := range res["tools"].([]any) {
			seen[tool.(map[string]any)["name"].(string)] = true
		}
		pages++
		next, ok := res["nextCursor"].(string)
		if !ok {
			break
		}
		cursor = next
	}
	if len(seen) != 2500 || pages < 2 {
		t.Errorf("%d tools on %d pages", len(seen), pages)
	}
	if got := c.post(`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":"x"}}`); got.rpcCode() != -32602 {
		t.Errorf("a made-up cursor: %s", got.body)
	}
}
