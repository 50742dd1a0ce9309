package upstream

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
)

// verdict is what one request tells of its upstream.
type verdict uint8

const (
	neutral   verdict = iota
	success           // any well-formed answer
	failure           // the way to the server failed
	badStatus         // HTTP 500 without an answer: alone it may be the tool's fault
	slow              // a timeout: a probe decides
)

// breaker is an upstream's circuit breaker: a gobreaker, and before it a gate
// that is one atomic load for a call.
//
// gobreaker leaves its open state lazily, at whatever request comes next, and
// lets that request try the half-open step. Here only the supervisor may: so
// calls never enter gobreaker, they look at the gate and report afterwards, and
// a report after the gate closed is dropped. Its timeout is the shortest there
// is; the supervisor's backoff owns the delay.
//
// gobreaker's rolling window forgets failures in a row that are older than the
// window, and would never open on probes that fail every 10s; those in a row are
// counted here.
type breaker struct {
	// gate is the epoch while the breaker is closed and 0 while it is not. A
	// report of another epoch comes from before a restart.
	gate atomic.Uint64
	// dirty says that failures in a row were counted, which a success clears.
	dirty atomic.Bool
	// quiet are the successes gobreaker was not told of, since nothing was dirty.
	quiet tally
	// tripped tells the owner that reports opened the breaker; capacity 1.
	tripped chan struct{}
	config  func() BreakerConfig
	openings

	mu     sync.Mutex // guards the rest, and makes a report and the gate one step
	cb     *gobreaker.CircuitBreaker[struct{}]
	epoch  uint64
	row    int // failures in a row
	forced bool
	bad    int // bad statuses in a row, and whose
	badOf  string
	badTwo bool // of two or more tools
}

var errCounted = errors.New("counted as a failure")

func newBreaker(config func() BreakerConfig) *breaker {
	b := &breaker{config: config, tripped: make(chan struct{}, 1)}
	b.reset()
	return b
}

// reset makes the breaker a new, closed one.
func (b *breaker) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	window := b.config().Window
	b.quiet.width.Store(int64(max(window/tallySlots, 1)))
	b.cb = gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests:   1,
		Interval:      window,
		BucketPeriod:  max(window/tallySlots, 1),
		Timeout:       1,
		ReadyToTrip:   b.ready,
		OnStateChange: b.moved,
	})
	select {
	case <-b.tripped:
	default:
	}
	b.open()
}

// resize takes over a window of another length, forgetting what was counted.
// Only the owner calls it, and only while it is not attempting.
func (b *breaker) resize() {
	if b.quiet.width.Load() != int64(max(b.config().Window/tallySlots, 1)) && b.gate.Load() != 0 {
		b.reset()
	}
}

// open opens the gate for a new epoch. b.mu is held.
func (b *breaker) open() {
	b.row, b.bad, b.badOf, b.badTwo, b.forced = 0, 0, "", false, false
	b.dirty.Store(false)
	b.quiet.clear()
	b.epoch++
	b.failed = nil
	b.gate.Store(b.epoch)
}

// ready decides whether to trip. gobreaker calls it at each failure, inside
// cb.Execute, and so with b.mu held.
func (b *breaker) ready(c gobreaker.Counts) bool {
	cfg := b.config()
	if b.forced || b.row >= cfg.Failures {
		return true
	}
	total := int(c.Requests-c.TotalExclusions) + b.quiet.sum(time.Now())
	return total >= cfg.MinRequests && float64(c.TotalFailures) >= cfg.Ratio*float64(total)
}

// moved is called by gobreaker under its mutex: it must call nothing of it.
func (b *breaker) moved(_ string, _, to gobreaker.State) {
	if to == gobreaker.StateOpen && b.gate.Load() != 0 { // b.mu is held
		b.note(time.Now(), b.epoch, b.config().Window)
		b.gate.Store(0)
	}
}

