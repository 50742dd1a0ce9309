package config

import (
	"errors"
	"strings"

	"github.com/interlock-mcp/interlock/upstream"
)

// graph reports dependencies that cannot be kept.
func (l *loader) graph(configs []upstream.Config) {
	for _, err := range flatten(upstream.CheckGraph(configs)) {
		var cycle *upstream.CycleError
		var dep *upstream.DependencyError
		switch {
		case errors.As(err, &cycle) && len(cycle.Names) > 1:
			on, next := cycle.Names[0], cycle.Names[1]
			l.problems.add(l.place(on, "depends_on", next), dotted([]string{"upstreams", on, "depends_on"}),
				`"depends_on" makes a cycle: `+strings.Join(cycle.Names, " -> "), "")
		case errors.As(err, &dep):
			path := []string{"upstreams", dep.Upstream, "depends_on", dep.On}
			at, what, mend := l.place(dep.Upstream, "depends_on", dep.On), "is not an upstream", ""
			if dep.Disabled {
				what, mend = "is disabled", "enable it, or remove the dependency"
			} else if len(dep.Near) > 0 {
				mend = "did you mean " + quote(dep.Near[0]) + "?"
			}
			l.fault(at, path, what, mend)
		}
	}
}
