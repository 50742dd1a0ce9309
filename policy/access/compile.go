package access

import (
	"fmt"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"

	"github.com/interlock-mcp/interlock/policy"
)

// compiler compiles rules.
type compiler struct {
	env   *cel.Env
	limit uint64
}

// What bounds an expression: its characters, and the instructions of a regular
// expression, which may come out of arguments.
const (
	maxExpression = 10_000
	maxRegexp     = 10_000
)

func newCompiler(limit uint64) (*compiler, error) {
	opts := append([]cel.EnvOption{
		cel.OptionalTypes(), withObjects,
		cel.CrossTypeNumericComparisons(true), cel.ParserExpressionSizeLimit(maxExpression), cel.RegexProgramSizeLimit(maxRegexp),
		cel.ASTValidators(cel.ValidateRegexLiterals(), cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals()),
	}, variables()...)
	env, err := cel.NewEnv(append(opts, functions()...)...)
	if err != nil {
		return nil, fmt.Errorf("cel: %w", err)
	}
	return &compiler{env, limit}, nil
}

// withObjects adds our objects to the types that there are.
func withObjects(e *cel.Env) (*cel.Env, error) {
	return cel.CustomTypeProvider(provider{e.CELTypeProvider()})(e)
}

// compile compiles an expression. The fault says where in it what is wrong; its path
// is the caller's.
func (c *compiler) compile(text string) (*program, *policy.FieldError) {
	ast, issues := c.env.Compile(text)
	if issues != nil && len(issues.Errors()) > 0 {
		return nil, fault(text, issues.Errors()[0])
	}
	// What comes out of args has no type until it is there.
	if kind := ast.OutputType(); !kind.IsExactType(types.BoolType) && !kind.IsExactType(types.DynType) {
		return nil, &policy.FieldError{
			Text: fmt.Sprintf("is of type %s, and a rule must be true or false", kind),
			Mend: "compare it with something", Line: 1, Column: 1,
		}
	}
	estimate, err := c.env.EstimateCost(ast, sizes{})
	if err != nil {
		return nil, &policy.FieldError{Text: "has no cost that could be told: " + err.Error()}
	}
	if estimate.Max > c.limit {
		return nil, &policy.FieldError{
			Text: fmt.Sprintf("may cost %s with lists of %d items, and cost_limit is %d", amount(estimate.Max), usualSize, c.limit),
			Mend: "nest fewer loops, or raise cost_limit", Line: 1, Column: 1,
		}
	}
	prog, err := c.env.Program(ast, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(c.limit))
	if err != nil {
		return nil, &policy.FieldError{Text: "cannot be used: " + err.Error()}
	}
	return newProgram(ast, prog), nil
}

// amount is a cost as people read it: CEL's estimates end at the largest number.
func amount(cost uint64) string {
	if cost > 1e12 {
		return "more than a trillion"
	}
	return fmt.Sprint(cost)
}
