package config

import (
	"errors"
	"fmt"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// parseYAML reads one YAML 1.2 document. Anchors, aliases and merge keys are
// resolved; a duplicate key is reported and its first value kept.
func parseYAML(s *source, p *problems) *node {
	f, err := parser.ParseBytes(s.data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		at := pos{src: s, line: 1, col: 1}
		what := "is not valid YAML"
		if se := (*yaml.SyntaxError)(nil); errors.As(err, &se) {
			what += ": " + se.Message
			if se.Token != nil && se.Token.Position != nil {
				at.line, at.col = se.Token.Position.Line, se.Token.Position.Column
			}
		}
		p.add(at, "", what, "")
		return nil
	}
	y := &yamlReader{src: s, problems: p, anchors: map[string]*node{}}
	var root *node
	for _, doc := range f.Docs {
		if doc.Body == nil {
			continue
		}
		if _, comment := doc.Body.(*ast.CommentGroupNode); comment {
			continue
		}
		if root != nil {
			p.add(y.at(doc.Body), "", "a second document", "a file holds one")
			break
		}
		root = y.node(doc.Body, 0)
	}
	return root
}

type yamlReader struct {
	src      *source
	problems *problems
	anchors  map[string]*node
	count    int // nodes made by aliases
}

func (y *yamlReader) at(n ast.Node) pos {
	// The token of a mapping is its first colon; the mapping begins at its key.
	switch v := n.(type) {
	case *ast.MappingNode:
		if !v.IsFlowStyle && len(v.Values) > 0 {
			return y.at(v.Values[0])
		}
	case *ast.MappingValueNode:
		return y.at(v.Key)
	}
	return y.token(n.GetToken())
}

func (y *yamlReader) token(t *token.Token) pos {
	if t == nil || t.Position == nil {
		return pos{src: y.src, line: 1, col: 1}
	}
	return pos{y.src, t.Position.Line, t.Position.Column}
}

func (y *yamlReader) node(n ast.Node, depth int) *node {
	if n == nil {
		return &node{at: pos{src: y.src, line: 1, col: 1}}
	}
	at := y.at(n)
	if depth > maxDepth {
		y.problems.add(at, "", "is nested too deeply", "")
		return &node{at: at}
	}
	switch v := n.(type) {
	case *ast.MappingNode:
		return y.table(at, v.Values, depth)
	case *ast.MappingValueNode:
		return y.table(at, []*ast.MappingValueNode{v}, depth)
	case *ast.SequenceNode:
		out := &node{kind: list, at: at}
		for _, item := range v.Values {
			out.items = append(out.items, y.node(item, depth+1))
		}
		return out
	case *ast.AnchorNode:
		out := y.node(v.Value, depth+1)
		y.anchors[name(v.Name)] = out
		return out
	case *ast.AliasNode:
		return y.alias(at, name(v.Value), depth)
	case *ast.TagNode:
		out := y.node(v.Value, depth+1)
		if v.Start.Value == "!!str" && out.kind <= number {
			out.kind = text
		}
		return out
	case *ast.StringNode:
		return &node{kind: text, at: at, text: v.Value}
	case *ast.LiteralNode:
		return &node{kind: text, at: at, text: v.Value.Value}
	case *ast.BoolNode:
		return &node{kind: boolean, at: at, text: fmt.Sprint(v.Value)}
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return &node{kind: number, at: at, text: n.GetToken().Value}
	case *ast.NullNode:
		return &node{at: at}
	}
	y.problems.add(at, "", "is not understood here", "")
	return &node{at: at}
}

func name(n ast.Node) string {
	if n == nil || n.GetToken() == nil {
		return ""
	}
	return n.GetToken().Value
}

func (y *yamlReader) alias(at pos, name string, depth int) *node {
	target, ok := y.anchors[name]
	if !ok {
		y.problems.add(at, "", "no anchor "+quote(name)+" comes before this", "")
		return &node{at: at}
	}
	return y.copy(target, at, depth)
}

// copy copies what an alias stands for, so that no two keys share a node.
func (y *yamlReader) copy(n *node, at pos, depth int) *node {
	y.count++
	if y.count == maxNodes || depth > maxDepth {
		y.problems.add(at, "", "the aliases of this file grow too large", "")
	}
	if y.count >= maxNodes || depth > maxDepth {
		return &node{at: at}
	}
	out := *n
	out.items, out.members = nil, nil
	for _, item := range n.items {
		out.items = append(out.items, y.copy(item, at, depth+1))
	}
	for _, m := range n.members {
		out.members = append(out.members, member{m.key, m.at, y.copy(m.value, at, depth+1)})
	}
	return &out
}

func (y *yamlReader) table(at pos, values []*ast.MappingValueNode, depth int) *node {
	out := &node{kind: table, at: at}
	var merged []*node
	for _, v := range values {
		if v.Key.IsMergeKey() {
			merged = append(merged, y.node(v.Value, depth+1))
			continue
		}
		keyAt := y.at(v.Key)
		key, ok := y.key(v.Key, depth)
		if !ok {
			y.problems.add(keyAt, "", "a key must be a string", "")
			continue
		}
		value := y.node(v.Value, depth+1)
		if first := out.member(key); first != nil {
			y.problems.duplicate(keyAt, key, first.at)
			continue
		}
		out.members = append(out.members, member{key, keyAt, value})
	}
	for _, m := range merged {
		y.merge(out, m)
	}
	return out
}

func (y *yamlReader) key(k ast.MapKeyNode, depth int) (string, bool) {
	var n ast.Node = k
	if explicit, ok := k.(*ast.MappingKeyNode); ok {
		n = explicit.Value
	}
	if n == nil {
		return "", false
	}
	out := y.node(n, depth+1)
	return out.text, out.kind == text || out.kind == number || out.kind == boolean
}

// merge puts the keys of a merge key's value where t has none of its own.
func (y *yamlReader) merge(t, from *node) {
	switch from.kind {
	case list:
		for _, item := range from.items {
			y.merge(t, item)
		}
	case table:
		for _, m := range from.members {
			if t.member(m.key) == nil {
				t.members = append(t.members, m)
			}
		}
	case null:
	default:
		y.problems.add(from.at, "", "only a table of keys can be merged", "")
	}
}
