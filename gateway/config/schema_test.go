package config

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/invopop/jsonschema"
	validator "github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/interlock-mcp/interlock/gateway/alert"
	"github.com/interlock-mcp/interlock/gateway/identity"
	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/policy/builtin"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/oauth"
)

var update = flag.Bool("update", false, "write schema.json and the golden files")

// variableForm lets a variable stand for a value of any kind.
var variableForm = &jsonschema.Schema{Type: "string", Pattern: `\$\{`}

func anyOf(s ...*jsonschema.Schema) *jsonschema.Schema { return &jsonschema.Schema{AnyOf: s} }

func words(w ...any) *jsonschema.Schema {
	return anyOf(&jsonschema.Schema{Type: "string", Enum: w}, variableForm)
}

// typeSchema is the schema of types that JSON knows in another form.
func typeSchema(t reflect.Type) *jsonschema.Schema {
	switch t {
	case durationType:
		return &jsonschema.Schema{Type: "string", Pattern: `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$|^0$|\$\{`, Examples: []any{"30s"}}
	case reflect.TypeFor[int64]():
		return anyOf(&jsonschema.Schema{Type: "integer", Minimum: "0"},
			&jsonschema.Schema{Type: "string", Pattern: `^[0-9.]+ ?([KMG]i?B?|kB|B)?$|\$\{`, Examples: []any{"4MiB"}})
	case reflect.TypeFor[int]():
		return anyOf(&jsonschema.Schema{Type: "integer", Minimum: "0"}, variableForm)
	case reflect.TypeFor[float64]():
		return anyOf(&jsonschema.Schema{Type: "number", Minimum: "0"}, variableForm)
	case reflect.TypeFor[bool]():
		return anyOf(&jsonschema.Schema{Type: "boolean"}, variableForm)
	case reflect.TypeFor[policy.Effect]():
		return words("deny", "allow")
	case reflect.TypeFor[upstream.Transport]():
		return words("stdio", "http", "sse")
	case reflect.TypeFor[alert.Event]():
		var all []any
		for _, e := range alert.Events() {
			all = append(all, string(e))
		}
		return words(all...)
	case reflect.TypeFor[upstream.DependencyFailure]():
		return words("wait", "start_anyway")
	case reflect.TypeFor[upstream.StartMode]():
		return words("eager", "on_demand")
	case reflect.TypeFor[upstream.Protocol]():
		return words("auto", "modern", "legacy")
	case reflect.TypeFor[upstream.Isolation]():
		return words("auto", "shared", "session")
	case reflect.TypeFor[oauth.Flow]():
		return words("authorization_code", "client_credentials", "bearer", "none")
	case reflect.TypeFor[SignInStore]():
		return words("auto", "keyring", "file")
	case reflect.TypeFor[oauth.Per]():
		return words("gateway", "principal")
	case reflect.TypeFor[upstream.Condition]():
		return words("running", "started", "healthy", "service_healthy", "service_started")
	case reflect.TypeFor[upstream.RestartPolicy]():
		return words("on-failure", "always", "never", "no", "unless-stopped", "on_error")
	}
	return nil
}

const module = "github.com/interlock-mcp/interlock/"

