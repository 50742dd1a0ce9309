package upstream

import (
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// What stays too long is told of when it is due, to the nanosecond, and in the
// order of the dues, whatever the order of entering; what left is not.
func TestOverdue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		got := make(map[int]time.Duration)
		var order []int
		o := &Overdue[int]{Late: func(n int) time.Duration {
			got[n] = time.Since(begun)
			order = append(order, n)
			return 0
		}}
		stays := make([]Stay[int], 200)
		want := make(map[int]time.Duration)
		r := rand.New(rand.NewPCG(1, 2))
		for i := range stays {
			d := time.Duration(1+r.IntN(1000)) * time.Millisecond
			want[i] = d
			o.Enter(&stays[i], i, begun, d)
		}
		for i := 0; i < len(stays); i += 3 {
			o.Leave(&stays[i])
			o.Leave(&stays[i]) // again, to no effect
			delete(want, i)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if len(got) != len(want) {
			t.Fatalf("%d were late, want %d", len(got), len(want))
		}
		for i, d := range want {
			if got[i] != d {
				t.Errorf("%d was late after %v, want %v", i, got[i], d)
			}
		}
		if !slices.IsSortedFunc(order, func(a, b int) int { return int(want[a] - want[b]) }) {
			t.Error("not in the order of the dues")
		}
		if o.head != nil || o.tail != nil {
			t.Error("something is left in the list")
		}
	})
}

func TestOverdueMayStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		var at []time.Duration
		o := &Overdue[string]{}
		o.Late = func(string) time.Duration {
			at = append(at, time.Since(begun))
			return time.Duration(3-len(at)) * time.Second
		}
		var s, empty Stay[string]
		o.Enter(&s, "a", begun, time.Second)
		time.Sleep(time.Minute)
		synctest.Wait()
		if want := []time.Duration{time.Second, 3 * time.Second, 4 * time.Second}; !slices.Equal(at, want) {
			t.Errorf("late at %v, want %v", at, want)
		}
		o.Leave(&s)
		o.Leave(&empty)
		// It can be used again, also when the timer had nothing left to do.
		at, begun = at[:2], time.Now()
		o.Enter(&s, "a", begun, time.Second)
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(at) != 3 || at[2] != time.Second {
			t.Errorf("the second stay was late at %v", at[2:])
		}
	})
}

func BenchmarkOverdue(b *testing.B) {
	o := &Overdue[int]{Late: func(int) time.Duration { return 0 }}
	var s Stay[int]
	b.ReportAllocs()
	for b.Loop() {
		o.Enter(&s, 1, time.Now(), time.Minute)
		o.Leave(&s)
	}
}
