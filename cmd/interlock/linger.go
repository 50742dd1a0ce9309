package main

import (
	"context"
	"time"
)

// lingers ends a gateway that was started for clients when they have been gone
// for o.linger, and returns when it did or ctx is done.
func (s *service) lingers(ctx context.Context, end context.CancelCauseFunc) {
	timer := time.NewTimer(s.o.linger)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		left := s.o.linger - s.gw.Unused()
		if left <= 0 {
			s.say.printf("no client for %v\n", s.o.linger)
			end(errStop)
			return
		}
		timer.Reset(left)
	}
}
