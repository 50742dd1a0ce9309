package upstream

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// TestBuckets: every duration is in the bucket that says so, whose middle is near.
func TestBuckets(t *testing.T) {
	at := time.Duration(0)
	for i := range buckets {
		low, width := bucketAt(i)
		if low != at {
			t.Fatalf("bucket %d begins at %v, and the one before ends at %v", i, low, at)
		}
		at = low + width
		for _, d := range []time.Duration{low, low + width/2, at - 1} {
			if got := bucketOf(d); got != i {
				t.Fatalf("%v is in bucket %d, want %d", d, got, i)
			}
			if off := (low + width/2 - d).Abs(); off > 2050*time.Nanosecond && float64(off) > 0.0625*float64(d) {
				t.Fatalf("%v is shown as %v", d, low+width/2)
			}
		}
	}
	if at < 2*time.Hour || bucketOf(math.MaxInt64) != buckets-1 || bucketOf(-1) != 0 {
		t.Errorf("the buckets end at %v", at)
	}
}

func TestPercentiles(t *testing.T) {
	for _, n := range []int{1, 2, 19, 100, 10_000} {
		var f figures
		now := time.Now()
		all := make([]time.Duration, n)
		for i := range all {
			all[i] = time.Duration(rand.ExpFloat64() * float64(20*time.Millisecond))
			f.answered(now, all[i], "tools/call", &jsonrpc.Message{Kind: jsonrpc.Result})
		}
		slices.Sort(all)
		got := f.sum(now, time.Minute)
		if got.Count != n || got.Errors != nil {
			t.Errorf("%d calls, want %d; errors %v", got.Count, n, got.Errors)
		}
		for _, p := range []struct {
			of  float64
			got time.Duration
		}{{0.5, got.P50}, {0.95, got.P95}, {0.99, got.P99}} {
			want := all[int(math.Ceil(p.of*float64(n)))-1]
			if off := (p.got - want).Abs(); off > 2050*time.Nanosecond && float64(off) > 0.0625*float64(want) {
				t.Errorf("percentile %v of %d is %v, want %v", p.of, n, p.got, want)
			}
		}
	}
}

// TestFiguresLoseNothing although slots are used again by many at once.
func TestFiguresLoseNothing(t *testing.T) {
	var f figures
	m := &jsonrpc.Message{Kind: jsonrpc.Result}
	begun := time.Now()
	for turn := range 2 * callSlots {
		now := begun.Add(time.Duration(turn) * slotWidth)
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for range 50 {
					f.answered(now, time.Millisecond, "tools/call", m)
				}
				f.erred(now, "reset")
			})
		}
		all.Wait()
		if got := f.sum(now, time.Second); got.Count != 204 && got.Count != 408 || got.Errors["reset"]*51 != got.Count {
			t.Fatalf("turn %d: %+v", turn, got)
		}
		if got, want := f.sum(now, time.Hour).Count, 204*min(turn+1, callSlots); got != want {
			t.Fatalf("turn %d: %d in all, want %d", turn, got, want)
		}
	}
	if n := len(f.failed); n > callSlots {
		t.Errorf("errors of %d periods are kept", n)
	}
}

func TestCountingAllocatesNothing(t *testing.T) {
	var f figures
	m := &jsonrpc.Message{Kind: jsonrpc.Result}
	now := time.Now()
	if n := testing.AllocsPerRun(100, func() { f.answered(now, time.Millisecond, "tools/call", m) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkAnswered is what the figures add to a call.
func BenchmarkAnswered(b *testing.B) {
	var f figures
	m := &jsonrpc.Message{Kind: jsonrpc.Result}
	now := time.Now()
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			f.answered(now, 300*time.Microsecond, "tools/call", m)
		}
	})
}
