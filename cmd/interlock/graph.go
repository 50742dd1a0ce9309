package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/spf13/cobra"
)

func (a *app) graphCommand() *cobra.Command {
	var r reach
	cmd := &cobra.Command{
		Use: "graph", GroupID: "ask", Args: cobra.NoArgs,
		Short: "Show which server depends on which",
		Long: `Shows which server depends on which: as a drawing, with the order in which they start, how
long each took at its last start, and the critical path, the chain of starts that the whole
waited for. Servers on one line of the order start side by side; they stop in reverse.

-o table is a line for each, -o dot is for Graphviz.`,
		Example: `  interlock graph
  interlock graph -o dot | dot -Tsvg > graph.svg
  interlock graph -o json | jq -r '.order[]'`,
	}
	r.flags(cmd)
	output := outputFlag(cmd, asText, asDOT)
	r.asks(cmd, func(ctx context.Context, c *admin.Client, _ []string) error {
		g, err := c.Graph(ctx)
		if err != nil {
			return err
		}
		switch *output {
		case asText:
			a.out.graph(g)
		case asDOT:
			a.out.printf("%s", dot(g))
		case asTable:
			a.out.graphTable(g)
		default:
			return a.write(*output, g)
		}
		return nil
	})
	return cmd
}

// nodesOf are the nodes of a graph by name.
func nodesOf(g *admin.Graph) map[string]admin.Node {
	nodes := make(map[string]admin.Node, len(g.Nodes))
	for _, n := range g.Nodes {
		nodes[n.Name] = n
	}
	return nodes
}

// graphTable writes a line for each upstream in the order of a start.
func (s *screen) graphTable(g *admin.Graph) {
	nodes, critical := nodesOf(g), criticalOf(g)
	var rows [][]cell
	for _, name := range g.Order {
		n := nodes[name]
		var edges []string
		for _, d := range n.DependsOn {
			edges = append(edges, edge(d))
		}
		mark := ""
		if critical[name] {
			mark = "yes"
		}
		rows = append(rows, []cell{
			{name, s.bold},
			plain(strconv.Itoa(n.Level)),
			{n.State, s.nodeColour(n)},
			plain(took(n)), plain(mark),
			plain(orDash(strings.Join(edges, ", "))), plain(orDash(strings.Join(n.Dependents, ", "))),
		})
	}
	s.table([]column{
		{"NAME", 24, 0}, {"LEVEL", 0, 2}, {"STATE", 0, 0}, {"TOOK", 0, 0}, {"CRITICAL", 0, 3}, {"DEPENDS ON", 16, 0}, {"DEPENDENTS", 16, 1},
	}, rows)
}

// took is how long a node's last start was, without waiting for others.
func took(n admin.Node) string {
	if n.Took == 0 {
		return "-"
	}
	return seconds(n.Took)
}

func (s *screen) nodeColour(n admin.Node) func(string) string {
	return s.stateColour(admin.Upstream{State: n.State, Health: n.Health})
}

// criticalOf is what the critical path goes through.
func criticalOf(g *admin.Graph) map[string]bool {
	on := map[string]bool{}
	for _, name := range g.Critical {
		on[name] = true
	}
	return on
}

// dot is the graph for Graphviz: an arrow from what depends to what it depends
// on, bold along the critical path.
func dot(g *admin.Graph) string {
	critical := map[[2]string]bool{}
	for i := 1; i < len(g.Critical); i++ {
		critical[[2]string{g.Critical[i], g.Critical[i-1]}] = true
	}
	var b strings.Builder
	b.WriteString("digraph interlock {\n  rankdir=RL;\n  node [shape=box, style=rounded];\n")
	nodes := nodesOf(g)
	for _, name := range g.Order {
		n := nodes[name]
		label := name + "\n" + n.State
		if n.Took > 0 {
			label += ", " + seconds(n.Took)
		}
		colour := map[string]string{"healthy": "darkgreen", "degraded": "orange", "unhealthy": "red"}[n.Health]
		if colour == "" {
			colour = "gray"
		}
		fmt.Fprintf(&b, "  %s [label=%s, color=%s];\n", dotQuote(name), dotQuote(label), colour)
	}
	for _, name := range g.Order {
		for _, d := range nodes[name].DependsOn {
			var looks []string
			if d.Condition == "started" {
				looks = append(looks, "label=started")
			}
			if d.Restart {
				looks = append(looks, "style=dashed")
			}
			if critical[[2]string{name, d.Name}] {
				looks = append(looks, "penwidth=2")
			}
			look := ""
			if looks != nil {
				look = " [" + strings.Join(looks, ", ") + "]"
			}
			fmt.Fprintf(&b, "  %s -> %s%s;\n", dotQuote(name), dotQuote(d.Name), look)
		}
	}
	b.WriteString("}\n")
	return b.String()
}

// dotQuote is a string of DOT.
func dotQuote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}
