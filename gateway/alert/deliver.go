package alert

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"time"
)

// pauses are how long to wait after each attempt but the last, give or take a
// fifth: five attempts in two minutes.
var pauses = [...]time.Duration{5 * time.Second, 12 * time.Second, 30 * time.Second, 70 * time.Second}

// maxRetryAfter is the longest that a receiver may ask to wait.
const maxRetryAfter = 2 * time.Minute

// run delivers what is queued until hard is done, or ctx is done and nothing is
// left.
func (h *hook) run(ctx, hard context.Context) {
	for hard.Err() == nil {
		a, w, wait := h.take()
		switch {
		case a != nil:
			h.deliver(ctx, hard, a, w)
		case ctx.Err() != nil:
			return
		default:
			h.rest(ctx, hard, wait)
		}
	}
}

// rest blocks until wake, or wait is over (0 is never), or a context is done.
func (h *hook) rest(ctx, hard context.Context, wait time.Duration) {
	var due <-chan time.Time
	if wait > 0 {
		t := time.NewTimer(wait)
		defer t.Stop()
		due = t.C
	}
	select {
	case <-h.wake:
	case <-due:
	case <-ctx.Done():
	case <-hard.Done():
	}
}

// deliver tries to until it succeeds, is refused, or has no attempts left. Once
// ctx is done there is one more attempt, at once.
func (h *hook) deliver(ctx, hard context.Context, a *Alert, w Webhook) {
	body, err := json.Marshal(a)
	if err != nil { // strings, times and integers always marshal
		panic(err)
	}
	log := h.s.o.Log.With("webhook", h.url.host(), "event", string(a.Event), "upstream", a.Upstream)
	for n := 0; ; n++ {
		last := ctx.Err() != nil || n == len(pauses)
		said := h.s.post(hard, w, a, body)
		switch {
		case said.err == nil:
			h.s.o.Count(a.Event, Delivered)
			log.DebugContext(ctx, "alert delivered", "attempts", n+1)
			return
		case hard.Err() != nil:
			h.s.o.Count(a.Event, Dropped)
			log.WarnContext(ctx, "alert dropped", "error", said.err, "attempts", n+1)
			return
		case said.final || last:
			h.s.o.Count(a.Event, Failed)
			log.WarnContext(ctx, "alert not delivered", "error", said.err, "attempts", n+1)
			return
		}
		log.DebugContext(ctx, "alert not delivered yet", "error", said.err, "attempts", n+1)
		pause(ctx, hard, max(jitter(pauses[n]), min(said.retryAfter, maxRetryAfter)))
	}
}

// pause blocks for d, or until a context is done.
func pause(ctx, hard context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	case <-hard.Done():
	}
}

// jitter returns d ± 20 %.
func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64()))
}
