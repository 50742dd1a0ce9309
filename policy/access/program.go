package access

import (
	"errors"
	"fmt"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/interpreter"
)

// program is a compiled expression.
type program struct {
	prog cel.Program
	info *ast.SourceInfo
	// keys are the names that are selected, by the numbers of their nodes.
	keys map[int64]string
}

func newProgram(a *cel.Ast, prog cel.Program) *program {
	p := &program{prog: prog, info: a.NativeRep().SourceInfo(), keys: make(map[int64]string)}
	ast.PostOrderVisit(a.NativeRep().Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() == ast.SelectKind {
			p.keys[e.ID()] = e.AsSelect().FieldName()
		}
	}))
	return p
}

// What keeps a rule from being evaluated, in words that hold nothing of the call.
const (
	malformed   = "the arguments are malformed"
	notAnObject = "the arguments are not an object"
	keyTwice    = "the arguments have a key twice"
	noSuchKey   = "no such key"
	notURL      = "not a URL with a host"
	undecided   = "it is neither true nor false"
	tooDear     = "it costs more than cost_limit"
)

// plainly are the beginnings of CEL's messages, and what we say for them.
var plainly = []struct{ theirs, ours string }{
	{malformed, malformed},
	{notAnObject, notAnObject},
	{keyTwice, keyTwice},
	{notURL, notURL},
	{noSuchKey, noSuchKey},
	{"no such overload", "the types do not fit together"},
	{"type conversion error", "it cannot be converted"},
	{"error parsing regexp", "the regular expression is none"},
	{"regex program size", "the regular expression is too large"},
	{"invalid RFC 3339 timestamp", "it cannot be converted"},
	{"division by zero", "a division by zero"},
	{"modulus by zero", "a division by zero"},
	{"index out of bounds", "the list has no such item"},
	{"invalid_argument", "an argument of a function is of no use"},
	{"return error for overflow", "a number is too large"},
	{"integer overflow", "a number is too large"},
	{"unsigned integer overflow", "a number is too large"},
}

// eval evaluates the expression. The error says where in it what went wrong and
// holds nothing of the call.
func (p *program) eval(s *scope) (bool, error) {
	v, _, err := p.prog.Eval(s)
	if err != nil {
		return false, p.plain(err)
	}
	b, ok := v.(types.Bool)
	if !ok {
		return false, errors.New(undecided)
	}
	return bool(b), nil
}

// plain makes CEL's error one of ours, which goes to logs: CEL's own may quote
// arguments.
func (p *program) plain(err error) error {
	if e, ok := errors.AsType[interpreter.EvalCancelledError](err); ok && e.Cause == interpreter.CostLimitExceeded {
		return errors.New(tooDear)
	}
	what := "it failed"
	for _, w := range plainly {
		if strings.HasPrefix(err.Error(), w.theirs) {
			what = w.ours
			break
		}
	}
	e, ok := errors.AsType[*types.Err](err)
	if !ok {
		return errors.New(what)
	}
	if key := p.keys[e.NodeID()]; key != "" && what == noSuchKey {
		what += " " + key
	}
	at := p.info.GetStartLocation(e.NodeID())
	if at.Line() < 1 {
		return errors.New(what)
	}
	return fmt.Errorf("at %d:%d: %s", at.Line(), at.Column()+1, what)
}
