package main

import (
	"slices"
	"time"

	"github.com/interlock-mcp/interlock/gateway/admin"
)

// spanNode is a span and those below it.
type spanNode struct {
	*admin.Span
	below []*spanNode
	// lost says that its parent is one of this process that is not here: it has not
	// ended, or is kept no more.
	lost bool
}

// maxDepth is how deep a tree is drawn.
const maxDepth = 32

// spanTree puts spans into their places, each level in the order of time. Spans that
// name each other as parents are left out of each other.
func spanTree(spans []admin.Span) []*spanNode {
	nodes := make([]spanNode, len(spans))
	byID := make(map[string]*spanNode, len(spans))
	for i := range spans {
		nodes[i].Span = &spans[i]
		byID[spans[i].ID] = &nodes[i]
	}
	var tops []*spanNode
	for i := range nodes {
		n := &nodes[i]
		up := byID[n.Parent]
		if up == nil || circular(n, byID) {
			n.lost = up == nil && n.Parent != "" && !n.Remote
			tops = append(tops, n)
			continue
		}
		up.below = append(up.below, n)
	}
	byTime := func(a, b *spanNode) int { return a.Began.Compare(b.Began) }
	slices.SortStableFunc(tops, byTime)
	for i := range nodes {
		slices.SortStableFunc(nodes[i].below, byTime)
	}
	return tops
}

// circular reports whether the way up from n is too long, or has no end.
func circular(n *spanNode, byID map[string]*spanNode) bool {
	for range maxDepth {
		if n = byID[n.Parent]; n == nil {
			return false
		}
	}
	return true
}

// extent is when the first of the spans began and the last ended.
func extent(spans []admin.Span) (from, to time.Time) {
	for i := range spans {
		if s := &spans[i]; i == 0 {
			from, to = s.Began, s.Ended
		} else {
			if s.Began.Before(from) {
				from = s.Began
			}
			if s.Ended.After(to) {
				to = s.Ended
			}
		}
	}
	return from, to
}
