package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// keysOf returns the keys of a struct's file form and their types.
func keysOf(t reflect.Type) map[string]reflect.Type {
	out := map[string]reflect.Type{}
	for f := range t.Fields() {
		key, option, _ := strings.Cut(f.Tag.Get("koanf"), ",")
		switch {
		case option == "squash":
			maps.Copy(out, keysOf(f.Type))
		case key != "" && key != "-":
			out[key] = f.Type
		}
	}
	return out
}

func sortedKeys[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }

func child(path []string, key string) []string { return append(slices.Clip(path), key) }

func dotted(path []string) string { return strings.Join(path, ".") }

func last(path []string) string {
	if len(path) == 0 {
		return "the file"
	}
	return path[len(path)-1]
}

// plain returns the tree as koanf's plain values, without nulls.
func (n *node) plain() any {
	switch n.kind {
	case table:
		out := map[string]any{}
		for _, m := range n.members {
			if m.value.kind != null {
				out[m.key] = m.value.plain()
			}
		}
		return out
	case list:
		out := make([]any, len(n.items))
		for i, item := range n.items {
			out[i] = item.plain()
		}
		return out
	}
	return n.text
}

// places remembers where each key and value of the merged configuration stands:
// in the last layer that has it.
type places struct {
	keys   map[string]pos
	values map[string]*node
}

func newPlaces() *places { return &places{map[string]pos{}, map[string]*node{}} }

// separator joins paths where keys hold dots.
const separator = "\x1f"

func (p *places) set(path []string, n *node)   { p.values[strings.Join(path, separator)] = n }
func (p *places) setKey(path []string, at pos) { p.keys[strings.Join(path, separator)] = at }
func (p *places) value(path []string) *node    { return p.values[strings.Join(path, separator)] }
func (p *places) key(path []string) (pos, bool) {
	at, ok := p.keys[strings.Join(path, separator)]
	return at, ok
}

// subject names what a fault is of: the key, or the item of a list.
func (p *places) subject(path []string) string {
	key := last(path)
	if n, err := strconv.Atoi(key); err == nil && len(path) > 1 {
		if _, ok := p.key(path); !ok {
			return fmt.Sprintf("item %d of %s", n+1, p.subject(path[:len(path)-1]))
		}
	}
	return quote(key)
}

// find returns the place of a value, or of the nearest thing around it.
func (p *places) find(path []string) pos {
	for ; len(path) > 0; path = path[:len(path)-1] {
		n := p.value(path)
		at, keyed := p.key(path)
		switch {
		case n != nil && (n.kind < list || !keyed): // an item of a list has no key of its own
			return n.at
		case keyed:
			return at
		}
	}
	return pos{}
}
