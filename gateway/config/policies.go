package config

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/policy/builtin"
)

// section reports the faults of a section: *policy.FieldErrors, joined, with paths
// below it. A fault stands at its key or, if it says where in a text it is, inside
// of it.
func (l *loader) section(err error, section ...string) {
	for _, err := range flatten(err) {
		fe := (*policy.FieldError)(nil)
		if !errors.As(err, &fe) {
			continue
		}
		path := append(slices.Clip(section), fe.Path...)
		if _, err := strconv.Atoi(last(path)); err == nil && l.misspelt(path) {
			continue
		}
		at, n := l.places.find(path), l.places.value(path)
		if n != nil && fe.Line > 0 && n.kind == text {
			at = n.inside(fe.Line, max(fe.Column, 1))
		}
		l.fault(at, path, fe.Text, fe.Mend)
	}
}

// misspelt tells whether a key of the table was reported as unknown: it is the
// cause of what the table lacks.
func (l *loader) misspelt(path []string) bool {
	return slices.ContainsFunc(l.problems.errors, func(f found) bool {
		return strings.HasPrefix(f.Key, dotted(path)+".") && strings.HasPrefix(f.Text, "unknown key") || f.Key == dotted(path)
	})
}

// policyPaths makes the files that policies name relative to the file they are
// named in.
func (l *loader) policyPaths(all []builtin.Config) {
	for i := range all {
		for _, f := range all[i].Files() {
			if *f.Value != "" {
				path := append([]string{"policies", strconv.Itoa(i)}, f.Path...)
				*f.Value = l.resolve(l.places.find(path).src, *f.Value)
			}
		}
	}
}
