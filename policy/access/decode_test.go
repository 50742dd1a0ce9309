package access

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// What rules see of arguments is what encoding/json sees of them.
func FuzzArguments(f *testing.F) {
	for _, s := range []string{
		`{}`, plainArguments, `{"a":{"b":[1,2.5,-0,1e3,"x",null,true,{}]}}`, `{"a":1e999}`, `{"a":9223372036854775808}`,
		`{"a":"\u00e9\ud83d\ude00\n"}`, `{"a":[[[[]]]]}`, ` {"a":1}`, `{"a":123456789012345678901234567890}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := jsonrpc.Parse([]byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":` + string(raw) + `}}`))
		if err != nil || !m.Arguments.Ok() {
			return
		}
		args := newArguments(m.Arguments.Of(m.Raw))
		d := json.NewDecoder(bytes.NewReader(m.Arguments.Of(m.Raw)))
		d.UseNumber()
		var want map[string]any
		if err := d.Decode(&want); err != nil {
			t.Fatal(err)
		}
		if types.IsError(args) {
			t.Fatalf("%s: %v", raw, args)
		}
		got := args.(*arguments)
		if len(got.members) != len(want) {
			t.Fatalf("%s: %d members, want %d", raw, len(got.members), len(want))
		}
		for key, value := range want {
			v, found := got.Find(types.String(key))
			if !found && !huge(value) {
				t.Fatalf("%s: %q is not found: %v", raw, key, v)
			}
			if found && !equal(v, value) {
				t.Fatalf("%s: %q is %v, want %v", raw, key, v, value)
			}
		}
	})
}

// huge reports whether a number in v does not fit into a double.
func huge(v any) bool {
	switch v := v.(type) {
	case json.Number:
		_, err := v.Float64()
		return err != nil
	case []any:
		return slices.ContainsFunc(v, huge)
	case map[string]any:
		for _, e := range v {
			if huge(e) {
				return true
			}
		}
	}
	return false
}

func equal(got ref.Val, want any) bool {
	switch want := want.(type) {
	case nil:
		return got == types.NullValue
	case bool:
		return got == types.Bool(want)
	case string:
		return got == types.String(want)
	case json.Number:
		switch got := got.(type) {
		case types.Int, types.Uint:
			return got.ConvertToType(types.StringType) == types.String(strings.Replace(string(want), "-0", "0", 1)) || string(want)[0] == '-' && got.ConvertToType(types.StringType) == types.String(want)
		case types.Double:
			f, err := want.Float64()
			return err == nil && float64(got) == f
		}
	case []any:
		l, ok := got.(traits.Lister)
		if !ok || int(l.Size().(types.Int)) != len(want) {
			return false
		}
		for i, e := range want {
			if !equal(l.Get(types.Int(i)), e) {
				return false
			}
		}
		return true
	case map[string]any:
		m, ok := got.(traits.Mapper)
		if !ok || int(m.Size().(types.Int)) != len(want) {
			return false
		}
		for k, e := range want {
			v, found := m.Find(types.String(k))
			if !found || !equal(v, e) {
				return false
			}
		}
		return true
	}
	return false
}
