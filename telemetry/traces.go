package telemetry

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// ErrNotKept says that no traces are kept in memory.
var ErrNotKept = errors.New("no traces are kept: telemetry.traces.keep is 0, or OTEL_SDK_DISABLED is set")

// UnknownTraceError says that no kept trace has an id that begins so.
type UnknownTraceError struct {
	Prefix string
	// Kept is how many traces there are, Most how many are kept at most, and Oldest
	// when the first of them began.
	Kept, Most int
	Oldest     time.Time
}

func (e *UnknownTraceError) Error() string {
	if e.Kept == 0 {
		return fmt.Sprintf("no trace has an id that begins with %s: none is kept yet", e.Prefix)
	}
	return fmt.Sprintf("no trace has an id that begins with %s: of the last %d that are kept (at most %d) the oldest began at %s",
		e.Prefix, e.Kept, e.Most, e.Oldest.Format(time.RFC3339))
}

// AmbiguousTraceError says that several traces have an id that begins so.
type AmbiguousTraceError struct {
	Prefix string
	IDs    []string
}

func (e *AmbiguousTraceError) Error() string {
	return fmt.Sprintf("%d traces have an id that begins with %s: %s", len(e.IDs), e.Prefix, strings.Join(e.IDs[:min(len(e.IDs), 3)], ", "))
}

// Wanted selects among the requests, and the acts of the gateway's own, that are
// kept as traces. The zero value is all of them.
type Wanted struct {
	Limit int // at most so many, the last ones; 0 is all
	// UnderWay adds requests that have not ended: what is told of them has no end.
	UnderWay bool
	// Calls is requests of clients alone, Errors those alone of which something failed.
	Calls, Errors bool
	// Upstream and Tool are names that a span of theirs has; a tool's is the one that
	// clients use, or the upstream's own.
	Upstream, Tool string
	Slower         time.Duration // took at least so long
	Since          time.Time     // began then or later
}

// Traces returns what is wanted of what is kept, the last to end first, each as one
// element of resourceSpans: the span of the request and all below it. It is JSON by
// the OTLP specification, also if nothing is. n is how many there are. The error is
// ErrNotKept.
func (t *Telemetry) Traces(w Wanted) (_ json.RawMessage, n int, err error) {
	if t == nil || t.ring == nil {
		return nil, 0, ErrNotKept
	}
	var open []keptSpan
	if w.UnderWay {
		open = t.open.spans()
	}
	kept, _ := t.ring.last(0)
	kept = withOpen(kept, open)
	var groups [][]jsonSpan
	for _, s := range w.among(kept, 0) {
		groups = append(groups, s)
		if len(groups) == w.Limit {
			break
		}
	}
	return tracesJSON(jsonResourceOf(t.resource), t.about.Version, groups), len(groups), nil
}

// NextTraces returns what of what is wanted ended after that time of the ring, each
// as an answer of Traces, the first to end first. now is for the next time, and
// changed is closed when there may be more. w.Limit and w.UnderWay are not looked at.
func (t *Telemetry) NextTraces(w Wanted, after uint64) (list []json.RawMessage, now uint64, changed <-chan struct{}, err error) {
	if t == nil || t.ring == nil {
		return nil, 0, nil, ErrNotKept
	}
	kept, now := t.ring.last(after)
	for _, s := range w.among(kept, after) {
		list = append(list, tracesJSON(jsonResourceOf(t.resource), t.about.Version, [][]jsonSpan{s}))
	}
	slices.Reverse(list)
	return list, now, t.ring.changed(now), nil
}

// TracesNow is the time from which NextTraces tells what ends from now on.
func (t *Telemetry) TracesNow() uint64 {
	if t == nil || t.ring == nil {
		return 0
	}
	return t.ring.now()
}

// among yields what is wanted of the stories whose roots came after that time, the
// last to end first.
func (w Wanted) among(kept []traceCopy, after uint64) func(func(int, []jsonSpan) bool) {
	var all []story
	for _, k := range kept {
		for _, s := range stories(k.spans) {
			if s.root.at > after && w.cheaply(&s) {
				all = append(all, s)
			}
		}
	}
	newest(all)
	return func(yield func(int, []jsonSpan) bool) {
		for i, s := range all {
			if spans := decode(s.spans); w.suits(spans) && !yield(i, spans) {
				return
			}
		}
	}
}

// cheaply is what can be said of a story without decoding it.
func (w Wanted) cheaply(s *story) bool {
	return !s.root.began.Before(w.Since) && s.root.ended.Sub(s.root.began) >= w.Slower && (!w.Errors || s.failed())
}

