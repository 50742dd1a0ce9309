package router

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// template is a URI template (RFC 6570, as far as MCP servers use it) ready to
// be matched. Matching takes time linear in the URI: the expression is one of
// Go's, which do not backtrack.
type template struct {
	text    string
	head    string // the literal text before the first expression
	literal int    // how many characters are literal
	expr    *regexp.Regexp
	route   *Route
}

// Bounds of a template.
const (
	maxTemplate    = 2048
	maxExpressions = 32
)

// operators say which texts an expression may stand for, by its operator
// (RFC 6570 section 3.2). Values without an operator have reserved characters
// percent-encoded, so that they end at the next one of a URI's structure.
var operators = map[byte]string{
	0:   `[^/?#]+`,
	'+': `.+`,
	'#': `(?:#.*)?`,
	'.': `(?:\.[^/?#]*)?`,
	'/': `(?:/[^?#]*)?`,
	';': `(?:;[^/?#]*)?`,
	'?': `(?:\?[^#]*)?`,
	'&': `(?:&[^#]*)?`,
}

// newTemplate parses text. The error says what is wrong with it.
func newTemplate(text string) (*template, error) {
	if len(text) > maxTemplate {
		return nil, fmt.Errorf("is longer than %d characters", maxTemplate)
	}
	t := &template{text: text}
	var expr strings.Builder
	expr.WriteString(`(?s)\A`)
	rest := text
	for n := 0; ; n++ {
		literal, after, found := strings.Cut(rest, "{")
		if strings.Contains(literal, "}") {
			return nil, errors.New("has a } without a {")
		}
		if n == 0 {
			t.head = literal
		}
		t.literal += len(literal)
		expr.WriteString(regexp.QuoteMeta(literal))
		if !found {
			break
		}
		if n == maxExpressions {
			return nil, fmt.Errorf("has more than %d expressions", maxExpressions)
		}
		inside, tail, found := strings.Cut(after, "}")
		if !found {
			return nil, errors.New("has a { without a }")
		}
		class, err := expression(inside)
		if err != nil {
			return nil, err
		}
		expr.WriteString(class)
		rest = tail
	}
	expr.WriteString(`\z`)
	var err error
	if t.expr, err = regexp.Compile(expr.String()); err != nil {
		return nil, errors.New("cannot be matched")
	}
	return t, nil
}

// expression returns the expression that matches what {inside} stands for.
func expression(inside string) (string, error) {
	var op byte
	if inside != "" && strings.IndexByte("+#./;?&", inside[0]) >= 0 {
		op, inside = inside[0], inside[1:]
	}
	for name := range strings.SplitSeq(inside, ",") {
		name, _, _ = strings.Cut(strings.TrimSuffix(name, "*"), ":")
		if name == "" || strings.ContainsAny(name, "{}/?#&=;|!@ *\"'<>\\^`") {
			return "", fmt.Errorf("has an expression that RFC 6570 does not know: {%s}", printable(inside))
		}
	}
	return operators[op], nil
}

func (t *template) match(uri string) bool {
	return strings.HasPrefix(uri, t.head) && t.expr.MatchString(uri)
}
