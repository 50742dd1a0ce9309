// Package glob matches names against the patterns of a policy's configuration. It
// starts no goroutine and keeps no state.
package glob

import (
	"path"
	"strings"
)

// List is a list of patterns in the syntax of path.Match, but for * and ?, which
// match / as well: a tool's name is no path, and "*" means all. That is how the
// tools of an upstream are filtered, too. The zero List matches nothing.
type List []string

// New returns a list of the patterns, which must be legal.
func New(patterns []string) List {
	l := make(List, len(patterns))
	for i, p := range patterns {
		l[i] = unslashed(p)
	}
	return l
}

// Match reports whether a pattern matches name.
func (l List) Match(name string) bool {
	if len(l) == 0 {
		return false
	}
	name = unslashed(name)
	for _, p := range l {
		if ok, _ := path.Match(p, name); ok {
			return true
		}
	}
	return false
}

// Legal reports whether a pattern can be read.
func Legal(pattern string) bool {
	_, err := path.Match(pattern, "")
	return err == nil && pattern != ""
}

func unslashed(s string) string { return strings.ReplaceAll(s, "/", "\x00") }
