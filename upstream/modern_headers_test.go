package upstream

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestHeaderValue(t *testing.T) {
	for v, want := range map[string]string{ // the first five are the specification's
		"us-west1":           "us-west1",
		"Hello, 世界":          "=?base64?SGVsbG8sIOS4lueVjA==?=",
		" padded ":           "=?base64?IHBhZGRlZCA=?=",
		"line1\nline2":       "=?base64?bGluZTEKbGluZTI=?=",
		"=?base64?literal?=": "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?=",
		"=?base64?literal":   "=?base64?literal",
		"":                   "",
		"a\tb c":             "a\tb c",
		"\x7f":               "=?base64?fw==?=",
		"a\r\nX-Evil: 1":     "=?base64?YQ0KWC1FdmlsOiAx?=",
	} {
		if got := headerValue(v); got != want {
			t.Errorf("%q is %q, want %q", v, got, want)
		}
	}
}

func TestModernHeader(t *testing.T) {
	inv := &Inventory{Tools: []json.RawMessage{
		json.RawMessage(`{"name":"t","inputSchema":{"type":"object","properties":{
			"region":{"type":"string","x-mcp-header":"Region"},
			"n":{"type":"integer","x-mcp-header":"n-Umber"},
			"on":{"type":"boolean","x-mcp-header":"On"},
			"in":{"type":"object","properties":{"deep":{"type":"string","x-mcp-header":"Deep"}}},
			"evil":{"type":"string","x-mcp-header":"a\r\nX"},
			"list":{"type":"array","items":{"type":"string","x-mcp-header":"Item"}}}}}`),
		json.RawMessage(`{"name":"plain","inputSchema":{"type":"object"}}`),
	}}
	tools := readToolHeaders(inv)
	for _, c := range []struct {
		name, method, params string
		theirs               http.Header
		want                 map[string]string
	}{
		{"a tool with arguments", "tools/call", `{"name":"t","arguments":{"region":"Zürich","n":42.0,"on":true,"in":{"deep":"d"},"list":["x"],"evil":"e"}}`, nil, map[string]string{
			"Mcp-Name": "t", "Mcp-Param-Region": "=?base64?WsO8cmljaA==?=", "Mcp-Param-N-Umber": "42", "Mcp-Param-On": "true", "Mcp-Param-Deep": "d",
		}},
		{"absent, null and wrong", "tools/call", `{"name":"t","arguments":{"region":null,"n":-7,"in":5}}`, nil, map[string]string{"Mcp-Name": "t", "Mcp-Param-N-Umber": "-7"}},
		{"without arguments", "tools/call", `{"name":"t"}`, nil, map[string]string{"Mcp-Name": "t"}},
		{"exponents and fractions", "tools/call", `{"name":"t","arguments":{"n":1e3,"region":"","on":false}}`, nil, map[string]string{
			"Mcp-Name": "t", "Mcp-Param-N-Umber": "1000", "Mcp-Param-Region": "", "Mcp-Param-On": "false",
		}},
		{"a number no header should cost much for", "tools/call", `{"name":"t","arguments":{"n":1e999999999}}`, nil, map[string]string{"Mcp-Name": "t", "Mcp-Param-N-Umber": "1e999999999"}},
		{
			"the client's own are sent on, ours win", "tools/call", `{"name":"t","arguments":{"region":"here"}}`,
			http.Header{"Mcp-Param-Region": {"there"}, "Mcp-Param-Other": {"o"}, "Mcp-Param-N-Umber": {"9"}, "Cookie": {"c"}},
			map[string]string{"Mcp-Name": "t", "Mcp-Param-Region": "here", "Mcp-Param-Other": "o"},
		},
		{"a tool with a strange name", "tools/call", `{"name":"\u00fc"}`, nil, map[string]string{"Mcp-Name": "=?base64?w7w=?="}},
		{"a prompt", "prompts/get", `{"name":"p"}`, nil, map[string]string{"Mcp-Name": "p"}},
		{"a resource", "resources/read", `{"uri":"file:///a b","name":"n"}`, nil, map[string]string{"Mcp-Name": "file:///a b"}},
		{"a task", "tasks/get", `{"taskId":"t-1"}`, nil, map[string]string{"Mcp-Name": "t-1"}},
		{"a list", "tools/list", `{"name":"n"}`, nil, map[string]string{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			body := `{"jsonrpc":"2.0","id":1,"method":"` + c.method + `","params":` + c.params + `}`
			got := make(http.Header)
			for _, f := range appendModern(nil, []byte(body), c.theirs, tools) {
				got.Add(f.name, f.value)
			}
			want := http.Header{"Mcp-Method": {c.method}}
			for k, v := range c.want {
				want[k] = []string{v}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("headers (-want +got):\n%s", diff)
			}
		})
	}
}
