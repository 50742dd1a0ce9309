package telemetry

import (
	"encoding/binary"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// ended is a span of the trace n, with a body of that size.
func ended(n uint64, size int, change ...func(*finished)) finished {
	f := finished{raw: make([]byte, size)}
	binary.BigEndian.PutUint64(f.trace[8:], n)
	for _, c := range change {
		c(&f)
	}
	return f
}

func asFailed(f *finished) { f.failed = true }
func asRoot(f *finished)   { f.root = true }

// ids are those of the traces in r, the newest first.
func ids(r *ring) []uint64 {
	var out []uint64
	all, _ := r.last(0)
	for _, t := range all {
		out = append(out, binary.BigEndian.Uint64(t.id[8:]))
	}
	return out
}

func TestRingKeepsTheLast(t *testing.T) {
	r := newRing(4, 1<<20)
	for n := range uint64(6) {
		r.add(ended(n, 10))
	}
	if diff := cmp.Diff([]uint64{5, 4, 3, 2}, ids(r)); diff != "" {
		t.Error(diff)
	}
	// One that is heard of again is no old one.
	r.add(ended(2, 10))
	r.add(ended(6, 10))
	if diff := cmp.Diff([]uint64{6, 2, 5, 4}, ids(r)); diff != "" {
		t.Error(diff)
	}
}

func TestRingKeepsFailuresLonger(t *testing.T) {
	r := newRing(8, 1<<20)
	for n := range uint64(4) { // two more than their share
		r.add(ended(n, 10, asFailed))
	}
	for n := uint64(10); n < 30; n++ {
		r.add(ended(n, 10))
	}
	if diff := cmp.Diff([]uint64{29, 28, 27, 26, 25, 24, 3, 2}, ids(r)); diff != "" {
		t.Error(diff)
	}
}

// A trace that fails late counts among those that failed from then on.
func TestRingLateFailure(t *testing.T) {
	r := newRing(4, 1<<20)
	r.add(ended(1, 10))
	r.add(ended(1, 10, asFailed))
	for n := uint64(10); n < 20; n++ {
		r.add(ended(n, 10))
	}
	if diff := cmp.Diff([]uint64{19, 18, 17, 1}, ids(r)); diff != "" {
		t.Error(diff)
	}
}

// All the calls of one agent may be in one trace.
func TestRingLongTrace(t *testing.T) {
	r := newRing(4, 64<<20)
	r.add(ended(7, 10))
	for n := range 3 * maxTraceSpans {
		r.add(ended(1, 10, func(f *finished) { binary.BigEndian.PutUint64(f.span[:], uint64(n)) }))
	}
	got, _ := r.one(ended(1, 0).trace)
	if len(got.spans) != maxTraceSpans {
		t.Fatalf("%d spans", len(got.spans))
	}
	if last := binary.BigEndian.Uint64(got.spans[maxTraceSpans-1].span[:]); last != 3*maxTraceSpans-1 {
		t.Errorf("the last span is %d", last)
	}
	if diff := cmp.Diff([]uint64{1, 7}, ids(r)); diff != "" {
		t.Error(diff)
	}
}

// What was dropped of a trace is not held.
func TestRingLongTraceIsBounded(t *testing.T) {
	const room, size = 8 << 20, 64 << 10
	r := newRing(4, room)
	before := heapAlloc()
	for n := range 100 {
		r.add(ended(1, size))
		if held := heapAlloc() - before; held > room/traceShare*3/2 {
			t.Fatalf("%d bytes are held after %d spans, for a trace of at most %d", held, n+1, room/traceShare)
		}
	}
	runtime.KeepAlive(r)
}

func heapAlloc() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

func TestRingNone(t *testing.T) {
	r := newRing(0, 1<<20)
	r.add(ended(1, 10))
	if all, _ := r.last(0); all != nil {
		t.Error("it keeps", all)
	}
	if _, ok := r.one(ended(1, 0).trace); ok || r.changed(0) != nil {
		t.Error("it knows a trace")
	}
}

// TestRingRule compares the ring with its rule written out over a plain list.
func TestRingRule(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		traces := rapid.IntRange(1, 12).Draw(t, "traces")
		bytes := rapid.IntRange(2000, 20000).Draw(t, "bytes")
		r := newRing(traces, bytes)
		var list []ruled // the oldest first
		for range rapid.IntRange(1, 60).Draw(t, "spans") {
			f := ended(rapid.Uint64Range(1, 20).Draw(t, "trace"), rapid.IntRange(0, 900).Draw(t, "size"))
			f.failed = rapid.IntRange(0, 3).Draw(t, "luck") == 0
			r.add(f)
			list = ruleOf(list, f, traces, bytes)
			all, _ := r.last(0)
			var got []ruled
			held := 0
			for _, k := range slices.Backward(all) {
				got = append(got, ruled{k.id, sizes(k.spans), r.known[k.id].failed})
				held += traceCost
				for _, s := range k.spans {
					held += s.cost()
				}
			}
			if diff := cmp.Diff(list, got, cmp.AllowUnexported(ruled{})); diff != "" {
				t.Fatalf("want -, got +:\n%s", diff)
			}
			if held > bytes || len(all) > traces || len(r.known) != len(all) || r.good.bytes+r.failed.bytes != held {
				t.Fatalf("%d traces of %d, %d bytes of %d (it counts %d)", len(all), traces, held, bytes, r.good.bytes+r.failed.bytes)
			}
		}
	})
}