// generate makes the schema from the structs, their comments and the defaults.
func generate(t *testing.T) []byte {
	t.Helper()
	r := &jsonschema.Reflector{
		FieldNameTag: "koanf", Anonymous: true, ExpandedStruct: true, RequiredFromJSONSchemaTags: true, Mapper: typeSchema,
		Namer: func(t reflect.Type) string {
			pkg := t.PkgPath()[strings.LastIndex(t.PkgPath(), "/")+1:]
			if of, policies := strings.CutPrefix(t.PkgPath(), module+"policy/"); policies {
				return strings.TrimSuffix(strings.Replace(of, "builtin", "policy", 1)+"_"+strings.ToLower(t.Name()), "_config")
			}
			if t == reflect.TypeFor[identity.Config]() {
				return "auth"
			}
			if t == reflect.TypeFor[oauth.Config]() {
				return "upstream_auth"
			}
			if t == reflect.TypeFor[SignIn]() {
				return "sign_in"
			}
			return strings.TrimPrefix(strings.ToLower(strings.TrimSuffix(t.Name(), "Keys")), pkg)
		},
	}
	comments(t, r)
	s := r.Reflect(&document{})
	s.Title = "Interlock configuration"
	s.Description = ""
	defs := s.Definitions
	edit := func(def, key string, f func(*jsonschema.Schema)) {
		t.Helper()
		d, ok := defs[def]
		if !ok {
			t.Fatalf("no definition %q in %v", def, sortedKeys(defs))
		}
		p, ok := d.Properties.Get(key)
		if !ok {
			t.Fatalf("no key %q in %q", key, def)
		}
		f(p)
	}
	textual := anyOf(&jsonschema.Schema{Type: "string"}, &jsonschema.Schema{Type: "number"}, &jsonschema.Schema{Type: "boolean"})
	edit("upstream", "args", func(p *jsonschema.Schema) { p.Items = textual })
	edit("upstream", "env", func(p *jsonschema.Schema) { p.AdditionalProperties = textual })
	also := func(form *jsonschema.Schema) func(*jsonschema.Schema) {
		return func(p *jsonschema.Schema) {
			own := &jsonschema.Schema{Ref: p.Ref, Type: p.Type, AdditionalProperties: p.AdditionalProperties}
			p.Ref, p.Type, p.AdditionalProperties, p.AnyOf = "", "", nil, []*jsonschema.Schema{own, form}
		}
	}
	edit("upstream", "depends_on", also(&jsonschema.Schema{Type: "array", Items: &jsonschema.Schema{Type: "string"}}))
	edit("upstream", "restart", also(typeSchema(reflect.TypeFor[upstream.RestartPolicy]())))
	up := defs["upstream"]
	for _, alias := range [][2]string{{"dependsOn", "depends_on"}, {"working_dir", "cwd"}} {
		p, _ := up.Properties.Get(alias[1])
		up.Properties.Set(alias[0], p)
	}
	for _, key := range clientKeys {
		s.Properties.Set(key, &jsonschema.Schema{
			Type:                 "object",
			Description:          "Servers as a client writes them; its own keys are translated.",
			AdditionalProperties: &jsonschema.Schema{Type: "object"},
		})
	}
	s.Properties.Set("inputs", &jsonschema.Schema{Type: "array", Description: "VS Code's; ignored."})
	include, _ := s.Properties.Get("include")
	include.AnyOf = []*jsonschema.Schema{{Type: "string"}, {Type: "array", Items: include.Items}}
	include.Type, include.Items = "", nil

	d := Defaults()
	putDefaults(s, defs["server"], d.Server)
	putDefaults(s, defs["upstream"], upstream.Defaults())
	putDefaults(s, byProperty(t, s, "names"), d.Names)
	putDefaults(s, byProperty(t, s, "sign_in"), d.SignIn)
	putDefaults(s, byProperty(t, s, "telemetry"), d.Telemetry)
	out, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(out, '\n')
}

func byProperty(t *testing.T, s *jsonschema.Schema, key string) *jsonschema.Schema {
	t.Helper()
	p, ok := s.Properties.Get(key)
	if !ok {
		t.Fatalf("no key %q", key)
	}
	return follow(s, p)
}

func follow(s, p *jsonschema.Schema) *jsonschema.Schema {
	for _, one := range append([]*jsonschema.Schema{p}, p.AnyOf...) {
		if one.Ref != "" {
			return s.Definitions[strings.TrimPrefix(one.Ref, "#/$defs/")]
		}
	}
	return p
}

// putDefaults sets the default of each key of a struct.
func putDefaults(root, s *jsonschema.Schema, from any) {
	v := reflect.ValueOf(from)
	for i := range v.NumField() {
		key := v.Type().Field(i).Tag.Get("koanf")
		p, ok := s.Properties.Get(key)
		if !ok {
			continue
		}
		if f := v.Field(i); f.Kind() == reflect.Struct {
			putDefaults(root, follow(root, p), f.Interface())
		} else if d, isDuration := reflect.TypeAssert[time.Duration](f); isDuration {
			p.Default = d.String()
		} else if !f.IsZero() {
			p.Default = f.Interface()
		}
	}
}

