package telemetry

import (
	"bytes"
	"math"
	"slices"
	"sync"
	"time"
)

// maxOpen bounds the requests under way that are known.
const maxOpen = 4096

// underway knows the spans of requests that have begun and not ended, of those that
// will be kept in memory: there are few (Keeps), and only they cost anything. The zero
// value is ready to use.
type underway struct {
	mu   sync.Mutex // guards open
	open map[*Span]struct{}
}

// begun adds a span, which is described.
func (u *underway) begun(s *Span) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.open == nil {
		u.open = make(map[*Span]struct{})
	}
	if len(u.open) < maxOpen {
		u.open[s] = struct{}{}
	}
}

// ended takes it out again.
func (u *underway) ended(s *Span) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.open, s)
}

// spans returns them as far as they have come, the first to begin first. In ended is
// the time now, and what is encoded has no end.
func (u *underway) spans() []keptSpan {
	now := time.Now()
	u.mu.Lock()
	open := make([]*Span, 0, len(u.open))
	for s := range u.open {
		open = append(open, s)
	}
	u.mu.Unlock()
	all := make([]keptSpan, 0, len(open))
	for _, s := range open {
		if raw := s.rec.soFar(); raw != nil {
			all = append(all, keptSpan{finished{
				trace: s.ref.trace, span: s.ref.span, parent: s.rec.parent, root: s.rec.root, began: s.began, ended: now, raw: raw,
			}, math.MaxUint64}) // it is yet to come
		}
	}
	slices.SortFunc(all, outermost)
	return all
}

// soFar is the message as it stands, nil for a span that has ended.
func (r *recording) soFar() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sheet == nil {
		return nil
	}
	return bytes.Clone(r.sheet.b)
}

// withOpen adds to each trace what of it is under way, and traces of which nothing has
// ended yet. open was asked for before kept: what is in both has ended since.
func withOpen(kept []traceCopy, open []keptSpan) []traceCopy {
	at := make(map[traceID]int, len(kept))
	for i, k := range kept {
		at[k.id] = i
	}
	for _, s := range open {
		i, known := at[s.trace]
		if !known {
			i = len(kept)
			at[s.trace] = i
			kept = append(kept, traceCopy{id: s.trace})
		}
		k := &kept[i]
		if !slices.ContainsFunc(k.spans, func(x keptSpan) bool { return x.span == s.span }) {
			k.spans = append(k.spans, s) // not into the ring's array: see copy
		}
	}
	return kept
}
