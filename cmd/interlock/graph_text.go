package main

import (
	"slices"
	"strings"

	"github.com/interlock-mcp/interlock/gateway/admin"
)

// graph draws the graph: who waits for whom, the start order, and the critical
// path of the last start.
func (s *screen) graph(g *admin.Graph) {
	if len(g.Nodes) == 0 {
		s.printf("no servers\n")
		return
	}
	d := drawing{s: s, nodes: nodesOf(g), order: g.Order, critical: criticalOf(g), drawn: map[string]bool{}}
	for _, name := range g.Order {
		if len(d.nodes[name].DependsOn) == 0 {
			d.node(name, "", "", "")
		}
	}
	s.printf("\n%s\n", s.bold("start order"))
	for level := 0; ; level++ {
		var side []string
		for _, name := range g.Order {
			if d.nodes[name].Level == level {
				side = append(side, name)
			}
		}
		if side == nil {
			break
		}
		s.printf("  %d  %s\n", level+1, strings.Join(side, ", "))
	}
	if len(g.Critical) == 0 {
		return
	}
	var path []string
	for _, name := range g.Critical {
		path = append(path, name+" "+took(d.nodes[name]))
	}
	s.printf("%s  %s\n  %s\n", s.bold("critical path"), seconds(g.CriticalTime), strings.Join(path, " → "))
}

// drawing is a tree being drawn. A node that several need is drawn in full below
// the last of them in the start order, and named below the others.
type drawing struct {
	s        *screen
	nodes    map[string]admin.Node
	order    []string
	critical map[string]bool
	drawn    map[string]bool
}

// node draws one below parent; lead is before its own line, pad before those of
// its dependents.
func (d *drawing) node(name, parent, lead, pad string) {
	n := d.nodes[name]
	if parent != "" && parent != d.home(n) {
		d.s.printf("%s%s %s\n", lead, name, d.s.faint("(see below "+d.home(n)+")"))
		return
	}
	if d.drawn[name] {
		return
	}
	d.drawn[name] = true
	text := d.s.bold(name) + "  " + d.s.nodeColour(n)(n.State)
	if n.Took > 0 {
		text += "  " + seconds(n.Took)
	}
	if d.critical[name] {
		text += d.s.yellow(" *")
	}
	if i := slices.IndexFunc(n.DependsOn, func(e admin.Dependency) bool { return e.Name == parent }); i >= 0 {
		if way := strings.TrimPrefix(edge(n.DependsOn[i]), parent+" "); way != parent {
			text += d.s.faint("  " + way)
		}
	}
	d.s.printf("%s%s\n", lead, text)
	below := d.dependents(n)
	for i, child := range below {
		if i < len(below)-1 {
			d.node(child, name, pad+"├── ", pad+"│   ")
		} else {
			d.node(child, name, pad+"└── ", pad+"    ")
		}
	}
}

// home is the dependency below which a node is drawn in full.
func (d *drawing) home(n admin.Node) string {
	last, at := "", -1
	for _, e := range n.DependsOn {
		if i := slices.Index(d.order, e.Name); i > at {
			last, at = e.Name, i
		}
	}
	return last
}

// dependents are the direct ones in the order of a start.
func (d *drawing) dependents(n admin.Node) []string {
	below := slices.Clone(n.Dependents)
	slices.SortFunc(below, func(a, b string) int { return slices.Index(d.order, a) - slices.Index(d.order, b) })
	return below
}
