package access

import (
	"maps"
	"slices"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
)

// variableNames are the variables that rules may read.
var variableNames = []string{"args", "method", "principal", "profile", "session", "target", "tool", "upstream"}

// variables declares them.
func variables() []cel.EnvOption {
	object := types.NewObjectType
	return []cel.EnvOption{
		cel.Variable("args", types.NewMapType(types.StringType, types.DynType)),
		cel.Variable("method", types.StringType),
		cel.Variable("principal", object("principal")),
		cel.Variable("profile", types.StringType),
		cel.Variable("session", types.StringType),
		cel.Variable("target", types.StringType),
		cel.Variable("tool", object("tool")),
		cel.Variable("upstream", object("upstream")),
	}
}

// field is a field of an object.
type field struct {
	kind *types.Type
	from func(*scope) any
	// said reports whether it was said, for has(); nil if it always is.
	said func(*scope) bool
}

// objects are the fields of the variables that are objects, by the names of their
// types. All are read off a *scope.
var objects = map[string]map[string]field{
	"principal": {
		"issuer":    {types.StringType, func(s *scope) any { return s.principal.Issuer }, nil},
		"subject":   {types.StringType, func(s *scope) any { return s.principal.Subject }, nil},
		"name":      {types.StringType, func(s *scope) any { return s.principal.Name }, nil},
		"groups":    {types.NewListType(types.StringType), func(s *scope) any { return s.principal.Groups }, nil},
		"scopes":    {types.NewListType(types.StringType), func(s *scope) any { return s.principal.Scopes }, nil},
		"anonymous": {types.BoolType, func(s *scope) any { return s.principal.Anonymous() }, nil},
	},
	"upstream": {
		"name": {types.StringType, func(s *scope) any { return s.upstream }, nil},
		"tags": {types.NewListType(types.StringType), func(s *scope) any { return s.tags }, nil},
	},
	"tool": {
		"name":        {types.StringType, func(s *scope) any { return s.toolName() }, nil},
		"exposed":     {types.StringType, func(s *scope) any { return s.toolExposed() }, nil},
		"hash":        {types.StringType, func(s *scope) any { return s.toolHash() }, nil},
		"annotations": {types.NewObjectType("annotations"), func(s *scope) any { return s }, nil},
	},
	"annotations": {
		"title": {
			types.StringType, func(s *scope) any { return s.annotations().title },
			func(s *scope) bool { return s.annotations().set&titleSaid != 0 },
		},
		"readOnlyHint": {
			types.BoolType, func(s *scope) any { return s.annotations().readOnly },
			func(s *scope) bool { return s.annotations().set&readOnlySaid != 0 },
		},
		"destructiveHint": {
			types.BoolType, func(s *scope) any { return s.annotations().destructive },
			func(s *scope) bool { return s.annotations().set&destructiveSaid != 0 },
		},
		"idempotentHint": {
			types.BoolType, func(s *scope) any { return s.annotations().idempotent },
			func(s *scope) bool { return s.annotations().set&idempotentSaid != 0 },
		},
		"openWorldHint": {
			types.BoolType, func(s *scope) any { return s.annotations().openWorld },
			func(s *scope) bool { return s.annotations().set&openWorldSaid != 0 },
		},
	},
}

func (s *scope) toolName() string {
	if !s.isTool() {
		return ""
	}
	return s.call.Target
}

func (s *scope) toolExposed() string {
	if !s.isTool() {
		return ""
	}
	return s.call.Exposed
}

func (s *scope) toolHash() string {
	if !s.isTool() || s.call.Definition == nil {
		return ""
	}
	return s.call.Definition.Hash()
}

// provider adds the objects to the types that CEL knows.
type provider struct{ types.Provider }

// FindStructType tells CEL that a type is there.
func (p provider) FindStructType(name string) (*types.Type, bool) {
	if _, ok := objects[name]; ok {
		return types.NewTypeTypeWithParam(types.NewObjectType(name)), true
	}
	return p.Provider.FindStructType(name)
}

// FindStructFieldNames returns a type's fields, sorted.
func (p provider) FindStructFieldNames(name string) ([]string, bool) {
	if names := fieldNames(name); names != nil {
		return names, true
	}
	return p.Provider.FindStructFieldNames(name)
}

// fieldNames returns the fields of an object's type, sorted, nil for another type.
func fieldNames(name string) []string { return slices.Sorted(maps.Keys(objects[name])) }

// FindStructFieldType returns the type of a field and how it is read.
func (p provider) FindStructFieldType(name, key string) (*types.FieldType, bool) {
	o, ok := objects[name]
	if !ok {
		return p.Provider.FindStructFieldType(name, key)
	}
	f, ok := o[key]
	if !ok {
		return nil, false
	}
	return &types.FieldType{
		Type:    f.kind,
		IsSet:   func(target any) bool { return f.said == nil || f.said(target.(*scope)) },
		GetFrom: func(target any) (any, error) { return f.from(target.(*scope)), nil },
	}, true
}
