package router

import (
	"path"
	"strings"
)

// glob is a pattern in the syntax of path.Match, but for * and ?, which match / as
// well: a tool's name is no path, and deny: ["*"] means all.
type glob struct {
	text string // unslashed, and without the * of a prefix
	form form
}

// String is the pattern as it was written.
func (g glob) String() string {
	text := strings.ReplaceAll(g.text, "\x00", "/")
	if g.form == prefix {
		text += "*"
	}
	return text
}

// form is what a pattern comes to: most need no more than a comparison.
type form uint8

const (
	pattern form = iota // anything else
	literal             // no wildcard
	prefix              // one *, at the end
)

const meta = `*?[\`

func newGlob(text string) glob {
	text = unslashed(text)
	switch at := strings.IndexAny(text, meta); {
	case at < 0:
		return glob{text, literal}
	case at == len(text)-1 && text[at] == '*':
		return glob{text[:at], prefix}
	}
	return glob{text, pattern}
}

// match reports whether the glob matches name, which is unslashed. A pattern that
// cannot be read counts as broken.
func (g glob) match(name string, broken bool) bool {
	switch g.form {
	case literal:
		return g.text == name
	case prefix:
		return strings.HasPrefix(name, g.text)
	}
	ok, err := path.Match(g.text, name)
	return ok || err != nil && broken
}

// isGlob reports whether a pattern can be read.
func isGlob(text string) bool {
	_, err := path.Match(text, "")
	return err == nil
}

// globs is a list of patterns.
type globs []glob

func newGlobs(patterns []string) globs {
	if len(patterns) == 0 {
		return nil
	}
	g := make(globs, len(patterns))
	for i, p := range patterns {
		g[i] = newGlob(p)
	}
	return g
}

// match reports whether a pattern matches name. One that cannot be read counts as
// broken.
func (g globs) match(name string, broken bool) bool {
	if len(g) == 0 {
		return false
	}
	name = unslashed(name)
	for _, p := range g {
		if p.match(name, broken) {
			return true
		}
	}
	return false
}

func unslashed(s string) string { return strings.ReplaceAll(s, "/", "\x00") }