// comments takes descriptions from the doc comments of the structs.
func comments(t *testing.T, r *jsonschema.Reflector) {
	t.Helper()
	r.CommentMap = map[string]string{}
	folders := map[string]string{"gateway/config": ".", "gateway/alert": "../alert", "gateway/identity": "../identity", "upstream": "../../upstream", "upstream/oauth": "../../upstream/oauth", "router": "../../router", "telemetry": "../../telemetry"}
	for _, kind := range append(builtin.Kinds(), "builtin") {
		folders["policy/"+kind] = "../../policy/" + kind
	}
	for pkg, dir := range folders {
		one := &jsonschema.Reflector{}
		if err := one.AddGoComments("x", dir); err != nil {
			t.Fatal(err)
		}
		for key, text := range one.CommentMap {
			// Keys are x/<dir>.Type.Field; only the part after the last slash is ours.
			name := key[strings.LastIndex(key, "/")+1:]
			_, name, _ = strings.Cut(name, ".")
			name = name[strings.LastIndex(name, "..")+1:]
			r.CommentMap[module+pkg+"."+strings.TrimLeft(name, ".")] = strings.Join(strings.Fields(text), " ")
		}
	}
}

// TestSchemaIsCurrent keeps schema.json equal to the structs. Mend it with
// go test ./gateway/config -run Schema -update.
func TestSchemaIsCurrent(t *testing.T) {
	want := generate(t)
	if *update {
		if err := os.WriteFile("schema.json", want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(Schema(), want) {
		t.Error("schema.json is not what the structs say: go test ./gateway/config -run Schema -update")
	}
}

func compiled(t *testing.T) *validator.Schema {
	t.Helper()
	doc, err := validator.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := validator.NewCompiler()
	if err := c.AddResource("interlock.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("interlock.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// instance parses a file with our own parsers for the validator.
func instance(t *testing.T, name string, data []byte) any {
	t.Helper()
	var p problems
	n := parse(&source{name: name, data: data}, name, &p)
	if n == nil || len(p.errors) > 0 {
		t.Fatalf("%s: %v", name, p.errors)
	}
	return typed(n)
}

func typed(n *node) any {
	switch n.kind {
	case null:
		return nil
	case boolean:
		return n.text == "true"
	case number:
		return json.Number(n.text)
	case list:
		out := []any{}
		for _, item := range n.items {
			out = append(out, typed(item))
		}
		return out
	case table:
		out := map[string]any{}
		for _, m := range n.members {
			out[m.key] = typed(m.value)
		}
		return out
	}
	return n.text
}

func TestSchemaAcceptsGoodFiles(t *testing.T) {
	s := compiled(t)
	files, err := filepath.Glob("testdata/good/*")
	if err != nil || len(files) == 0 {
		t.Fatalf("no good files: %v", err)
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(instance(t, f, data)); err != nil {
			t.Errorf("%s: %v", f, err)
		}
	}
}

func TestSchemaRefusesBadFiles(t *testing.T) {
	s := compiled(t)
	for name, file := range map[string]string{
		"unknown key":           "upstreams: {a: {comand: x}}",
		"unknown section":       "upstream: {}",
		"duration without unit": "upstreams: {a: {command: x, call_timeout: 5}}",
		"wrong word":            "upstreams: {a: {command: x, transport: carrier-pigeon}}",
		"negative":              "upstreams: {a: {command: x, limits: {in_flight: -1}}}",
		"list for a text":       "upstreams: {a: {command: [x]}}",
		"not a boolean":         "upstreams: {a: {command: x, enabled: maybe}}",
	} {
		if s.Validate(instance(t, "x.yaml", []byte(file))) == nil {
			t.Errorf("%s: accepted: %s", name, file)
		}
	}
}
