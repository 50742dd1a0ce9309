package access

import (
	"net/url"
	"path"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// functions are what rules may call besides CEL's own. They answer what rules get
// wrong with string functions alone: "/tmp/../etc" begins with "/tmp".
func functions() []cel.EnvOption {
	return []cel.EnvOption{
		cel.Function("clean",
			cel.Overload("clean_string", []*cel.Type{cel.StringType}, cel.StringType, cel.UnaryBinding(clean))),
		cel.Function("within",
			cel.MemberOverload("string_within_string", []*cel.Type{cel.StringType, cel.StringType}, cel.BoolType, cel.BinaryBinding(within))),
		cel.Function("host",
			cel.Overload("host_string", []*cel.Type{cel.StringType}, cel.StringType, cel.UnaryBinding(host))),
		cel.CostModel(
			cost.Overload("clean_string",
				cost.EvalCost(cost.Sum(cost.Const(cost.CallCost), cost.StringScan(cost.Arg(0)))), cost.ResultSize(cost.AtMost(cost.Sum(cost.Arg(0), cost.Const(1))))),
			cost.MemberOverload("string_within_string",
				cost.EvalCost(cost.Sum(cost.Const(cost.CallCost), cost.StringScan(cost.Target()), cost.StringScan(cost.Arg(0))))),
			cost.Overload("host_string",
				cost.EvalCost(cost.Sum(cost.Const(cost.CallCost), cost.StringScan(cost.Arg(0)))), cost.ResultSize(cost.AtMost(cost.Arg(0)))),
		),
	}
}

// clean returns the shortest path that is the same, as path.Clean does, with /
// for each \, which separates on Windows.
func clean(v ref.Val) ref.Val {
	s, ok := v.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(v)
	}
	return types.String(cleaned(string(s)))
}

func cleaned(s string) string { return path.Clean(strings.ReplaceAll(s, `\`, "/")) }

// within reports whether a path is a folder or below it. A path that begins with ..
// is within nothing.
func within(v, folder ref.Val) ref.Val {
	s, ok := v.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(v)
	}
	f, ok := folder.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(folder)
	}
	at, top := cleaned(string(s)), cleaned(string(f))
	if at == ".." || strings.HasPrefix(at, "../") {
		return types.False
	}
	if top == "." {
		return types.Bool(!strings.HasPrefix(at, "/"))
	}
	return types.Bool(at == top || strings.HasPrefix(at, strings.TrimSuffix(top, "/")+"/"))
}

// host returns the host of a URL in lower case, without port and trailing dot. It is
// an error value for what is not a URL with a host.
func host(v ref.Val) ref.Val {
	s, ok := v.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(v)
	}
	u, err := url.Parse(string(s))
	if err != nil || u.Hostname() == "" {
		return types.NewErr("%s", notURL)
	}
	return types.String(strings.TrimSuffix(strings.ToLower(u.Hostname()), "."))
}
