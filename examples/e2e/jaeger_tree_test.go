//go:build jaeger

package e2e

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// otlpTraces is OTLP as JSON, as far as it is looked at.
type otlpTraces struct {
	ResourceSpans []struct {
		Resource   struct{ Attributes attributes }
		ScopeSpans []struct {
			Scope struct{ Name, Version string }
			Spans []*otlpSpan
		}
	}
}

// otlpSpan is a span.
type otlpSpan struct {
	TraceID, SpanID, ParentSpanID string
	Name                          string
	Kind                          kind
	Start                         string `json:"startTimeUnixNano"`
	End                           string `json:"endTimeUnixNano"`
	Attributes                    attributes
	Events                        []struct {
		Name       string
		Attributes attributes
	}
	Links []struct {
		TraceID, SpanID string
		Attributes      attributes
	}
	Status struct {
		Code    int
		Message string
	}

	service string
}

// kind is a span's, as OTLP counts them.
type kind int

const (
	internalSpan kind = 1 + iota
	serverSpan
	clientSpan
)

// attributes are those of OTLP, as text.
type attributes map[string]string

func (a *attributes) UnmarshalJSON(raw []byte) error {
	var all []struct {
		Key   string
		Value map[string]any
	}
	if err := json.Unmarshal(raw, &all); err != nil {
		return err
	}
	*a = attributes{}
	for _, x := range all {
		for _, v := range x.Value {
			(*a)[x.Key] = fmt.Sprint(v)
		}
	}
	return nil
}

func (o otlpTraces) spans() (all []*otlpSpan) {
	for _, r := range o.ResourceSpans {
		for _, s := range r.ScopeSpans {
			for _, n := range s.Spans {
				n.service = r.Resource.Attributes["service.name"]
				all = append(all, n)
			}
		}
	}
	slices.SortFunc(all, func(a, b *otlpSpan) int { return cmp.Compare(nanos(a.Start), nanos(b.Start)) })
	return all
}

func nanos(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64)
	return n
}

// tree are the spans of one trace, or of several, in the order of their starts.
type tree struct {
	spans []*otlpSpan
	raw   string
}

// String draws it, for failures.
func (of tree) String() string {
	var b strings.Builder
	there := map[string]bool{}
	for _, n := range of.spans {
		there[n.SpanID] = true
	}
	var draw func(n *otlpSpan, depth int)
	draw = func(n *otlpSpan, depth int) {
		fmt.Fprintf(&b, "%s%s (%d) %.1f ms", strings.Repeat("  ", depth), n.Name, n.Kind, float64(nanos(n.End)-nanos(n.Start))/1e6)
		for _, k := range slices.Sorted(maps.Keys(n.Attributes)) {
			fmt.Fprintf(&b, " %s=%s", k, n.Attributes[k])
		}
		for _, l := range n.Links {
			fmt.Fprintf(&b, " ->%s/%s %v", l.TraceID, l.SpanID, l.Attributes)
		}
		for _, e := range n.Events {
			fmt.Fprintf(&b, " !%s %v", e.Name, e.Attributes)
		}
		fmt.Fprintf(&b, " [%s/%s below %s]\n", n.TraceID, n.SpanID, n.ParentSpanID)
		for _, c := range of.spans {
			if c.ParentSpanID == n.SpanID {
				draw(c, depth+1)
			}
		}
	}
	for _, n := range of.spans {
		if !there[n.ParentSpanID] {
			draw(n, 0)
		}
	}
	return b.String()
}

// has is for what waits: it reports whether there are spans of all these names.
func has(names ...string) func(tree) bool {
	return func(t tree) bool {
		for _, name := range names {
			if !slices.ContainsFunc(t.spans, func(n *otlpSpan) bool { return n.Name == name }) {
				return false
			}
		}
		return true
	}
}

// below returns the only span of that name and kind below a parent, which is a
// span's id, "" for a root.
func (of tree) below(t *testing.T, parent string, k kind, name string) *otlpSpan {
	t.Helper()
	var found []*otlpSpan
	for _, n := range of.spans {
		if n.ParentSpanID == parent && n.Kind == k && n.Name == name {
			found = append(found, n)
		}
	}
	if len(found) != 1 {
		t.Fatalf("there are %d spans %q of kind %d below %q, want 1:\n%s", len(found), name, k, parent, of)
	}
	return found[0]
}

// children are the names of the spans below one, in the order of their starts.
func (of tree) children(parent *otlpSpan) (names []string) {
	for _, n := range of.spans {
		if n.ParentSpanID == parent.SpanID {
			names = append(names, n.Name)
		}
	}
	return names
}

// last is the span below n that began last, nil if there is none.
func (of tree) last(n *otlpSpan) (last *otlpSpan) {
	for _, c := range of.spans {
		if c.ParentSpanID == n.SpanID {
			last = c
		}
	}
	return last
}

// says checks attributes. "*" is any value but none, "" is none.
func (n *otlpSpan) says(t *testing.T, want map[string]string) {
	t.Helper()
	for _, k := range slices.Sorted(maps.Keys(want)) {
		got, ok := n.Attributes[k]
		switch w := want[k]; {
		case w == "" && ok, w == "*" && got == "", w != "" && w != "*" && got != w:
			t.Errorf("%s of %q is %q, want %q; it has %v", k, n.Name, got, w, n.Attributes)
		}
	}
}

// links are the spans that n is linked to with that meaning.
func (n *otlpSpan) links(meaning string) (to []ref) {
	for _, l := range n.Links {
		if l.Attributes["interlock.link"] == meaning {
			to = append(to, ref{l.TraceID, l.SpanID})
		}
	}
	return to
}

// link returns the only link of n of that meaning.
func (n *otlpSpan) link(t *testing.T, meaning string) ref {
	t.Helper()
	found := n.links(meaning)
	if len(found) != 1 {
		t.Fatalf("%q has %d links %q, want 1: %v", n.Name, len(found), meaning, n.Links)
	}
	return found[0]
}

// find returns the span that a link leads to, nil if it is not there.
func (of tree) find(to ref) *otlpSpan {
	for _, n := range of.spans {
		if n.TraceID == to.trace && n.SpanID == to.span {
			return n
		}
	}
	return nil
}

// skew is by how much the clock of a machine may be set right within a trace: each
// span's start is a time of day, and its end so much later by another clock.
const skew = int64(time.Millisecond)

// within checks that n is inside of another in time.
func (n *otlpSpan) within(t *testing.T, of *otlpSpan) {
	t.Helper()
	if nanos(n.Start) < nanos(of.Start)-skew || nanos(n.End) > nanos(of.End)+skew {
		t.Errorf("%q (%s to %s) is not within %q (%s to %s)", n.Name, n.Start, n.End, of.Name, of.Start, of.End)
	}
}

// ref are the ids of a span.
type ref struct{ trace, span string }

// origin is a client's own span, which it tells in _meta.
type origin ref

func newOrigin() origin { return origin{trace: random(16), span: random(8)} }

func (o origin) parent() string { return "00-" + o.trace + "-" + o.span + "-01" }

// meta adds the context to params.
func (o origin) meta(params fields) fields {
	meta, _ := params["_meta"].(fields)
	meta = maps.Clone(meta)
	if meta == nil {
		meta = fields{}
	}
	meta["traceparent"], meta["tracestate"] = o.parent(), "e2e=1"
	params = maps.Clone(params)
	params["_meta"] = meta
	return params
}

func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
