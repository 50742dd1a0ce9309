package config

import (
	"errors"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// parseTOML reads TOML. A duplicate key or table is reported and its first value
// kept.
func parseTOML(s *source, p *problems) *node {
	// The decoder knows faults (a bad escape or date) that the bare parser of
	// expressions leaves; duplicates it knows too, but only the first of them.
	var whole map[string]any
	if err := toml.Unmarshal(s.data, &whole); err != nil {
		if de := (*toml.DecodeError)(nil); errors.As(err, &de) {
			line, col := de.Position()
			p.add(pos{s, line, col}, "", "is not valid TOML: "+strings.TrimPrefix(de.Error(), "toml: "), "")
			return nil
		}
	}
	t := &tomlReader{src: s, problems: p, closed: map[*node]bool{}}
	root := &node{kind: table, at: pos{s, 1, 1}}
	current := root
	t.parser.Reset(s.data)
	for t.parser.NextExpression() {
		e := t.parser.Expression()
		switch e.Kind {
		case unstable.Table, unstable.ArrayTable:
			current = t.header(root, e)
		case unstable.KeyValue:
			t.keyValue(current, e, 0)
		}
	}
	if err := t.parser.Error(); err != nil {
		p.add(pos{src: s}, "", "is not valid TOML: "+err.Error(), "")
		return nil
	}
	return root
}

type tomlReader struct {
	parser   unstable.Parser
	src      *source
	problems *problems
	// closed are the tables that had a header, or are inline: neither may have
	// another.
	closed map[*node]bool
}

// header opens the table, or the next table of the list, that [a.b] or [[a.b]]
// names.
func (t *tomlReader) header(root *node, e *unstable.Node) *node {
	n := root
	for it := e.Key(); it.Next(); {
		k := it.Node()
		key, at := string(k.Data), t.at(k)
		m := n.member(key)
		switch {
		case it.IsLast() && e.Kind == unstable.ArrayTable:
			if m == nil {
				n.put(key, at, &node{kind: list, at: at})
				m = n.member(key)
			}
			if m.value.kind != list {
				t.problems.duplicate(at, key, m.at)
				return &node{kind: table, at: at}
			}
			item := &node{kind: table, at: at}
			m.value.items = append(m.value.items, item)
			return item
		case m == nil:
			n.put(key, at, &node{kind: table, at: at})
			m = n.member(key)
		case it.IsLast() && (m.value.kind != table || t.closed[m.value]):
			t.problems.duplicate(at, key, m.at)
			return &node{kind: table, at: at}
		}
		n = m.value
		if n.kind == list && len(n.items) > 0 {
			n = n.items[len(n.items)-1]
		}
		if n.kind != table {
			t.problems.duplicate(at, key, m.at)
			return &node{kind: table, at: at}
		}
	}
	t.closed[n] = true
	return n
}

// keyValue puts a.b = value into a table.
func (t *tomlReader) keyValue(into *node, e *unstable.Node, depth int) {
	if depth > maxDepth {
		return
	}
	for it := e.Key(); it.Next(); {
		k := it.Node()
		key, at := string(k.Data), t.at(k)
		m := into.member(key)
		switch {
		case it.IsLast() && m == nil:
			into.put(key, at, t.value(e.Value(), at, depth))
			return
		case m == nil:
			next := &node{kind: table, at: at}
			into.put(key, at, next)
			into = next
		case it.IsLast() || m.value.kind != table || t.closed[m.value]:
			t.problems.duplicate(at, key, m.at)
			return
		default:
			into = m.value
		}
	}
}

// value reads a value; at is its key's place, for the kinds whose own the parser
// does not tell.
func (t *tomlReader) value(v *unstable.Node, at pos, depth int) *node {
	out := &node{at: at, text: string(v.Data)}
	if v.Raw.Length > 0 {
		out.at = t.src.offset(int(v.Raw.Offset))
	}
	switch v.Kind {
	case unstable.Array:
		out.kind = list
		if depth > maxDepth {
			return out
		}
		for it := v.Children(); it.Next(); {
			out.items = append(out.items, t.value(it.Node(), at, depth+1))
		}
	case unstable.InlineTable:
		out.kind = table
		for it := v.Children(); it.Next(); {
			t.keyValue(out, it.Node(), depth+1)
		}
		t.closed[out] = true
	case unstable.Bool:
		out.kind = boolean
	case unstable.Integer, unstable.Float:
		out.kind = number
		if plain := strings.ReplaceAll(out.text, "_", ""); plain != out.text {
			if _, err := strconv.ParseFloat(plain, 64); err == nil {
				out.text = plain
			}
		}
	default: // a string, or a date, which no key takes
		out.kind = text
	}
	return out
}

func (t *tomlReader) at(k *unstable.Node) pos { return t.src.offset(int(k.Raw.Offset)) }
