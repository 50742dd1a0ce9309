package main

import (
	"context"
	"time"
)

// besideSlow measures the gateway's fast calls alone, and while n calls wait in
// another upstream and in the same.
func besideSlow(upstream string, n int) func(context.Context, *stage) ([]*way, error) {
	return func(ctx context.Context, s *stage) ([]*way, error) {
		with, err := s.overStdio(2)
		if upstream == "http" {
			var up *party
			if up, err = s.start(ctx, role{name: "upstream-http", ports: 2}); err == nil {
				with = overHTTP(up.urls...)
			}
		}
		if err != nil {
			return nil, err
		}
		lock, err := s.gateway(ctx, with)
		if err != nil {
			return nil, err
		}
		first, second := lock.targets[:1], lock.targets[1:]
		alone := &way{name: "alone", targets: first, middle: lock.middle}
		alone.under(echo, 4)
		ways := []*way{alone}
		for _, c := range []struct {
			name  string
			where []target
		}{{"beside slow ones elsewhere", second}, {"beside slow ones there", first}} {
			// All share a session, in which no id is used twice.
			share := len(ways) * 200_000_000
			waiting := &way{name: "slow", targets: c.where, used: share}
			w := &way{name: c.name, floor: "alone", targets: first, middle: lock.middle, used: share + 100_000_000}
			w.run = func(ctx context.Context, d time.Duration) (figures, error) {
				// They are all asked once, wait for as long as the load takes, and
				// are answered after it.
				over := make(chan error, 1)
				go func() {
					_, err := waiting.pour(ctx, slow(int((d + 300*time.Millisecond).Milliseconds())), n, time.Nanosecond)
					over <- err
				}()
				wait(ctx, 50*time.Millisecond)
				f, err := w.measure(ctx, echo, 4, d)
				if late := <-over; err == nil {
					err = late
				}
				return f, err
			}
			ways = append(ways, w)
		}
		return ways, nil
	}
}
