package upstream

import "time"

// openings are what a breaker tells of its openings, and remembers for that. All is
// guarded by the breaker's mu, but for tell.
type openings struct {
	// tell makes the mark of an opening; nil if nobody wants any. It never changes.
	tell func(at time.Time, by []Mark) Mark

	failed []suspect // the last failures of this epoch
	last   opening
}

// opening is the end of one of the breaker's epochs.
type opening struct {
	epoch uint64
	at    time.Time
	by    []Mark
	told  bool
	mark  Mark // if it is told, and anybody wanted to know
}

// suspect is a call or a probe that failed.
type suspect struct {
	at time.Time
	by Mark
}

// blame keeps what a failure came of.
func (o *openings) blame(now time.Time, by []Mark) {
	for _, m := range by {
		if m != nil {
			o.failed = append(o.failed, suspect{now, m})
		}
	}
	if n := len(o.failed) - maxTies; n > 0 {
		o.failed = o.failed[n:]
	}
}

// note takes note of the opening that ends an epoch, once for each: from whoever is
// the first to know of it. What failed longer ago than window is none of its causes.
func (o *openings) note(now time.Time, epoch uint64, window time.Duration) {
	if o.tell == nil || o.last.epoch == epoch {
		return
	}
	o.last = opening{epoch: epoch, at: now}
	for _, s := range o.failed {
		if now.Sub(s.at) <= window {
			o.last.by = append(o.last.by, s.by)
		}
	}
}

// markOf returns the mark of the opening that ended an epoch. It is made when it is
// asked for first: an opening that an order undid is never shown.
func (o *openings) markOf(epoch uint64) Mark {
	x := &o.last
	if o.tell == nil || x.epoch != epoch {
		return nil
	}
	if !x.told {
		x.told, x.mark = true, o.tell(x.at, x.by)
	}
	return x.mark
}

// openingOf returns the mark of the opening that ended an epoch or, since a link
// was found dead in it, is about to; nil if there is none.
func (b *breaker) openingOf(epoch uint64) Mark {
	b.mu.Lock()
	defer b.mu.Unlock()
	if epoch != 0 && b.gate.Load() == epoch {
		b.note(time.Now(), epoch, b.config().Window)
	}
	return b.markOf(epoch)
}

// opened returns the mark of the opening after which it is open now, nil if there
// is none.
func (b *breaker) opened() Mark {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.markOf(b.epoch)
}
