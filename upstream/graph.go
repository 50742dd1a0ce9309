package upstream

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// CycleError is a dependency cycle. Names are in the order of the edges (each
// depends on the next), and the first is repeated at the end.
type CycleError struct{ Names []string }

func (e *CycleError) Error() string {
	return "depends_on makes a cycle: " + strings.Join(e.Names, " -> ")
}

// DependencyError is an edge to an upstream that is not there, or is disabled.
type DependencyError struct {
	// Upstream has the edge; On is what it names.
	Upstream, On string
	// Disabled says that On is in the file, with enabled: false.
	Disabled bool
	// Near are the nearest names that could have been meant, best first.
	Near []string
}

func (e *DependencyError) Error() string {
	s := fmt.Sprintf("%s depends on %q, which is ", e.Upstream, e.On)
	if e.Disabled {
		return s + "disabled"
	}
	s += "not an upstream"
	if len(e.Near) > 0 {
		s += fmt.Sprintf(" (did you mean %q?)", e.Near[0])
	}
	return s
}

// CheckGraph returns every fault of the dependencies among the enabled
// configurations, joined: each a *DependencyError or, for the first cycle found,
// a *CycleError. Disabled configurations have no edges.
func CheckGraph(configs []Config) error {
	var errs []error
	known := make(map[string]bool, len(configs)) // to enabled
	for i := range configs {
		known[configs[i].Name] = configs[i].Enabled
	}
	for i := range configs {
		c := &configs[i]
		if !c.Enabled {
			continue
		}
		for _, d := range c.DependsOn {
			enabled, ok := known[d.On]
			switch {
			case !ok:
				errs = append(errs, &DependencyError{Upstream: c.Name, On: d.On, Near: nearest(d.On, c.Name, known)})
			case !enabled:
				errs = append(errs, &DependencyError{Upstream: c.Name, On: d.On, Disabled: true})
			}
		}
	}
	for _, cycle := range findCycles(configs) {
		errs = append(errs, &CycleError{Names: cycle})
	}
	return errors.Join(errs...)
}

// edgesOf returns what each enabled upstream depends on.
func edgesOf(configs []Config) map[string][]string {
	edges := make(map[string][]string, len(configs))
	for i := range configs {
		if !configs[i].Enabled {
			continue
		}
		for _, d := range configs[i].DependsOn {
			edges[configs[i].Name] = append(edges[configs[i].Name], d.On)
		}
	}
	return edges
}

// findCycles returns cycles in file order, each with its first name repeated at the
// end. When none of them is left, there is none.
func findCycles(configs []Config) [][]string {
	edges := edgesOf(configs)
	const (
		onPath = 1
		done   = 2
	)
	mark := make(map[string]int)
	var path []string
	var cycles [][]string
	var visit func(name string)
	visit = func(name string) {
		mark[name] = onPath
		path = append(path, name)
		for _, on := range edges[name] {
			switch mark[on] {
			case onPath:
				cycles = append(cycles, append(slices.Clone(path[slices.Index(path, on):]), on))
			case done:
			default:
				visit(on)
			}
		}
		path = path[:len(path)-1]
		mark[name] = done
	}
	for i := range configs {
		if mark[configs[i].Name] == 0 {
			visit(configs[i].Name)
		}
	}
	return cycles
}

// nearest returns at most three known names close to name, best first.
func nearest(name, self string, known map[string]bool) []string {
	type near struct {
		name string
		d    int
	}
	var out []near
	for k := range known {
		if d := distance(name, k); k != self && d <= max(2, len(name)/3) {
			out = append(out, near{k, d})
		}
	}
	slices.SortFunc(out, func(a, b near) int { return cmp.Or(a.d-b.d, strings.Compare(a.name, b.name)) })
	names := make([]string, min(len(out), 3))
	for i := range names {
		names[i] = out[i].name
	}
	return names
}

// distance is the Levenshtein distance of a and b, in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

// Near returns at most three names of the set close to name, best first.
func (s *Set) Near(name string) []string {
	known := make(map[string]bool)
	for n := range s.view.Load().byName {
		known[n] = true
	}
	return nearest(name, "", known)
}