// suits is what can be said of its spans alone.
func (w Wanted) suits(spans []jsonSpan) bool {
	client := func(s jsonSpan) bool { return s.Kind == int32(KindServer) }
	return has(spans, AttrUpstream, w.Upstream) && has(spans, AttrTool, w.Tool) && (!w.Calls || slices.ContainsFunc(spans, client))
}

func has(spans []jsonSpan, key, value string) bool {
	return value == "" || slices.ContainsFunc(spans, func(s jsonSpan) bool {
		return slices.ContainsFunc(s.Attributes, func(kv jsonKeyValue) bool { return kv.Key == key && kv.Value["stringValue"] == value })
	})
}

// How long a trace whose request has ended must have been silent to be whole, and
// how often that is looked at.
const (
	quiet   = 50 * time.Millisecond
	lookout = 10 * time.Millisecond
)

// Trace returns all that is known of one trace, as Traces does, with what of it is
// under way: what its id begins with is enough if there is no other. It waits until a
// request of it has ended, and no span came for 50 ms, for no longer than patience or
// ctx. The error is ErrNotKept, an *UnknownTraceError or an *AmbiguousTraceError.
func (t *Telemetry) Trace(ctx context.Context, prefix string, patience time.Duration) (json.RawMessage, error) {
	if t == nil || t.ring == nil {
		return nil, ErrNotKept
	}
	begun := time.Now()
	var since time.Time // when the last span came
	var newest uint64
	for {
		now := time.Now()
		open := t.open.spans()
		k, err := t.ring.find(prefix, open)
		whole := false
		if err == nil && len(k.spans) > 0 {
			last := k.spans[len(k.spans)-1].at
			if last != newest {
				newest, since = last, now
			}
			whole = k.rooted() && now.Sub(since) >= quiet
		}
		if !whole && now.Sub(begun) < patience && ctx.Err() == nil {
			pause(ctx, lookout)
			continue
		}
		if err != nil {
			return nil, err
		}
		open = slices.DeleteFunc(open, func(s keptSpan) bool { return s.trace != k.id })
		spans := slices.Clone(withOpen([]traceCopy{k}, open)[0].spans)
		slices.SortStableFunc(spans, outermost)
		return tracesJSON(jsonResourceOf(t.resource), t.about.Version, [][]jsonSpan{decode(spans)}), nil
	}
}

// outermost puts first what began first and lasted longest: a span before what is
// below it.
func outermost(a, b keptSpan) int {
	switch {
	case !a.began.Equal(b.began):
		return a.began.Compare(b.began)
	case !a.ended.Equal(b.ended):
		return b.ended.Compare(a.ended)
	case a.root != b.root && a.root:
		return -1
	case a.root != b.root:
		return 1
	}
	return 0
}

// pause waits for so long, or for ctx.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// find returns the one trace whose id begins so, of those kept and those open. It has
// the spans that are kept, none of one that is open alone.
func (r *ring) find(prefix string, open []keptSpan) (traceCopy, error) {
	kept, _ := r.last(0)
	var found []traceCopy
	for _, k := range kept {
		if strings.HasPrefix(hex.EncodeToString(k.id[:]), prefix) {
			found = append(found, k)
		}
	}
	for _, s := range open {
		isIt := func(k traceCopy) bool { return k.id == s.trace }
		if strings.HasPrefix(hex.EncodeToString(s.trace[:]), prefix) && !slices.ContainsFunc(found, isIt) {
			found = append(found, traceCopy{id: s.trace})
		}
	}
	switch len(found) {
	case 0:
		e := &UnknownTraceError{Prefix: prefix, Kept: len(kept), Most: r.traces}
		for _, k := range kept {
			if began := k.spans[0].began; e.Oldest.IsZero() || began.Before(e.Oldest) {
				e.Oldest = began
			}
		}
		return traceCopy{}, e
	case 1:
		return found[0], nil
	}
	e := &AmbiguousTraceError{Prefix: prefix}
	for _, k := range found {
		e.IDs = append(e.IDs, hex.EncodeToString(k.id[:]))
	}
	return traceCopy{}, e
}

// rooted reports whether a request of the trace has ended.
func (k *traceCopy) rooted() bool {
	return slices.ContainsFunc(k.spans, func(s keptSpan) bool { return s.root })
}

// decode reads spans. What is none is left out: it was written by this process.
func decode(spans []keptSpan) []jsonSpan {
	out := make([]jsonSpan, 0, len(spans))
	for i := range spans {
		s := new(tracepb.Span)
		if proto.Unmarshal(spans[i].raw, s) == nil {
			out = append(out, jsonSpanOf(s))
		}
	}
	return out
}
