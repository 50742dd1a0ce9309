package upstream

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func testBreaker() *breaker {
	return newBreaker(func() BreakerConfig { return Defaults().Breaker })
}

func TestBreakerOpensInARow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := testBreaker()
		epoch := b.gate.Load()
		for range 4 {
			b.report(epoch, failure, "")
		}
		b.report(epoch, success, "")
		for range 4 {
			b.report(epoch, failure, "")
			time.Sleep(time.Minute) // longer than the window
		}
		if b.gate.Load() == 0 {
			t.Fatal("open after four in a row")
		}
		b.report(epoch, failure, "")
		if b.gate.Load() != 0 {
			t.Fatal("closed after five in a row")
		}
		<-b.tripped
	})
}

func TestBreakerRatio(t *testing.T) {
	for _, c := range []struct {
		name        string
		good, after int // successes before, and how long before the failures
		open        bool
	}{
		{"one in two", 0, 0, true},
		{"ten in a thousand", 1000, 0, false},
		{"a thousand long ago", 1000, 40, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := testBreaker()
				epoch := b.gate.Load()
				for range c.good {
					b.report(epoch, success, "")
				}
				time.Sleep(time.Duration(c.after) * time.Second)
				for range 10 {
					b.report(epoch, failure, "")
					b.report(epoch, success, "")
				}
				if open := b.gate.Load() == 0; open != c.open {
					t.Errorf("open: %v, want %v", open, c.open)
				}
			})
		})
	}
}

func TestBreakerHalfOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := testBreaker()
		old := b.gate.Load()
		b.trip()
		b.report(old, success, "") // late ones change nothing
		b.report(old, failure, "")
		bad := errors.New("bad")
		if err := b.attempt(func() error { return bad }); !errors.Is(err, bad) || b.gate.Load() != 0 {
			t.Fatalf("%v, gate %d", err, b.gate.Load())
		}
		err := b.attempt(func() error {
			if b.gate.Load() != 0 {
				t.Error("calls get through during the attempt")
			}
			return nil
		})
		if err != nil || b.gate.Load() == 0 || b.gate.Load() == old {
			t.Errorf("%v, gate %d after %d", err, b.gate.Load(), old)
		}
		for range 5 { // of the epoch before
			b.report(old, failure, "")
		}
		if b.gate.Load() == 0 {
			t.Error("an old generation's failures opened it")
		}
	})
}

func TestTally(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var y tally
		y.width.Store(int64(3 * time.Second))
		for range 100 {
			y.add(time.Now())
			time.Sleep(time.Second)
		}
		if n := y.sum(time.Now()); n < 27 || n > 30 {
			t.Errorf("%d in the last 30s of one a second", n)
		}
		time.Sleep(time.Hour)
		if n := y.sum(time.Now()); n != 0 {
			t.Errorf("%d after an hour", n)
		}
	})
}

func TestBulkheadGivesEverySlotBack(t *testing.T) {
	b := &bulkhead{limits: func() Limits { return Limits{InFlight: 3, Queue: 1000} }}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 2000 {
				stop := make(chan struct{})
				if (i+j)%3 == 0 {
					close(stop) // gives up at about the time it is served
				}
				if b.try() || b.wait(t.Context(), stop) {
					if n := b.taken.Load(); n > 3 {
						t.Errorf("%d slots taken of 3", n)
					}
					b.release()
				}
			}
		})
	}
	wg.Wait()
	if b.taken.Load() != 0 || b.waiters.Load() != 0 || b.line.Len() != 0 {
		t.Errorf("%d taken, %d waiters, %d in line", b.taken.Load(), b.waiters.Load(), b.line.Len())
	}
}

// TestReportsOfAnOpenBreaker: a probe that began while it was open already is no
// half-open step. It once was: the report entered gobreaker, which closed.
func TestReportsOfAnOpenBreaker(t *testing.T) {
	b := testBreaker()
	b.trip()
	b.report(b.gate.Load(), success, "")
	if b.row != 1 {
		t.Error("a success was counted")
	}
	if b.gate.Load() != 0 {
		t.Error("closed")
	}
	if err := b.attempt(func() error { return nil }); err != nil || b.gate.Load() == 0 {
		t.Errorf("the supervisor's own step: %v", err)
	}
}
