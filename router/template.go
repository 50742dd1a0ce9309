package router

import (
	"errors"
	"fmt"
	"strings"
)

// template is a URI template (RFC 6570, as far as MCP servers use it) ready to
// be matched.
type template struct {
	text    string
	head    string // the literal text before the first expression
	parts   []part // what follows
	literal int    // how many characters are literal
	route   *Route
}

// part is literal text or, if literal is "", an expression.
type part struct {
	literal string
	class   *class
}

// class is what an expression may stand for: first, then any characters but
// those in stop.
type class struct {
	first    string
	stop     string
	optional bool // it may stand for nothing
}

// Bounds of templates. A lookup may try all of an upstream's, each in time
// linear in the URI and in the number of its parts.
const (
	maxTemplates   = 200 // of one upstream
	maxTemplate    = 2048
	maxExpressions = 10
	maxMatch       = 2048 // of a URI; longer ones match no template
)

// classes are the expressions by their operator (RFC 6570 section 3.2). Values
// without an operator have reserved characters percent-encoded, so that they
// end at the next one of a URI's structure.
var classes = map[byte]*class{
	0:   {stop: "/?#"},
	'+': {},
	'#': {first: "#", optional: true},
	'.': {first: ".", stop: "/?#", optional: true},
	'/': {first: "/", stop: "?#", optional: true},
	';': {first: ";", stop: "/?#", optional: true},
	'?': {first: "?", stop: "#", optional: true},
	'&': {first: "&", stop: "#", optional: true},
}

// newTemplate parses text. The error says what is wrong with it.
func newTemplate(text string) (*template, error) {
	if len(text) > maxTemplate {
		return nil, fmt.Errorf("is longer than %d characters", maxTemplate)
	}
	t := &template{text: text}
	rest := text
	for n := 0; ; n++ {
		literal, after, found := strings.Cut(rest, "{")
		if strings.Contains(literal, "}") {
			return nil, errors.New("has a } without a {")
		}
		t.literal += len(literal)
		switch {
		case n == 0:
			t.head = literal
		case literal != "":
			t.parts = append(t.parts, part{literal: literal})
		}
		if !found {
			return t, nil
		}
		if n == maxExpressions {
			return nil, fmt.Errorf("has more than %d expressions", maxExpressions)
		}
		inside, tail, found := strings.Cut(after, "}")
		if !found {
			return nil, errors.New("has a { without a }")
		}
		c, err := expression(inside)
		if err != nil {
			return nil, err
		}
		t.parts = append(t.parts, part{class: c})
		rest = tail
	}
}

// expression returns what {inside} may stand for.
func expression(inside string) (*class, error) {
	var op byte
	names := inside
	if inside != "" && strings.IndexByte("+#./;?&", inside[0]) >= 0 {
		op, names = inside[0], inside[1:]
	}
	for name := range strings.SplitSeq(names, ",") {
		name, _, _ = strings.Cut(strings.TrimSuffix(name, "*"), ":")
		if name == "" || strings.ContainsAny(name, "{}/?#&=;|!@ *\"'<>\\^`") {
			return nil, fmt.Errorf("has an expression that RFC 6570 does not know: {%s}", printable(inside))
		}
	}
	return classes[op], nil
}

// match reports whether uri is an expansion of t. It goes through the parts
// once, keeping the set of places in uri where the parts so far may end, so that
// no URI makes it backtrack.
func (t *template) match(uri string) bool {
	if len(uri) > maxMatch || !strings.HasPrefix(uri, t.head) {
		return false
	}
	var a, b [maxMatch + 1]bool
	at, next := a[:len(uri)+1], b[:len(uri)+1]
	at[len(t.head)] = true
	low := len(t.head) // no place before it is in the set
	for _, p := range t.parts {
		clear(next[low:])
		if p.class == nil {
			p.literally(uri, at, next, low)
		} else {
			p.class.expand(uri, at, next, low)
		}
		at, next = next, at
		for low < len(at) && !at[low] {
			low++
		}
		if low == len(at) {
			return false
		}
	}
	return at[len(uri)]
}

func (p *part) literally(uri string, at, next []bool, low int) {
	for i := low; i+len(p.literal) <= len(uri); i++ {
		if at[i] && uri[i:i+len(p.literal)] == p.literal {
			next[i+len(p.literal)] = true
		}
	}
}

func (c *class) expand(uri string, at, next []bool, low int) {
	inside := false // whether a value that began earlier can go on
	for i := low; ; i++ {
		if at[i] && c.optional {
			next[i] = true
		}
		if i == len(uri) {
			return
		}
		goes := strings.IndexByte(c.stop, uri[i]) < 0
		inside = goes && (inside || at[i] && c.first == "") || at[i] && c.first != "" && uri[i] == c.first[0]
		if inside {
			next[i+1] = true
		}
	}
}
