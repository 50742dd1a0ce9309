package config

import (
	"slices"
	"strconv"
	"unicode/utf8"
)

// kind is what a value of a file is.
type kind uint8

const (
	null kind = iota
	boolean
	number
	text
	list
	table
)

func (k kind) String() string {
	return [...]string{"nothing", "true or false", "a number", "a string", "a list", "a table of keys"}[k]
}

// maxNodes bounds what the aliases of one YAML file may grow to; maxDepth how
// deeply a file may nest.
const (
	maxNodes = 20_000
	maxDepth = 100
)

// source is a file, or an environment variable.
type source struct {
	name string // as the user wrote it
	dir  string // what relative paths in it are relative to
	data []byte
	// hidden are the texts of its literal secrets.
	hidden []string
	starts []int // offsets of its lines, made when first needed
}

// pos is a place in a source; a line of 0 means the source as a whole. Columns
// count characters from 1.
type pos struct {
	src       *source
	line, col int
}

// node is a value of a file and where it stands.
type node struct {
	kind    kind
	at      pos
	text    string   // of a scalar, as written
	items   []*node  // of a list
	members []member // of a table, in the order of the file
	// expanded says that a variable went into text, which is never shown.
	expanded bool
}

// member is a key of a table and its value.
type member struct {
	key   string
	at    pos
	value *node
}

// find returns the value of a key, nil for none.
func (n *node) find(key string) *node {
	if m := n.member(key); m != nil {
		return m.value
	}
	return nil
}

func (n *node) member(key string) *member {
	if n == nil {
		return nil
	}
	for i := range n.members {
		if n.members[i].key == key {
			return &n.members[i]
		}
	}
	return nil
}

// take removes a key and returns it, nil for none.
func (n *node) take(key string) *member {
	for i, m := range n.members {
		if m.key == key {
			n.members = append(n.members[:i:i], n.members[i+1:]...)
			return &m
		}
	}
	return nil
}

// put sets a key, at the place of an old one if there is one.
func (n *node) put(key string, at pos, value *node) {
	if m := n.member(key); m != nil {
		m.at, m.value = at, value
		return
	}
	n.members = append(n.members, member{key, at, value})
}

// show returns a scalar as an error may show it.
func (n *node) show() string {
	if n.expanded {
		return "***"
	}
	if n.kind == number || n.kind == boolean {
		return n.text
	}
	return quote(n.text)
}

// scalars calls f for each scalar below n, with the key of the innermost table.
func (n *node) scalars(key string, f func(key string, n *node)) {
	switch n.kind {
	case list:
		for _, item := range n.items {
			item.scalars(key, f)
		}
	case table:
		for _, m := range n.members {
			m.value.scalars(m.key, f)
		}
	default:
		f(key, n)
	}
}

// quote quotes a string for an error, cut to 80 characters.
func quote(s string) string {
	if utf8.RuneCountInString(s) > 80 {
		s = string([]rune(s)[:80]) + "..."
	}
	return strconv.Quote(s)
}

// offset returns the place of a byte of the source.
func (s *source) offset(n int) pos {
	n = min(max(n, 0), len(s.data))
	if s.starts == nil {
		s.starts = []int{0}
		for i, b := range s.data {
			if b == '\n' {
				s.starts = append(s.starts, i+1)
			}
		}
	}
	line, exact := slices.BinarySearch(s.starts, n)
	if !exact {
		line--
	}
	return pos{s, line + 1, 1 + utf8.RuneCount(s.data[s.starts[line]:n])}
}

// byteAt returns the offset of a place that is a line of the source.
func (s *source) byteAt(at pos) int {
	s.offset(0) // so that the lines are known
	if at.line > len(s.starts) {
		return len(s.data)
	}
	i := s.starts[at.line-1]
	for range at.col - 1 {
		_, size := utf8.DecodeRune(s.data[i:])
		i += size
	}
	return i
}