// report tells the breaker how a call of that epoch ended; of is the tool, for
// bad statuses; by are the calls, or the probe, that a failure came of.
func (b *breaker) report(epoch uint64, v verdict, of string, by ...Mark) {
	b.reportAt(time.Now(), epoch, v, of, by...)
}

// reportAt is report for who knows what time it is.
func (b *breaker) reportAt(now time.Time, epoch uint64, v verdict, of string, by ...Mark) {
	switch v {
	case neutral, slow:
		return
	case success:
		if !b.dirty.Load() {
			b.quiet.add(now)
			return
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if epoch == 0 || b.gate.Load() != epoch { // 0 is of one that was open already
		return
	}
	if v != success {
		b.blame(now, by)
	}
	if v == badStatus && !b.badEnough(of) {
		return
	}
	if v == success {
		b.row, b.bad, b.badOf, b.badTwo = 0, 0, "", false
		b.dirty.Store(false)
		_, _ = b.cb.Execute(func() (struct{}, error) { return struct{}{}, nil })
		return
	}
	b.fail()
	if b.gate.Load() == 0 {
		select {
		case b.tripped <- struct{}{}:
		default:
		}
	}
}

// fail counts one failure. b.mu is held and the breaker closed.
func (b *breaker) fail() {
	b.row++
	b.dirty.Store(true)
	_, _ = b.cb.Execute(func() (struct{}, error) { return struct{}{}, errCounted })
}

// badEnough counts a bad status: five in a row, on two or more tools, are the
// server's fault, and so is each one after.
func (b *breaker) badEnough(of string) bool {
	b.dirty.Store(true) // so that a success is heard
	if b.bad > 0 && of != b.badOf {
		b.badTwo = true
	}
	b.bad, b.badOf = b.bad+1, of
	return b.bad >= 5 && b.badTwo
}

// trip opens the breaker, whatever was counted; by is what led to it.
func (b *breaker) trip(by ...Mark) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.gate.Load() != 0 {
		b.forced = true
		b.blame(time.Now(), by)
		b.fail()
	}
	select { // the owner knows
	case <-b.tripped:
	default:
	}
}

// attempt runs try as the half-open step, and closes the breaker if it returns
// nil. Only the owner calls it. A closed breaker stays so while try runs, and
// opens if it fails, because of by.
func (b *breaker) attempt(try func() error, by ...Mark) error {
	if b.gate.Load() != 0 {
		err := try()
		if err != nil {
			b.trip(by...)
		}
		return err
	}
	for {
		_, err := b.cb.Execute(func() (struct{}, error) { return struct{}{}, try() })
		if errors.Is(err, gobreaker.ErrOpenState) {
			// Its timeout of 1ns is not over by a clock this coarse.
			time.Sleep(time.Microsecond) //nolint:forbidigo // the clock itself is waited for
			continue
		}
		if err == nil {
			b.mu.Lock()
			b.open()
			b.mu.Unlock()
		}
		return err
	}
}

// tallySlots is in how many parts the window rolls on.
const tallySlots = 10

// tally counts events of the last tallySlots widths without a lock.
type tally struct {
	width atomic.Int64 // ns
	// slots hold a count in the low half and in the high half which period it is
	// of.
	slots [tallySlots]atomic.Uint64
}

func (t *tally) period(now time.Time) uint64 {
	return uint64(now.UnixNano()/t.width.Load()) & 0xffffffff
}

func (t *tally) add(now time.Time) {
	p := t.period(now)
	slot := &t.slots[p%tallySlots]
	for {
		v := slot.Load()
		if v>>32 == p {
			slot.Add(1) // 4e9 in one period would run into the next: they cannot
			return
		}
		if slot.CompareAndSwap(v, p<<32|1) {
			return
		}
	}
}

func (t *tally) clear() {
	for i := range t.slots {
		t.slots[i].Store(0)
	}
}

func (t *tally) sum(now time.Time) int {
	p := t.period(now)
	n := 0
	for i := range t.slots {
		if v := t.slots[i].Load(); (p-v>>32)&0xffffffff < tallySlots {
			n += int(v & 0xffffffff)
		}
	}
	return n
}
