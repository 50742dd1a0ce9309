package telemetry

import (
	"bytes"
	"cmp"
	"slices"
)

// story is what became of one request of a client, or of one thing that the
// gateway did by itself: a root, and what is known of all below it, in the order in
// which it ended. A trace has many where a client makes many calls in one.
type story struct {
	root  *keptSpan
	spans []keptSpan
}

// stories takes the spans of a trace apart. Spans whose root has not ended yet are
// in none.
func stories(spans []keptSpan) []story {
	at := make(map[[8]byte]int, len(spans)) // by id
	for i := range spans {
		at[spans[i].span] = i
	}
	const unknown, none = -1, -2
	home := make([]int, len(spans)) // which story a span is in
	for i := range home {
		home[i] = unknown
	}
	var all []story
	for i := range spans {
		if spans[i].root {
			home[i] = len(all)
			all = append(all, story{root: &spans[i]})
		}
	}
	var way []int
	for i := range spans {
		way = way[:0]
		h := none
		for j := i; ; {
			if home[j] != unknown {
				h = home[j]
				break
			}
			home[j] = none // should it come by here again, it goes in a circle
			way = append(way, j)
			up, ok := at[spans[j].parent]
			if !ok {
				break
			}
			j = up
		}
		for _, j := range way {
			home[j] = h
		}
		if h >= 0 {
			all[h].spans = append(all[h].spans, spans[i])
		}
	}
	return all
}

// failed reports whether any of it did.
func (s *story) failed() bool {
	return slices.ContainsFunc(s.spans, func(k keptSpan) bool { return k.failed })
}

// newest sorts stories by the ends of their roots, the last first.
func newest(all []story) {
	slices.SortStableFunc(all, func(a, b story) int {
		return cmp.Or(b.root.ended.Compare(a.root.ended), bytes.Compare(a.root.trace[:], b.root.trace[:]))
	})
}
