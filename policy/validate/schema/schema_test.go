package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"
)

func compiled(t testing.TB, raw string) *Schema {
	t.Helper()
	s, err := Compile([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestFaults(t *testing.T) {
	const order = `{"type":"object","required":["id"],"additionalProperties":false,"properties":{
		"id":{"type":"integer","minimum":9007199254740993},
		"limit":{"type":["integer","null"],"maximum":100},
		"kind":{"enum":["a","b\u001b",3,null]},
		"tags":{"type":"array","items":{"type":"string","maxLength":3},"maxItems":2,"uniqueItems":true},
		"mail":{"type":"string","pattern":"^[^@]+@[^@]+$"},
		"ratio":{"multipleOf":0.01},
		"any":{"anyOf":[{"type":"string"},{"type":"null"}]},
		"shape":{"oneOf":[{"type":"object","properties":{"r":{"type":"number"}},"required":["r"]},{"type":"object","required":["w","h"]}]},
		"more":{"type":"object","additionalProperties":{"type":"boolean"}}}}`
	s := compiled(t, order)
	for _, c := range []struct{ document, want string }{
		{`{"id":9007199254740993}`, ""},
		{`{"id":9007199254740992}`, "/id must be at least 9007199254740993"},
		{`{"id":123456789012345678901234567890}`, ""},
		{`{"id":9007199254740993.0}`, ""},
		{`{"id":9007199254740993.5}`, "/id must be an integer, not a number"},
		{`{"id":"secret"}`, "/id must be an integer, not a string"},
		{`{}`, ` must have the property "id"`},
		{`[]`, " must be an object, not an array"},
		{`{"id":1e18,"limit":1e2}`, ""},
		{`{"id":1e18,"limit":101}`, "/limit must be at most 100"},
		{`{"id":1e18,"limit":true}`, "/limit must be null or an integer, not a boolean"},
		{`{"id":1e18,"limt":1}`, ` must not have the property "limt": did you mean "limit"?`},
		{`{"id":1e18,"lmiit":1}`, ` must not have the property "lmiit": did you mean "limit"?`},
		{`{"id":1e18,"my secret":1}`, ` must not have the property "*"`},
		{`{"id":1e18,"kind":"secret"}`, `/kind must be one of "a", "b\x1b", 3, null`},
		{`{"id":1e18,"kind":3.0}`, ""},
		{`{"id":1e18,"tags":["abc","abcd",7]}`, "/tags must have at most 2 elements, not 3; /tags/1 must have at most 3 characters, not 4; /tags/2 must be a string, not an integer"},
		{`{"id":1e18,"tags":["a","a"]}`, "/tags must not have equal elements, as 0 and 1 are"},
		{`{"id":1e18,"mail":"secret"}`, `/mail must match the pattern "^[^@]+@[^@]+$"`},
		{`{"id":1e18,"ratio":0.07}`, ""}, // 7.000000000000001 in float64
		{`{"id":1e18,"ratio":0.075}`, "/ratio must be a multiple of 0.01"},
		{`{"id":1e18,"any":7}`, "/any must be null or a string"},
		{`{"id":1e18,"shape":{"r":"secret"}}`, "/shape/r must be a number, not a string"},
		{`{"id":1e18,"shape":{"w":1}}`, "/shape must match one of 2 alternatives"},
		{`{"id":1e18,"more":{"a/b~c":1}}`, "/more/* must be a boolean, not an integer"},
		{`{"id":1e18,"more":{"a.b":1}}`, "/more/a.b must be a boolean, not an integer"},
	} {
		faults, err := s.Validate([]byte(c.document))
		if err != nil {
			t.Errorf("%s: %v", c.document, err)
		}
		var all []string
		for _, f := range faults {
			all = append(all, f.Path+" "+f.Want)
		}
		if got := strings.Join(all, "; "); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.document, got, c.want)
		}
		if strings.Contains(fmt.Sprint(faults), "secret") {
			t.Errorf("%s: a value is told: %v", c.document, faults)
		}
	}
}

func TestUnusable(t *testing.T) {
	for _, c := range []struct{ schema, want string }{
		{`{"$schema":"http://json-schema.org/draft-04/schema#"}`, `the schema is of a draft that is neither 2020-12 nor draft-07 (at "/$schema")`},
		{`{"properties":{"a":{"$ref":"https://example.com/x.json"}}}`, `the schema refers to another document, and none is ever fetched (at "/properties/a")`},
		{`{"$ref":"#/$defs/none"}`, `the schema refers to what is not in it`},
		{`{"$ref":"#none"}`, `the schema refers to what is not in it`},
		{`{"properties":{"a":{"pattern":"(?=x)"}}}`, `the schema has a pattern that RE2 cannot express (at "/properties/a/pattern")`},
		{`{"type":"strin"}`, `the schema has a type that there is not (at "/type")`},
		{`{"type":7}`, `the schema has a type that is not a string or an array (at "/type")`},
		{`{"required":"a"}`, `the schema has a required that is not an array (at "/required")`},
		{`{"minLength":-1}`, `the schema has a minLength that is no number of things (at "/minLength")`},
		{`{"items":[7]}`, `the schema is neither an object nor a boolean (at "/items/0")`},
		{`{"minimum":1e9999}`, `the schema has a number that is too long (at "/minimum")`},
		{`7`, `the schema is neither an object nor a boolean`},
		{`{`, `the schema is no JSON, or too large`},
		{`{"x":[` + strings.Repeat("1,", maxValues) + `1]}`, `the schema is no JSON, or too large`},
		{`{"description":"` + strings.Repeat("x", MaxSize) + `"}`, `the schema is longer than 256 KiB`},
	} {
		_, err := Compile([]byte(c.schema))
		if _, ok := errors.AsType[*UnusableError](err); !ok || err.Error() != c.want {
			t.Errorf("%.60s:\n got %v\nwant %s", c.schema, err, c.want)
		}
	}
}

// What nobody said which draft it is of is often of draft-07.
func TestTupleWithoutADraft(t *testing.T) {
	s := compiled(t, `{"items":[{"type":"string"}],"additionalItems":false}`)
	if faults, _ := s.Validate([]byte(`["a"]`)); faults != nil {
		t.Errorf("faults %v", faults)
	}
	if faults, _ := s.Validate([]byte(`["a",1]`)); len(faults) != 1 || faults[0].Path != "/1" {
		t.Errorf("faults %v", faults)
	}
}

func TestPatternOfECMA(t *testing.T) {
	s := compiled(t, `{"pattern":"^[\\u0041-\\u005a]\\/\\d\\\\u$"}`)
	if faults, _ := s.Validate([]byte(`"A/1\\u"`)); faults != nil {
		t.Errorf("faults %v", faults)
	}
}

// What would take for ever, or all the memory there is, ends.
func TestBounds(t *testing.T) {
	bomb := `{"$defs":{"x0":{"type":"object"}`
	for i := range 40 {
		bomb += fmt.Sprintf(`,"x%d":{"allOf":[{"$ref":"#/$defs/x%d"},{"$ref":"#/$defs/x%d"}]}`, i+1, i, i)
	}
	bomb += `},"$ref":"#/$defs/x40"}`
	either := strings.ReplaceAll(strings.ReplaceAll(bomb, "allOf", "anyOf"), `"type":"object"`, `"type":"string"`)
	for name, c := range map[string]struct{ schema, document string }{
		"itself":              {`{"$ref":"#"}`, `{}`},
		"each other":          {`{"$defs":{"a":{"$ref":"#/$defs/b"},"b":{"allOf":[{"$ref":"#/$defs/a"}]}},"$ref":"#/$defs/a"}`, `1`},
		"all of":              {bomb, `{}`},
		"any of":              {either, `{}`},
		"a number":            {`{"minimum":1}`, `1e999999999`},
		"an equal number":     {`{"const":1}`, `1e999999999`},
		"a number's kind":     {`{"type":"integer"}`, `1e999999999`},
		"one of many numbers": {`{"uniqueItems":true}`, `[1,1e999999999]`},
	} {
		t.Run(name, func(t *testing.T) {
			faults, err := compiled(t, c.schema).Validate([]byte(c.document))
			if !errors.Is(err, ErrTooMuch) || faults != nil {
				t.Errorf("faults %v, error %v", faults, err)
			}
		})
	}
	if _, err := compiled(t, `{}`).Validate([]byte(`[` + strings.Repeat("1,", maxDocument) + `1]`)); !errors.Is(err, ErrDocument) {
		t.Errorf("error %v", err)
	}
	deep := strings.Repeat(`{"not":`, 400) + `true` + strings.Repeat(`}`, 400)
	if _, err := compiled(t, deep).Validate([]byte(`1`)); err != nil {
		t.Errorf("error %v", err)
	}
}

// theirs is what the other library says. It cannot use what we cannot.
func theirs(schema, document []byte) (valid, ok bool) {
	c := jsonschema.NewCompiler()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil || c.AddResource("mem:///schema.json", v) != nil {
		return false, false
	}
	s, err := c.Compile("mem:///schema.json")
	if err != nil {
		return false, false
	}
	d, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	if err != nil {
		return false, false
	}
	return s.Validate(d) == nil, true
}

// documents are small values of few kinds, so that they often nearly match.
func documents(depth int) *rapid.Generator[any] {
	leaf := rapid.SampledFrom([]any{nil, true, false, 0, 1, 2.5, json.Number("9007199254740993"), json.Number("9007199254740993.0"), "", "a", "ab", "\u00e9\u00e9"})
	if depth == 0 {
		return leaf
	}
	return rapid.OneOf(leaf,
		rapid.Map(rapid.SliceOfN(documents(depth-1), 0, 3), func(s []any) any { return s }),
		rapid.Map(rapid.MapOfN(rapid.SampledFrom([]string{"a", "b", "cc"}), documents(depth-1), 0, 3), func(m map[string]any) any { return m }))
}

func schemas(depth int) *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		if rapid.IntRange(0, 9).Draw(t, "boolean") == 0 {
			return rapid.Bool().Draw(t, "schema")
		}
		s := map[string]any{}
		sub := func() any { return schemas(depth-1).Draw(t, "sub") }
		subs := func() any { return rapid.SliceOfN(schemas(depth-1), 1, 3).Draw(t, "subs") }
		few := rapid.IntRange(0, 3)
		names := rapid.SampledFrom([]string{"a", "b", "cc"})
		for range rapid.IntRange(1, 4).Draw(t, "keywords") {
			switch k := rapid.SampledFrom([]string{
				"type", "enum", "const", "minimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "pattern",
				"minItems", "maxItems", "uniqueItems", "required", "minProperties", "maxProperties", "dependentRequired",
				"properties", "patternProperties", "additionalProperties", "propertyNames", "items", "prefixItems", "contains", "minContains", "maxContains",
				"allOf", "anyOf", "oneOf", "not", "if", "then", "else", "unevaluatedProperties", "unevaluatedItems", "$ref", "dependentSchemas",
			}).Draw(t, "keyword"); k {
			case "type":
				s[k] = rapid.SampledFrom([]any{"object", "array", "string", "number", "integer", "null", []any{"boolean", "array"}, []any{"integer", "object"}}).Draw(t, k)
			case "enum":
				s[k] = rapid.SliceOfN(documents(1), 1, 3).Draw(t, k)
			case "const":
				s[k] = documents(1).Draw(t, k)
			case "minimum", "exclusiveMaximum":
				s[k] = rapid.SampledFrom([]any{0, 1, 2.5, json.Number("9007199254740992"), json.Number("9007199254740993")}).Draw(t, k)
			case "multipleOf":
				s[k] = rapid.SampledFrom([]any{1, 2, 0.5}).Draw(t, k)
			case "pattern":
				s[k] = rapid.SampledFrom([]string{"^a", "b$", "."}).Draw(t, k)
			case "uniqueItems":
				s[k] = true
			case "required":
				s[k] = rapid.SliceOfNDistinct(names, 1, 2, rapid.ID).Draw(t, k)
			case "dependentRequired":
				s[k] = map[string]any{names.Draw(t, k): []string{names.Draw(t, k)}}
			case "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "minContains", "maxContains":
				s[k] = few.Draw(t, k)
			case "$ref":
				s[k] = rapid.SampledFrom([]string{"#/$defs/d", "#d"}).Draw(t, k)
			default:
				switch {
				case depth == 0:
				case k == "allOf", k == "anyOf", k == "oneOf", k == "prefixItems":
					s[k] = subs()
				case k == "properties", k == "patternProperties", k == "dependentSchemas":
					s[k] = map[string]any{names.Draw(t, k): sub(), names.Draw(t, k): sub()}
				default:
					s[k] = sub()
				}
			}
		}
		return s
	})
}

