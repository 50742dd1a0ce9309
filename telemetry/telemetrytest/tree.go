package telemetrytest

import (
	"cmp"
	"slices"
	"strings"
)

// Spans returns all spans, in the order in which they came.
func (c *Collector) Spans() []*Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.spans)
}

// Named returns the spans of that name, in the order in which they came.
func (c *Collector) Named(name string) []*Span {
	return slices.DeleteFunc(c.Spans(), func(s *Span) bool { return s.Name != name })
}

// One returns the only span of that kind and name. It fails the test if there is
// none, or several, and shows what there is.
func (c *Collector) One(kind, name string) *Span {
	c.t.Helper()
	all := slices.DeleteFunc(c.Named(name), func(s *Span) bool { return s.Kind != kind })
	if len(all) != 1 {
		c.t.Fatalf("there are %d %s spans %q; the traces are\n%s", len(all), kind, name, c.All())
	}
	return all[0]
}

// Trace returns the spans of a trace by their beginning.
func (c *Collector) Trace(id string) []*Span {
	all := slices.DeleteFunc(c.Spans(), func(s *Span) bool { return s.Trace != id })
	slices.SortStableFunc(all, func(a, b *Span) int { return a.Began.Compare(b.Began) })
	return all
}

// Traces returns the ids of all traces, by the beginning of their first span.
func (c *Collector) Traces() []string {
	all := c.Spans()
	slices.SortStableFunc(all, func(a, b *Span) int { return a.Began.Compare(b.Began) })
	var ids []string
	for _, s := range all {
		if !slices.Contains(ids, s.Trace) {
			ids = append(ids, s.Trace)
		}
	}
	return ids
}

// Children returns the spans right below s, by their beginning.
func (c *Collector) Children(s *Span) []*Span {
	return slices.DeleteFunc(c.Trace(s.Trace), func(x *Span) bool { return x.Parent != s.ID })
}

// Child returns the only span of that name right below s; else it fails the test.
func (c *Collector) Child(s *Span, name string) *Span {
	c.t.Helper()
	all := slices.DeleteFunc(c.Children(s), func(x *Span) bool { return x.Name != name })
	if len(all) != 1 {
		c.t.Fatalf("there are %d spans %q right below %q:\n%s", len(all), name, s.Name, c.Tree(s.Trace))
	}
	return all[0]
}

// Linked returns the span that a link leads to, nil if it has not come.
func (c *Collector) Linked(l Link) *Span {
	for _, s := range c.Spans() {
		if s.Trace == l.Trace && s.ID == l.ID {
			return s
		}
	}
	return nil
}

// Tree shows a trace: one line for each span, KIND name, below its parent and by
// its name among its brothers, so that it does not depend on the clock. A span whose
// parent has not come is a root.
func (c *Collector) Tree(id string) string {
	all := c.Trace(id)
	there := make(map[string]bool)
	for _, s := range all {
		there[s.ID] = true
	}
	slices.SortStableFunc(all, func(a, b *Span) int { return cmp.Compare(a.Name, b.Name) })
	var b strings.Builder
	var show func(parent string, depth int)
	show = func(parent string, depth int) {
		for _, s := range all {
			if s.Parent != parent && (parent != "" || there[s.Parent]) {
				continue
			}
			b.WriteString(strings.Repeat("  ", depth) + s.Kind + " " + s.Name)
			if s.Failed {
				b.WriteString(" !" + s.Attr("error.type"))
			}
			b.WriteByte('\n')
			show(s.ID, depth+1)
		}
	}
	show("", 0)
	return b.String()
}

// All shows all traces, each as Tree does.
func (c *Collector) All() string {
	var all []string
	for _, id := range c.Traces() {
		all = append(all, c.Tree(id))
	}
	return strings.Join(all, "\n")
}
