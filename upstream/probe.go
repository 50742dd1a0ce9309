package upstream

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// ErrNeutral is the outcome of a probe that says nothing of the server's health:
// a process that is busy with a call may have no time for it.
var ErrNeutral = errors.New("the probe says nothing")

// maxIdleInterval is how far apart the probes of a remote get that nobody uses.
const maxIdleInterval = 10 * time.Minute

// finding is a probe's outcome.
type finding struct {
	at   time.Time     // of the last evidence
	took time.Duration // 0 where a call stood for the probe
	err  error         // nil for a pass
	next time.Duration // until another is due
	mark Mark          // of the probe, if it was one by itself

	signIns uint64 // how many there had been as it began
}

// stale reports whether the evidence is older than twice the interval.
func (s *finding) stale(now time.Time) bool { return now.Sub(s.at) > 2*s.next }

// judged is what a probe found, and in which of the breaker's epochs it began.
type judged struct {
	finding
	epoch uint64
}

var errProbeTimeout = errors.New("no answer to a ping within health.timeout")

// probeOnce pings and blocks for health.timeout at most. Any answer passes. A
// link's own calls do not delay it: it needs no slot.
func (u *Upstream) probeOnce(ctx context.Context, l *live) (s finding) {
	ctx, cancel := context.WithTimeoutCause(ctx, u.Config().Health.Timeout, errProbeTimeout)
	defer cancel()
	ctx, end := u.asking(ctx, "probe")
	defer func() { s.mark = end(s.err) }()
	if u.gated(time.Now()) > 0 {
		return finding{at: time.Now(), err: fmt.Errorf("%w: the server wants nothing to be sent yet", ErrNeutral)}
	}
	begun, signIns := time.Now(), u.signIns.Load()
	_, err := l.Do(ctx, onBehalf(ctx, newRequest("ping", nil)))
	s = finding{at: time.Now(), took: max(time.Since(begun), 1), err: err, signIns: signIns}
	var way *TransportError
	switch {
	case err == nil:
	case noToken(err):
		s.err = fmt.Errorf("%w: %w", ErrNeutral, err)
	case errors.Is(err, errProbeTimeout):
		if u.Config().Kind() == Stdio && l.calls.Load() > 0 {
			s.err = fmt.Errorf("%w: a call keeps the process busy, and there was %w", ErrNeutral, err)
		}
	case ctx.Err() != nil:
		s.err = fmt.Errorf("%w: %w", ErrNeutral, err)
	case errors.As(err, &way):
		u.heed(way)
		u.cutOff(err)
		if v := judge(way); v == neutral && way.Reason != "needs_auth" && way.Reason != "malformed" && way.Reason != "too_large" {
			s.err = fmt.Errorf("%w: %w", ErrNeutral, err)
		}
	}
	return s
}

// probed is the probe of a half-open step.
func (r *runner) probed(ctx context.Context, l *live) error {
	s := r.probeOnce(ctx, l)
	r.set.o.Observer.Probed(r.name, s.took, s.err)
	r.record(s, s.at)
	return s.err
}

// ticked is a probe's turn. A call that succeeded since the last stands for it,
// but not where the state is unknown.
func (w *watch) ticked(ctx context.Context) {
	now := time.Now()
	calls := w.calls
	w.calls = w.Upstream.calls.Load()
	idle := calls == w.calls
	last := w.phase.Load().finding
	served := now.Sub(time.Unix(0, w.evidence.Load())) < w.interval
	// What is shown tells when more is due, and so which interval comes next.
	if w.Config().Kind() != Stdio && idle {
		w.interval = min(2*w.interval, max(maxIdleInterval, w.Config().Interval()))
	} else {
		w.interval = w.Config().Interval()
	}
	if served && !last.stale(now) {
		w.sampled(finding{at: now})
	} else {
		w.probe(ctx)
	}
	if w.inventory.Load().Stale(now) {
		w.listChanged(ctx)
	}
	w.tick.Reset(jitter(w.interval))
}

// probe begins a probe, unless one is under way: that one will judge.
func (w *watch) probe(ctx context.Context) {
	if w.probing {
		return
	}
	w.probing = true
	epoch := w.breaker.gate.Load()
	w.work.Go(func() {
		w.probed <- judged{w.probeOnce(ctx, w.link), epoch}
	})
}

// judged takes a probe's outcome for the calls that timed out, each a failure
// if the probe is one, and for itself.
func (w *watch) judged(j judged) {
	w.probing = false
	timeouts := w.timeouts.Swap(0) // also of those that timed out beside it
	by := append(w.slow.take(), j.mark)
	switch {
	case j.err == nil:
		w.breaker.report(j.epoch, success, "")
	case errors.Is(j.err, ErrNeutral), needsAuth(j.err) != nil:
	default:
		for range max(timeouts, 1) {
			w.breaker.report(j.epoch, failure, "", by...)
			by = nil
		}
	}
	w.sampled(j.finding)
}

// sampled shows and keeps a probe's outcome.
func (w *watch) sampled(s finding) {
	w.shown(s)
	w.record(s, s.at)
}

// shown shows a probe's outcome where it changes what is shown.
func (w *watch) shown(s finding) {
	w.set.o.Observer.Probed(w.name, s.took, s.err)
	old := w.phase.Load().finding
	s.next = w.interval
	switch {
	case s.err != nil && old.stale(time.Now()):
		s.at, s.next = old.at, old.next // only a success ends what is unknown, or the breaker
	case errors.Is(s.err, ErrNeutral):
		s.at = old.at // no evidence
	}
	w.show(func(p *phase) { p.finding = s })
}

// jitter returns d ± 10 %.
func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.9 + 0.2*rand.Float64()))
}