type ruled struct {
	id     [16]byte
	spans  []int
	failed bool
}

func (x ruled) cost() int {
	n := traceCost
	for _, s := range x.spans {
		n += s + spanCost
	}
	return n
}

func sizes(spans []keptSpan) []int {
	var out []int
	for _, s := range spans {
		out = append(out, len(s.raw))
	}
	return out
}

func ruleOf(list []ruled, f finished, traces, bytes int) []ruled {
	x := ruled{id: f.trace}
	list = slices.DeleteFunc(slices.Clone(list), func(old ruled) bool {
		if old.id == f.trace {
			x = old
		}
		return old.id == f.trace
	})
	x.spans = append(slices.Clone(x.spans), len(f.raw))
	x.failed = x.failed || f.failed
	for len(x.spans) > 1 && x.cost() > bytes/8 {
		x.spans = x.spans[1:]
	}
	list = append(list, x)
	for {
		all, failedN, failedBytes := 0, 0, 0
		for _, x := range list {
			all += x.cost()
			if x.failed {
				failedN++
				failedBytes += x.cost()
			}
		}
		if len(list) <= traces && all <= bytes {
			return list
		}
		victim := 0
		if failedN <= traces/4 && failedBytes <= bytes/4 {
			victim = max(slices.IndexFunc(list, func(x ruled) bool { return !x.failed }), 0)
		}
		list = slices.Delete(list, victim, victim+1)
	}
}

func TestRingChanged(t *testing.T) {
	r := newRing(4, 1<<20)
	_, now := r.last(0)
	news := r.changed(now)
	select {
	case <-news:
		t.Error("there is news of nothing")
	default:
	}
	r.add(ended(1, 10, asRoot))
	<-news
	<-r.changed(now) // at once for who comes late
	all, now := r.last(now)
	if len(all) != 1 || all[0].spans[0].at != now {
		t.Errorf("%d traces, the first with a span of %d at %d", len(all), all[0].spans[0].at, now)
	}
	if all, _ = r.last(now); all != nil {
		t.Error("old news:", all)
	}
}

// A reader holds what it was given while the ring goes on. For the race detector.
func TestRingReadWhileAdding(t *testing.T) {
	r := newRing(4, 1<<20)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for n := range uint64(3 * maxTraceSpans) {
				r.add(ended(n%3/2, 10, asRoot))
			}
		})
	}
	wg.Go(func() {
		for range 200 {
			all, _ := r.last(0)
			for _, k := range all {
				for _, s := range k.spans {
					if s.trace != k.id {
						t.Error("a span of another trace")
					}
				}
			}
		}
	})
	wg.Wait()
}

// Each trace is a call with a policy and an upstream.
func BenchmarkRingAdd(b *testing.B) {
	r := newRing(200, 8<<20)
	raw := make([]byte, 600)
	b.ReportAllocs()
	var n uint64
	for b.Loop() {
		n++
		f := finished{raw: raw, began: time.Time{}}
		binary.BigEndian.PutUint64(f.trace[:], n/3)
		r.add(f)
	}
}
