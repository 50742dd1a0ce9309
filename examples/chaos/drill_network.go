package main

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// networkDrills are faults of a remote and of the way to it.
func networkDrills() []drill {
	patient := map[string]any{"call_timeout": "3s", "limits": map[string]any{"queue_timeout": "1s"}, "breaker": map[string]any{"failures": 1000000, "min_requests": 1000000}, "health": map[string]any{"interval": "10m"}}
	return []drill{
		{fault: "F14", run: badNetwork, sick: failing(1, kind{remote: true, modern: true}, patient)},
		{fault: "F15", run: cutStreams, sick: failing(1, kind{remote: true, modern: true}, patient)},
		{fault: "F16", run: forgotten, sick: failing(1, kind{remote: true}, with(patient, map[string]any{"isolation": "shared"}))},
		{fault: "F17", run: turnedAway, sick: guarded},
		{fault: "F18", run: retryAfter, sick: failing(1, kind{remote: true, modern: true}, patient)},
	}
}

// badNetwork puts each toxic in the way of a few calls at a time.
func badNetwork(ctx context.Context, s *stand) error {
	p := s.sick[0]
	var mu sync.Mutex
	var worst time.Duration
	for k, f := range faults {
		if f.network == nil {
			continue
		}
		for i := range s.times {
			mend := f.network(p)
			s.row.Injected++
			var work sync.WaitGroup
			for j := range 4 {
				c, err := s.client(ctx, fmt.Sprintf("s%d.%d.%d", k, i, j))
				if err != nil {
					return err
				}
				work.Go(func() {
					began := time.Now()
					s.sickCall(ctx, c, p, 0)
					mu.Lock()
					defer mu.Unlock()
					worst = max(worst, time.Since(began))
				})
			}
			work.Wait()
			mend()
		}
	}
	s.within("answered after", worst, 5*time.Second) // for a start, for the answer, and P1
	return nil
}

// cutStreams cuts the way before, during and after the result.
func cutStreams(ctx context.Context, s *stand) error {
	c, err := s.client(ctx, "s")
	if err != nil {
		return err
	}
	right, n := 0, 0
	for range s.times {
		for mode, want := range map[string]verdict{"cutbefore": unknown, "cutin": unknown, "cutafter": answered} {
			end := s.sick[0].begin("cut", mode)
			s.row.Injected++
			n++
			if got := s.sickCall(ctx, c, s.sick[0], n); got == want {
				right++
			}
			end()
		}
	}
	s.exactly("right", right, n)
	return nil
}

// forgotten: the session is gone while 50 calls come.
func forgotten(ctx context.Context, s *stand) error {
	p, ok := s.sick[0], 0
	clients, err := s.connected(ctx, 50)
	if err != nil {
		return err
	}
	s.sickCall(ctx, clients[0], p, 1_000_000)
	before := p.fake.Initialized()
	for n := range s.times {
		p.fake.Forget()
		s.row.Injected++
		var mu sync.Mutex
		var work sync.WaitGroup
		for _, c := range clients {
			work.Go(func() {
				if s.sickCall(ctx, c, p, n) == answered {
					mu.Lock()
					defer mu.Unlock()
					ok++
				}
			})
		}
		work.Wait()
	}
	s.exactly("handshakes", p.fake.Initialized()-before, s.times)
	if ok != 50*s.times {
		s.missed("%d of %d answered", ok, 50*s.times)
	}
	return nil
}

// retryAfter: nothing is sent before the time that a 429 named.
func retryAfter(ctx context.Context, s *stand) error {
	p := s.sick[0]
	clients, err := s.connected(ctx, 20)
	if err != nil {
		return err
	}
	for n := range s.times {
		end := p.begin("429", "retry=1")
		s.row.Injected++
		s.sickCall(ctx, clients[0], p, 2*n) // it learns, and tries once more
		early := p.fake.Early()
		end()
		var work sync.WaitGroup
		for _, c := range clients {
			work.Go(func() { s.sickCall(ctx, c, p, 2*n+1) })
		}
		work.Wait()
		if p.fake.Early() > early {
			s.missed("round %d", n)
		}
		wait(ctx, time.Second)
	}
	s.exactly("sent early", p.fake.Early(), 0)
	return nil
}
