package config

import (
	"slices"
	"strings"
)

// environment reads overrides such as INTERLOCK_SERVER__LISTEN as one more
// layer, the last: "__" stands between the keys of a path, and a list is written
// with commas. INTERLOCK_STATE_DIR is the only one of a single key; other
// INTERLOCK_ variables without "__" mean other things.
func (l *loader) environment() {
	root := &node{kind: table}
	for _, name := range sortedKeys(l.env) {
		rest, ok := strings.CutPrefix(name, "INTERLOCK_")
		if !ok || !strings.Contains(rest, "__") && rest != "STATE_DIR" {
			continue
		}
		s := &source{name: name}
		l.sources = append(l.sources, s)
		at := pos{src: s}
		path := strings.Split(rest, "__")
		for i := range path {
			path[i] = strings.ToLower(path[i])
		}
		if path[0] == "upstreams" && len(path) > 1 {
			path[1] = l.upstreamOf(path[1])
		}
		into := root
		for _, key := range path[:len(path)-1] {
			next := into.find(key)
			if next == nil || next.kind != table {
				next = &node{kind: table, at: at}
				into.put(key, at, next)
			}
			into = next
		}
		into.put(path[len(path)-1], at, &node{kind: text, at: at, text: l.env[name], expanded: true})
		l.secrets = append(l.secrets, l.env[name])
	}
	if len(root.members) > 0 {
		l.layer(root)
	}
}

// upstreamOf returns the upstream that a variable's name means: names hold
// letters of both cases, dots and dashes, which variables do not.
func (l *loader) upstreamOf(word string) string {
	plain := func(s string) string {
		return strings.NewReplacer("-", "_", ".", "_").Replace(strings.ToLower(s))
	}
	if i := slices.IndexFunc(l.names, func(n string) bool { return plain(n) == word }); i >= 0 {
		return l.names[i]
	}
	return word
}
