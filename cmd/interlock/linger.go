package main

import (
	"context"
	"time"
)

// lingers ends a gateway that was started for clients when they have been gone
// for o.linger, and returns when it did or ctx is done. The first of them has as long
// to come as a start may take: it waits for that.
func (s *service) lingers(ctx context.Context, end context.CancelCauseFunc) {
	began := time.Now()
	timer := time.NewTimer(s.o.linger)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		unused := s.gw.Unused()
		left := s.o.linger - unused
		if came := unused < time.Since(began); !came && left <= 0 {
			left = min(startLimit-unused, max(s.o.linger, lookAgain))
		}
		if left <= 0 {
			s.say.printf("no client for %v\n", s.o.linger)
			end(errStop)
			return
		}
		timer.Reset(left)
	}
}
