package access

import (
	"reflect"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// arguments is a JSON object as a CEL map. Only what a rule reads of it is decoded.
type arguments struct {
	raw     []byte
	members []member
	index   map[string]int // of the members, if they are many
	all     traits.Mapper  // nil until it is needed whole
}

type member struct {
	key   string
	at    jsonrpc.Span
	value ref.Val // nil until read
}

// manyMembers is from how many on an index is worth its making.
const manyMembers = 12

// newArguments returns raw, a JSON object, as a map, and an error value if it is not
// one or has a key twice. No bytes are the empty object.
func newArguments(raw []byte) ref.Val {
	a := &arguments{raw: raw}
	if len(raw) == 0 {
		return a
	}
	if raw[0] != '{' {
		return types.NewErr("%s", notAnObject)
	}
	for key, at := range jsonrpc.Members(raw, jsonrpc.Between(0, len(raw))) {
		if a.place(key) >= 0 {
			return types.NewErr("%s", keyTwice)
		}
		a.members = append(a.members, member{key: key, at: at})
		switch {
		case a.index != nil:
			a.index[key] = len(a.members) - 1
		case len(a.members) > manyMembers:
			a.index = make(map[string]int, 2*manyMembers)
			for i := range a.members {
				a.index[a.members[i].key] = i
			}
		}
	}
	return a
}

// place returns where a key is, -1 for nowhere.
func (a *arguments) place(key string) int {
	if a.index != nil {
		if i, ok := a.index[key]; ok {
			return i
		}
		return -1
	}
	for i := range a.members {
		if a.members[i].key == key {
			return i
		}
	}
	return -1
}

// Find returns the value of a key.
func (a *arguments) Find(key ref.Val) (ref.Val, bool) {
	name, ok := key.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(key), false
	}
	i := a.place(string(name))
	if i < 0 {
		return nil, false
	}
	v := a.value(i)
	return v, !types.IsError(v)
}

func (a *arguments) value(i int) ref.Val {
	m := &a.members[i]
	if m.value == nil {
		m.value = decode(m.at.Of(a.raw))
	}
	return m.value
}

// Get returns the value of a key, or an error value.
func (a *arguments) Get(key ref.Val) ref.Val {
	if v, ok := a.Find(key); ok || v != nil {
		return v
	}
	return types.NewErr("%s", noSuchKey)
}

// Contains reports whether a key is there.
func (a *arguments) Contains(key ref.Val) ref.Val {
	name, ok := key.(types.String)
	return types.Bool(ok && a.place(string(name)) >= 0)
}

// Size is the number of keys.
func (a *arguments) Size() ref.Val { return types.Int(len(a.members)) }

// Iterator goes through the keys.
func (a *arguments) Iterator() traits.Iterator {
	if m, ok := a.whole().(traits.Mapper); ok {
		return m.Iterator()
	}
	return types.NewStringList(types.DefaultTypeAdapter, nil).Iterator()
}

// Equal compares with another map.
func (a *arguments) Equal(other ref.Val) ref.Val { return a.whole().Equal(other) }

// ConvertToType converts to a map or names the type.
func (a *arguments) ConvertToType(t ref.Type) ref.Val { return a.whole().ConvertToType(t) }

// ConvertToNative converts to a map of Go's.
func (a *arguments) ConvertToNative(t reflect.Type) (any, error) {
	return a.whole().ConvertToNative(t)
}

// Type is a map.
func (a *arguments) Type() ref.Type { return types.MapType }

// Value is the map itself.
func (a *arguments) Value() any { return a }

// whole returns all of it decoded, or an error value.
func (a *arguments) whole() ref.Val {
	if a.all == nil {
		m := make(map[string]any, len(a.members))
		for i := range a.members {
			v := a.value(i)
			if types.IsError(v) {
				return v
			}
			m[a.members[i].key] = v
		}
		a.all = types.NewStringInterfaceMap(types.DefaultTypeAdapter, m)
	}
	return a.all
}
