package upstream

import (
	"slices"
	"time"
)

// Graph is the upstreams of a set and what they depend on.
type Graph struct {
	Nodes []Node // in file order
	// Order is the order of a start: by level, and in file order within one.
	Order []string
	// Critical is the longest chain of last starts that waited for each other, the
	// first to start first; CriticalTime is how long it took, from the beginning
	// of the first to the end of the last.
	Critical     []string
	CriticalTime time.Duration
}

// Node is one upstream in a Graph.
type Node struct {
	Name       string
	State      State
	Health     string
	DependsOn  []Dependency
	Dependents []string // direct ones, in file order
	// Level is 0 without dependencies, else one more than the highest of them.
	Level int
	// Took is how long its last start took without waiting for others.
	Took   time.Duration
	Stages []Stage

	ran bool // its last start got to running
}

// Graph returns the graph as it is now.
func (s *Set) Graph() Graph {
	view, now := s.view.Load(), time.Now()
	g := Graph{Nodes: make([]Node, len(view.list))}
	level := make(map[*Upstream]int, len(view.list))
	for i, u := range view.list {
		for _, on := range append(view.needs(u), u) { // each after what it depends on
			level[on] = 0
			for _, d := range on.Config().DependsOn {
				if below := view.byName[d.On]; below != nil {
					level[on] = max(level[on], level[below]+1)
				}
			}
		}
		st, p := u.Status(), u.phase.Load()
		n := Node{
			Name: u.name, State: st.State, Health: st.Health, DependsOn: slices.Clone(u.Config().DependsOn),
			Level: level[u], Stages: p.timeline(now), ran: p.ran,
		}
		for _, d := range view.dependents[u.name] {
			n.Dependents = append(n.Dependents, d.name)
		}
		n.Took = n.own()
		g.Nodes[i] = n
	}
	byLevel := make([]int, len(g.Nodes))
	for i := range byLevel {
		byLevel[i] = i
	}
	slices.SortStableFunc(byLevel, func(a, b int) int { return g.Nodes[a].Level - g.Nodes[b].Level })
	for _, i := range byLevel {
		g.Order = append(g.Order, g.Nodes[i].Name)
	}
	g.critical(byLevel)
	return g
}

// own returns how long the stages took but for the wait for others.
func (n *Node) own() (d time.Duration) {
	for _, s := range n.Stages {
		if s.Name != "dependencies" {
			d += s.Took
		}
	}
	return d
}

// met returns when a start met a condition, and how long it had taken then
// without waiting; ok is false if it did not.
func (n *Node) met(c Condition) (at time.Time, own time.Duration, ok bool) {
	for _, s := range n.Stages {
		if s.Name == "dependencies" {
			continue
		}
		at, own = s.Began.Add(s.Took), own+s.Took
		if c == ConditionStarted && s.Name == "spawn" {
			return at, own, true
		}
	}
	return at, own, c != ConditionStarted && n.ran
}

// critical finds the longest chain. order is that of a start.
func (g *Graph) critical(order []int) {
	type chain struct {
		before time.Duration // from the beginning of its first to the node's own work
		names  []string      // to the node itself
	}
	chains := make(map[string]chain, len(order))
	at := make(map[string]*Node, len(order))
	for _, i := range order {
		n := &g.Nodes[i]
		at[n.Name] = n
		var c chain
		if len(n.Stages) > 0 && n.Stages[0].Name == "dependencies" {
			// It waited until the last of them was there.
			var last time.Time
			until := n.Stages[0].Began.Add(n.Stages[0].Took)
			for _, d := range n.DependsOn {
				on := at[d.On]
				if on == nil {
					continue
				}
				if met, own, ok := on.met(d.Condition); ok && met.After(last) && !met.After(until) {
					last = met
					c = chain{chains[d.On].before + own, chains[d.On].names}
				}
			}
		}
		c.names = append(slices.Clone(c.names), n.Name)
		chains[n.Name] = c
		if whole := c.before + n.Took; whole > g.CriticalTime {
			g.CriticalTime, g.Critical = whole, c.names
		}
	}
}
