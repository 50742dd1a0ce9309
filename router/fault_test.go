package router

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// One bad item is left out with its reason; the others are served.
func TestMalformed(t *testing.T) {
	deep := strings.Repeat(`{"properties":{"a":`, 70) + `{}` + strings.Repeat(`}}`, 70)
	var defs strings.Builder
	for i := range 30 {
		fmt.Fprintf(&defs, `"d%d":{"allOf":[{"$ref":"#/$defs/d%d"},{"$ref":"#/$defs/d%d"}]},`, i, i+1, i+1)
	}
	bomb := `{"type":"object","$ref":"#/$defs/d0","$defs":{` + defs.String() + `"d30":{}}}`
	schema := func(s string) string { return `{"name":"bad","inputSchema":` + s + `}` }
	for _, tc := range []struct {
		name string
		kind Kind
		item string
		want string // "" for an item that is fine
	}{
		{"not JSON", Tools, `{"name":"bad"`, "is not JSON"},
		{"two documents", Tools, `{"name":"bad"}{}`, "is not JSON"},
		{"empty", Tools, ``, "is not JSON"},
		{"not an object", Tools, `["bad"]`, "is not an object"},
		{"null", Tools, `null`, "is not an object"},
		{"no name", Tools, `{"inputSchema":{}}`, "has no name"},
		{"name empty", Tools, `{"name":"","inputSchema":{}}`, "has no name"},
		{"name not a string", Tools, `{"name":1,"inputSchema":{}}`, "has no name"},
		{"name twice", Tools, `{"name":"bad","name":"good","inputSchema":{}}`, `has the key "name" twice`},
		{"listed twice", Tools, `{"name":"good","inputSchema":{}}`, "is listed twice; the first counts"},
		{"header in a pattern", Tools, schema(`{"patternProperties":{"a":{"type":"string","x-mcp-header":"A"}}}`), "has an inputSchema that has an x-mcp-header where none can be"},
		{"no schema", Tools, `{"name":"bad"}`, "has no inputSchema"},
		{"schema null", Tools, schema(`null`), "has an inputSchema that is not an object"},
		{"schema boolean", Tools, schema(`true`), "has an inputSchema that is not an object"},
		{"schema of an array", Tools, schema(`{"type":"array"}`), `has an inputSchema whose type is not "object"`},
		{"schema from the network", Tools, schema(`{"type":"object","properties":{"a":{"items":[{"$ref":"HTTP://x/y"}]}}}`), `has an inputSchema that refers to the network: $ref "HTTP://x/y"`},
		{"schema from the network, no scheme", Tools, schema(`{"$ref":"//x/y"}`), `has an inputSchema that refers to the network: $ref "//x/y"`},
		{"output schema from the network", Tools, `{"name":"bad","inputSchema":{},"outputSchema":{"$ref":"https://x"}}`, `has an outputSchema that refers to the network: $ref "https://x"`},
		{"output schema null", Tools, `{"name":"bad","inputSchema":{},"outputSchema":null}`, "has an outputSchema that is not an object"},
		{"schema too deep", Tools, schema(deep), "has an inputSchema that is nested more than 64 deep"},
		{"schema too large", Tools, schema(`{"x":"` + strings.Repeat("x", maxSchema) + `"}`), "has an inputSchema of more than 1048576 bytes"},
		{"schema bomb", Tools, schema(bomb), "has an inputSchema that expands to too many parts through $ref"},
		{"description", Tools, `{"name":"bad","inputSchema":{},"description":1}`, "has a description that is not a string"},
		{"annotations", Tools, `{"name":"bad","inputSchema":{},"annotations":[]}`, "has annotations that are not an object"},
		{"header of an object", Tools, schema(`{"properties":{"a":{"type":"object","x-mcp-header":"A"}}}`), "has an inputSchema that has an x-mcp-header on something else than a string, an integer or a boolean"},
		{"header twice", Tools, schema(`{"properties":{"a":{"type":"string","x-mcp-header":"A"},"b":{"type":"string","x-mcp-header":"a"}}}`), "has an inputSchema that has the same x-mcp-header twice"},
		{"header with a space", Tools, schema(`{"properties":{"a":{"type":"string","x-mcp-header":"A b"}}}`), "has an inputSchema that has an x-mcp-header that is not a header name"},
		{"header below items", Tools, schema(`{"properties":{"a":{"items":{"type":"string","x-mcp-header":"A"}}}}`), "has an inputSchema that has an x-mcp-header where none can be"},
		{"header", Tools, schema(`{"properties":{"a":{"properties":{"b":{"type":"string","x-mcp-header":"A"}}}}}`), ""},
		{"recursion", Tools, schema(`{"type":"object","$ref":"#/$defs/a","$defs":{"a":{"items":{"$ref":"#/$defs/a"}}}}`), ""},
		{"references in data", Tools, schema(`{"type":"object","properties":{"$ref":{"const":{"$ref":"http://x"}},"enum":{"default":{"$ref":"http://x"}}}}`), ""},
		{"no type", Tools, schema(`{}`), ""},
		{"prompt without schema", Prompts, `{"name":"bad"}`, ""},
		{"prompt's arguments", Prompts, `{"name":"bad","arguments":{}}`, "has arguments that are not an array"},
		{"resource", Resources, `{"uri":"a:b","name":"x"}`, ""},
		{"resource without uri", Resources, `{"name":"bad"}`, "has no uri"},
		{"resource without name", Resources, `{"uri":"a:b"}`, "has no name"},
		{"resource with a line break", Resources, `{"uri":"a:b\nc","name":"x"}`, "has a control character"},
		{"resource too long", Resources, `{"uri":"a:` + strings.Repeat("x", maxURI) + `","name":"x"}`, "has a uri longer than 8192 characters"},
		{"template", Templates, `{"uriTemplate":"a:{b}","name":"x"}`, ""},
		{"template without end", Templates, `{"uriTemplate":"a:{b","name":"x"}`, "has a { without a }"},
		{"template without beginning", Templates, `{"uriTemplate":"a:b}","name":"x"}`, "has a } without a {"},
		{"template with an unknown operator", Templates, `{"uriTemplate":"a:{!b}","name":"x"}`, "has an expression that RFC 6570 does not know: {!b}"},
		{"template with nothing", Templates, `{"uriTemplate":"a:{}","name":"x"}`, "has an expression that RFC 6570 does not know: {}"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			good := `{"name":"good","uri":"good:x","uriTemplate":"good:{x}","inputSchema":{}}`
			items := []json.RawMessage{json.RawMessage(tc.item), json.RawMessage(good)}
			o := Offer{Upstream: "a", Prefix: "a", Listed: true}
			switch tc.kind {
			case Tools:
				o.Tools = items
			case Prompts:
				o.Prompts = items
			case Resources:
				o.Resources = items
			case Templates:
				o.Templates = items
			}
			c := Build(Defaults(), []Offer{o})
			names := listed(t, c, tc.kind)
			if tc.want == "" {
				if len(names) != 2 || len(c.Problems()) != 0 {
					t.Fatalf("listed %q, problems %q", names, problems(c))
				}
				return
			}
			if len(names) != 1 || !strings.Contains(names[0], "good") {
				t.Errorf("listed %q", names)
			}
			if ps := c.Problems(); len(ps) != 1 || ps[0].Kind != Malformed || !strings.HasSuffix(ps[0].Text, ": it "+tc.want) {
				t.Errorf("problems %q", problems(c))
			}
		})
	}
}