// Of whatever schema and document, both libraries say the same.
func TestLikeAnother(t *testing.T) {
	valid, all := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		root, ok := schemas(2).Draw(t, "schema").(map[string]any)
		if !ok {
			return
		}
		definition := map[string]any{"type": rapid.SampledFrom([]string{"string", "integer", "object"}).Draw(t, "defined"), "$anchor": "d"}
		root["$defs"] = map[string]any{"d": definition}
		schema, err := json.Marshal(root)
		if err != nil {
			t.Fatal(err)
		}
		document, err := json.Marshal(documents(2).Draw(t, "document"))
		if err != nil {
			t.Fatal(err)
		}
		want, ok := theirs(schema, document)
		s, err := Compile(schema)
		if ok != (err == nil) {
			t.Fatalf("%s: usable %v for them, for us %v", schema, ok, err)
		}
		if err != nil {
			return
		}
		faults, err := s.Validate(document)
		if err != nil {
			t.Fatal(err)
		}
		if all++; want {
			valid++
		}
		if got := len(faults) == 0; got != want {
			t.Fatalf("schema %s\ndocument %s: valid %v for them, for us %v %v", schema, document, want, got, faults)
		}
	})
	t.Logf("%d of %d were valid", valid, all)
}

// Whatever comes, nothing panics, and what is wrong is told in ASCII.
func FuzzValidate(f *testing.F) {
	f.Add(`{"$ref":"#"}`, `{}`)
	f.Add(`{"properties":{"a":{"type":["integer","null"],"enum":["\u001b"]}},"additionalProperties":false,"unevaluatedItems":false}`, `{"a":[1.5],"\u0000":{}}`)
	f.Add(`{"$id":"urn:x","$dynamicAnchor":"a","items":[{"$dynamicRef":"#a"}],"anyOf":[{"pattern":"\\u00e9+"},{"contains":true}]}`, `[[],"x",1e5]`)
	f.Add(`{"$schema":"http://json-schema.org/draft-07/schema#","dependencies":{"a":["b"]},"items":[true],"additionalItems":{"$ref":"#/items/0"}}`, `{"a":1}`)
	f.Fuzz(func(t *testing.T, schema, document string) {
		s, err := Compile([]byte(schema))
		if err != nil {
			if _, ok := errors.AsType[*UnusableError](err); !ok {
				t.Fatal(err)
			}
			return
		}
		faults, err := s.Validate([]byte(document))
		if err != nil && !errors.Is(err, ErrTooMuch) && !errors.Is(err, ErrDocument) {
			t.Fatal(err)
		}
		if len(faults) > maxFaults {
			t.Errorf("%d faults", len(faults))
		}
		for _, f := range faults {
			for _, b := range []byte(f.Path + f.Want) {
				if b < ' ' || b > '~' {
					t.Fatalf("%q is not ASCII", f)
				}
			}
		}
	})
}

func BenchmarkValidate(b *testing.B) {
	s := compiled(b, `{"type":"object","required":["query"],"properties":{"query":{"type":"string","maxLength":1000},"limit":{"type":"integer","minimum":1,"maximum":100},"tags":{"type":"array","items":{"type":"string"}}},"additionalProperties":false}`)
	document := []byte(`{"query":"what is new","limit":10,"tags":["a","b"]}`)
	b.ReportAllocs()
	for b.Loop() {
		if faults, err := s.Validate(document); faults != nil || err != nil {
			b.Fatal(faults, err)
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	raw := []byte(`{"type":"object","required":["query"],"properties":{"query":{"type":"string","maxLength":1000},"limit":{"type":"integer","minimum":1,"maximum":100},"tags":{"type":"array","items":{"type":"string"}}},"additionalProperties":false}`)
	for b.Loop() {
		if _, err := Compile(raw); err != nil {
			b.Fatal(err)
		}
	}
}
