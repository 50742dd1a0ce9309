package upstream

import (
	"errors"
	"slices"
	"sync"
	"time"
)

// Sample is what one check of an upstream's health said.
type Sample struct {
	At time.Time
	// Status is the state that the check found, or led to.
	Status State
	// Took is the response time, 0 where there is none: a call stood for the
	// probe, nothing was asked, or nothing answered.
	Took    time.Duration
	Healthy bool
	// Neutral says that nothing was found out of the server's health: a process may
	// have been busy with a call, a remote wanted not to be asked, an upstream is
	// not meant to run. Such a sample counts in no figure, so that it lowers no
	// availability, and Healthy is what was known before.
	Neutral bool
	// Err says what is wrong, "" for nothing.
	Err string
}

// samples keeps the last of an upstream's samples.
type samples struct {
	mu   sync.Mutex // guards the rest
	ring []Sample   // the oldest is at next once it is as long as it may be
	next int
}

// add keeps x and, of all before it, the last limit-1.
func (s *samples) add(x Sample, limit int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch n := len(s.ring); {
	case n == limit && n > 0:
		s.ring[s.next] = x
		s.next = (s.next + 1) % limit
		return
	case n > limit || s.next != 0: // the limit is another now
		s.ring = s.ordered()
		s.ring = slices.Clone(s.ring[max(len(s.ring)-limit+1, 0):])
		s.next = 0
	}
	s.ring = append(s.ring, x)
}

// ordered returns the samples, the oldest first, in a slice of their own. s.mu is
// held.
func (s *samples) ordered() []Sample { return slices.Concat(s.ring[s.next:], s.ring[:s.next]) }

func (s *samples) list() []Sample {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ordered()
}

// last returns the newest sample that satisfies ok.
func (s *samples) last(ok func(*Sample) bool) (Sample, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.ring {
		n := len(s.ring)
		if x := &s.ring[(s.next+n-1-i)%n]; ok(x) {
			return *x, true
		}
	}
	return Sample{}, false
}

// Samples returns the last checks of the upstream's health, at most stats.samples,
// the oldest first. They outlive its restarts, not those of the gateway.
func (u *Upstream) Samples() []Sample { return u.samples.list() }

// record keeps the outcome of a probe.
func (u *Upstream) record(s finding, at time.Time) Sample {
	x := Sample{At: at, Status: u.Status().State, Healthy: s.err == nil}
	switch {
	case s.err == nil:
		x.Took = s.took
		if x.Status == Unknown { // the owner is about to say so
			x.Status = Running
		}
	case errors.Is(s.err, ErrNeutral):
		x.Neutral, x.Err = true, s.err.Error()
		known, ok := u.samples.last(func(x *Sample) bool { return !x.Neutral })
		x.Healthy = x.Status == Running && (!ok || known.Healthy)
	default:
		x.Err = s.err.Error()
	}
	u.samples.add(x, u.Config().Stats.Samples)
	return x
}

// outage sees to it that an upstream that is in error, or being started again,
// has a sample for each interval, as one that runs has: it is not asked, but what
// is known is that it is down. Only the owner calls it, at each change of state.
func (u *Upstream) outage(s State) {
	switch s {
	case Errored:
		wait := u.unsampled()
		if wait > 0 {
			u.absent.Reset(wait)
			return
		}
		u.absent.Stop()
		u.stillDown()
	case Running, Stopped:
		u.absent.Stop()
	}
}

// stillDown makes one such sample. It runs on a goroutine of the timer's, which
// may fire once more at the moment that an outage ends, or on the owner's.
func (u *Upstream) stillDown() {
	s := u.Status()
	if s.State != Errored && s.State != Starting || !s.Desired {
		return
	}
	wait := u.unsampled()
	if wait <= 0 {
		x := Sample{At: time.Now(), Status: s.State, Err: "it is starting again"}
		if s.State == Errored {
			x.Err = s.Failure.inError()
		}
		u.samples.add(x, u.Config().Stats.Samples)
		wait = jitter(u.Config().Interval())
	}
	u.absent.Reset(wait)
}

// unsampled returns in how long another sample is due.
func (u *Upstream) unsampled() time.Duration {
	last, ok := u.samples.last(func(*Sample) bool { return true })
	if !ok {
		return 0
	}
	return time.Until(last.At.Add(u.Config().Interval()))
}

func (f *Failure) inError() string { return "it is in error (" + f.Stage + ": " + f.Message + ")" }