func TestNameFaults(t *testing.T) {
	for _, tc := range []struct{ name, want string }{
		{"read_file", ""},
		{"dir/read.all v2", ""},
		{"größe", ""},
		{"読み込む", ""},
		{"поиск", ""},
		{strings.Repeat("x", 128), ""},
		{strings.Repeat("x", 129), "is longer than 128 characters"},
		{"re\x00ad", "has a control character"},
		{"re\x1b[31mad", "has a control character"},
		{"re\u0085ad", "has a control character"},
		{"re\u200bad", "has an invisible character"},
		{"re\u00adad", "has an invisible character"},
		{"re\u202ead", "has an invisible character"},
		{"re\ufeffad", "has an invisible character"},
		{"re\u00a0ad", "has an invisible character"},
		{"re\u3164ad", "has an invisible character"},
		{"re\u2028ad", "has an invisible character"},
		{"re\ufe0fad", "has an invisible character"},
		{"re\U000e0061ad", "has an invisible character"},
		{"re\ue000ad", "has an invisible character"},
		{"re\ufffdad", "is not valid Unicode"},
		{"rеad", "mixes alphabets"}, // Cyrillic е
		{"reαd", "mixes alphabets"},
		{"поиσк", "mixes alphabets"},
		{"сору", "is made of characters that look like plain letters"},
		{"ｒead", "has a character that looks like a plain letter"},
		{"𝐫ead", "has a character that looks like a plain letter"},
		{"ɡet", "has a character that looks like a plain letter"},
		{"fıle", "has a character that looks like a plain letter"},
		{"ﬁle", "has a character that looks like a plain letter"},
	} {
		if got := nameFault(tc.name); got != tc.want {
			t.Errorf("%+q: want %q, got %q", tc.name, tc.want, got)
		}
		c := Build(Defaults(), []Offer{offer("a", tc.name, "good")})
		if n := len(listed(t, c, Tools)); (n == 2) != (tc.want == "") {
			t.Errorf("%+q: %d tools are listed", tc.name, n)
		}
		for _, p := range c.Problems() {
			if f := textFault(p.Text + p.Name + p.Mend + p.Exposed); f != "" {
				t.Errorf("a problem that %s: %+q", f, p.Text)
			}
		}
	}
}

