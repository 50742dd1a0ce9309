package upstream

import (
	"time"

	"github.com/cenkalti/backoff/v5"
)

// exhaustedDelay is how often an upstream is tried again after max_attempts.
const exhaustedDelay = 10 * time.Minute

// recovery decides when an upstream in error is started again.
type recovery struct {
	// attempts are the restarts in a row that were not followed by `stable` of
	// running.
	attempts  int
	exhausted bool
	delays    *backoff.ExponentialBackOff
	at        time.Time
	planned   bool
}

// reset forgets all attempts: the next start may be at once.
func (r *recovery) reset(c *Config) {
	*r = recovery{planned: true, delays: &backoff.ExponentialBackOff{
		InitialInterval:     min(c.Restart.Delay, c.Restart.MaxDelay),
		RandomizationFactor: 0.2,
		Multiplier:          2,
		MaxInterval:         c.Restart.MaxDelay,
	}}
}

// plan is what a decision is made on.
type plan struct {
	now time.Time
	// ranSince is when it reached running, zero if it did not.
	ranSince time.Time
	// lost says that there is nothing left to probe.
	lost bool
	// atLeast is how long the server asked to wait.
	atLeast time.Duration
}

// plan decides on the next start after a failure. planned is false if there
// will be none but by an operator.
func (r *recovery) plan(c *Config, p plan) (at time.Time, planned bool) {
	ran := !p.ranSince.IsZero()
	if ran && p.now.Sub(p.ranSince) >= c.Restart.Stable {
		r.reset(c)
	}
	r.planned = c.Restart.Policy != Never
	if !r.planned {
		return time.Time{}, false
	}
	r.exhausted = c.Restart.Policy != Always && r.attempts >= c.Restart.MaxAttempts
	var wait time.Duration
	switch {
	case r.exhausted:
		wait = exhaustedDelay
	case ran && p.lost && r.attempts == 0:
		// It worked a moment ago and is gone: nothing is gained by waiting.
	default:
		wait = min(r.delays.NextBackOff(), c.Restart.MaxDelay)
	}
	r.at = p.now.Add(max(wait, p.atLeast))
	return r.at, true
}

func (r *recovery) next() (at time.Time, planned bool) { return r.at, r.planned }

// began counts an attempt.
func (r *recovery) began() {
	if !r.exhausted {
		r.attempts++
	}
}
