package upstream

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// CallStats are figures of calls that ended in a window of time.
type CallStats struct {
	// Count counts all of them: answered, failed, refused, given up.
	Count int
	// Errors counts those that failed by kind: a CallError's Reason; cancelled, for
	// those whose caller gave up; rpc_error, for an error as the answer; tool_error,
	// for a tool's result that says isError. It is nil for none.
	Errors map[string]int
	// P50, P95 and P99 are percentiles of the time to the answer, of calls that got
	// one, within 6.25 %, or 2 µs where that is more: from the begin of the call, so
	// that what it waited for a start or a slot counts in, and also what a person
	// took to answer a question. They are 0 if none got an answer.
	P50, P95, P99 time.Duration
}

// Kinds of errors that are answers too.
const (
	rpcError  = "rpc_error"
	toolError = "tool_error"
	cancelled = "cancelled"
)

// Calls are counted in slots of time, of which the last callSlots are known, and
// there in buckets by how long they took. A bucket is an eighth of an octave wide,
// and bucketUnit where that would be less; the last holds all of two hours and
// more.
const (
	slotWidth  = 15 * time.Second
	callSlots  = 60
	bucketUnit = 4096 * time.Nanosecond
	eighths    = 8
	buckets    = 29 * eighths
)

// figures count an upstream's calls. To count an answer is one atomic addition;
// no lock is taken and nothing allocated, but for the first call ever.
type figures struct {
	slots atomic.Pointer[callSlotRing]

	mu     sync.Mutex // guards failed
	failed map[uint32]map[string]int
}

// callSlotRing has a slot for each period of slotWidth. A bucket holds its count in
// the low half and in the high half which period it is of, so that a slot need not
// be emptied before it is used again.
type callSlotRing [callSlots][buckets]atomic.Uint64

func periodOf(now time.Time) uint32 { return uint32(now.UnixNano() / int64(slotWidth)) }

// answered counts an answer that came at now.
func (f *figures) answered(now time.Time, took time.Duration, method string, m *jsonrpc.Message) {
	ring := f.slots.Load()
	if ring == nil {
		f.slots.CompareAndSwap(nil, new(callSlotRing))
		ring = f.slots.Load()
	}
	p := periodOf(now)
	bucket := &ring[p%callSlots][bucketOf(took)]
	for {
		v := bucket.Load()
		if uint32(v>>32) == p {
			bucket.Add(1) // 4e9 in one period would run into the next: they cannot
			break
		}
		if bucket.CompareAndSwap(v, uint64(p)<<32|1) {
			break
		}
	}
	switch {
	case m.Kind == jsonrpc.Failure:
		f.erred(now, rpcError)
	case m.IsError.Ok() && method == "tools/call" && string(m.IsError.Of(m.Raw)) == "true":
		f.erred(now, toolError)
	}
}

// erred counts an error of that kind. Of calls without an answer it is all that is
// counted.
func (f *figures) erred(now time.Time, kind string) {
	p := periodOf(now)
	f.mu.Lock()
	defer f.mu.Unlock()
	kinds := f.failed[p]
	if kinds == nil {
		if f.failed == nil {
			f.failed = make(map[uint32]map[string]int)
		}
		for old := range f.failed {
			if p-old >= callSlots {
				delete(f.failed, old)
			}
		}
		kinds = make(map[string]int)
		f.failed[p] = kinds
	}
	kinds[kind]++
}

// sum returns the figures of the last window: of the periods that it touches.
func (f *figures) sum(now time.Time, window time.Duration) CallStats {
	if window <= 0 {
		return CallStats{}
	}
	last := periodOf(now)
	first := periodOf(now.Add(-min(window, (callSlots-1)*slotWidth)))
	var out CallStats
	f.mu.Lock()
	for p, kinds := range f.failed {
		if p-first > last-first {
			continue
		}
		for kind, n := range kinds {
			if out.Errors == nil {
				out.Errors = make(map[string]int)
			}
			out.Errors[kind] += n
			if kind != rpcError && kind != toolError {
				out.Count += n
			}
		}
	}
	f.mu.Unlock()
	ring := f.slots.Load()
	if ring == nil {
		return out
	}
	var counts [buckets]uint64
	var answers uint64
	for i := range ring {
		for j := range ring[i] {
			v := ring[i][j].Load()
			if p := uint32(v >> 32); p-first <= last-first {
				counts[j] += v & 0xffffffff
				answers += v & 0xffffffff
			}
		}
	}
	out.Count += int(answers)
	out.P50, out.P95, out.P99 = percentile(&counts, answers, 50), percentile(&counts, answers, 95), percentile(&counts, answers, 99)
	return out
}

// percentile returns the middle of the bucket in which the p-th percentile of
// total counts is, 0 without any.
func percentile(counts *[buckets]uint64, total, p uint64) time.Duration {
	rank := (total*p + 99) / 100
	for i, n := range counts {
		if n > 0 && rank <= n {
			low, width := bucketAt(i)
			return low + width/2
		}
		rank -= n
	}
	return 0
}

// bucketOf returns the bucket of a duration: the first eighths are of one unit
// each, and from there each octave has as many.
func bucketOf(d time.Duration) int {
	n := uint64(max(d, 0) / bucketUnit)
	if n < eighths {
		return int(n)
	}
	octave := bits.Len64(n) - bits.Len64(eighths)
	return min(octave*eighths+int(n>>octave), buckets-1)
}

// bucketAt returns where a bucket begins and how wide it is.
func bucketAt(i int) (low, width time.Duration) {
	if i < eighths {
		return time.Duration(i) * bucketUnit, bucketUnit
	}
	octave := i/eighths - 1
	return time.Duration(i-octave*eighths) << octave * bucketUnit, bucketUnit << octave
}
