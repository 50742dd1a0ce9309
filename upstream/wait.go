package upstream

import (
	"sync"
	"time"
)

// Witness is told of what befalls a call. Its methods are called on the goroutine
// that makes the call and must not block.
type Witness interface {
	// Event is told as it happens: waiting (for a start), queued (for a slot), dial
	// (a link of its own is made), retry.
	Event(kind string)
	// Sent is told the JSON-RPC id of the request, each time that it is about to be
	// sent: the last is that of the request that is answered.
	Sent(id uint64)
	// Waited is told of each wait once it is over.
	Waited(d Delay)
	// Tied is told what the call was refused for (RefusedBy), and what happened while
	// it was on its way (HurtBy); of one that is made again this is not the end.
	Tied(t Tie)
	// Mark stands for the call, nil for nothing. It is called where the call may
	// have led to something, and once for each such thing.
	Mark() Mark
}

// Delay is something that a call waited for before it was sent.
type Delay struct {
	For         DelayReason
	Began, Over time.Time
	// Start is what it waited for, if that is a start that the Chronicle has a mark
	// of.
	Start Mark
	// Err is why the call did not go on, nil if it did.
	Err error
}

// DelayReason says what a call waits for.
type DelayReason string

// What calls wait for.
const (
	Starts   DelayReason = "start"
	Queueing DelayReason = "slot" // one of limits.in_flight
	Dialling DelayReason = "dial" // a link of the client's own
)

// event is the kind of event that a delay begins with.
func (r DelayReason) event() string {
	switch r {
	case Starts:
		return "waiting"
	case Queueing:
		return "queued"
	}
	return string(r)
}

// mark returns what stands for the call, nil if nobody watches.
func (c *Call) mark() Mark {
	if c.Witness == nil {
		return nil
	}
	return c.Witness.Mark()
}

// tied tells who watches of a tie, unless it is the zero one.
func (c *Call) tied(t Tie) {
	if c.Witness != nil && t.To != nil {
		c.Witness.Tied(t)
	}
}

// wait is how a call's wait is told of. It costs nothing where nobody watches.
type wait struct {
	u    *Upstream
	call *Call

	of    DelayReason // "" while it does not wait
	began time.Time
	start Mark // the last start as the wait began,
	goes  bool // and whether it was under way
}

// on says what the call waits for from now on. To say so again changes nothing.
func (w *wait) on(of DelayReason) {
	if w.call.Witness == nil || w.of == of {
		return
	}
	w.over(nil)
	p := w.u.phase.Load()
	w.of, w.began, w.start, w.goes = of, time.Now(), p.marks.start, p.status.State == Starting
	w.call.Witness.Event(of.event())
}

// over says that the wait has ended, and whether the call goes on.
func (w *wait) over(err error) {
	if w.of == "" {
		return
	}
	x := Delay{For: w.of, Began: w.began, Over: time.Now(), Err: err}
	if m := w.u.phase.Load().marks.start; w.of == Starts && (w.goes || m != w.start) {
		x.Start = m
	}
	w.of = ""
	w.call.Witness.Waited(x)
}

// waker is what an upstream that starts on demand is started for.
type waker struct {
	mu sync.Mutex // guards by
	by Mark
}

// needed notes who needs it, unless somebody did before.
func (w *waker) needed(by func() Mark) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.by == nil {
		w.by = by()
	}
}

// take returns the first who needed it since the last start.
func (w *waker) take() Mark {
	w.mu.Lock()
	defer w.mu.Unlock()
	by := w.by
	w.by = nil
	return by
}