func TestConfig(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"defaults", func(*Config) {}, ""},
		{"no client prefix", func(c *Config) { c.ClientPrefix = "" }, ""},
		{"separator", func(c *Config) { c.Separator = "" }, "separator: must not be empty"},
		{"separator with a dot", func(c *Config) { c.Separator = "." }, "separator: may contain only letters, digits, _ and -"},
		{"long separator", func(c *Config) { c.Separator = "---------" }, "separator: must be at most 8 characters"},
		{"client prefix", func(c *Config) { c.ClientPrefix = "a b" }, "client_prefix: may contain only letters, digits, _ and -"},
		{"too small", func(c *Config) { c.Max = 31 }, "max: must leave at least 16 characters after client_prefix (16)"},
		{"too large", func(c *Config) { c.Max = 129 }, "max: must be at most 128: no model API accepts longer names"},
		{"two", func(c *Config) { c.Max, c.Separator = 0, "" }, "separator: must not be empty\nmax: must leave at least 16 characters after client_prefix (16)"},
	} {
		c := Defaults()
		tc.change(&c)
		got := ""
		if err := c.Validate(); err != nil {
			got = err.Error()
		}
		if got != tc.want {
			t.Errorf("%s: want %q, got %q", tc.name, tc.want, got)
		}
	}
	for prefix, want := range map[string]string{
		"":                      "",
		"files":                 "",
		"a-b_c":                 "",
		"a__b":                  `prefix "a__b": may not contain the separator "__"`,
		"a_":                    `prefix "a_": runs together with the separator "__"; end it otherwise`,
		"a.b":                   `prefix "a.b": may contain only letters, digits, _ and -`,
		strings.Repeat("x", 37): `prefix "` + strings.Repeat("x", 37) + `": leaves no room for a name: use at most 36 characters, or raise names.max`,
		strings.Repeat("x", 36): "",
	} {
		got := ""
		if err := Defaults().CheckPrefix(prefix); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: want %q, got %q", prefix, want, got)
		}
	}
}
