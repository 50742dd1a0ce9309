package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// never restarts nothing.
var never = map[string]any{"policy": "never"}

// processDrills are faults of a child's life.
func processDrills() []drill {
	return []drill{
		{fault: "F1", run: startFails, sick: func(s *stand) error {
			for _, mode := range []string{"exit0", "exit3", "segv", "killself"} {
				if err := s.fail(1, kind{}, map[string]any{"restart": never, "protocol": "legacy"}, "static:"+mode); err != nil {
					return err
				}
			}
			return nil
		}},
		{fault: "F2", run: startHangs, sick: failing(2, kind{}, map[string]any{"restart": never, "start_timeout": "2s", "protocol": "legacy"}, "static:hang", "static:sh", "static:setsid")},
		{fault: "F3", run: killedDuringCalls, sick: failing(1, kind{}, map[string]any{
			"restart": map[string]any{"policy": "always", "delay": "1ms", "max_delay": "5ms", "stable": "1ms"},
		})},
		{fault: "F4", run: crashLoop, spare: many, sick: failing(20, kind{}, map[string]any{
			"protocol": "legacy", "restart": map[string]any{"max_attempts": 3, "delay": "50ms", "max_delay": "100ms", "stable": "1m"},
		}, "static:exit3")},
		{fault: "F8", run: stderrFlood, spare: 20 * time.Millisecond, sick: failing(1, kind{}, nil)},
		{fault: "F9", run: stdinUnread, sick: failing(1, kind{}, map[string]any{"call_timeout": "30s"})},
		{fault: "F10", run: ignoresTERM, spare: many, sick: failing(20, kind{}, map[string]any{"stop_timeout": "5s"}, "static:ignoreterm")},
		{fault: "F11", run: grandchildren, spare: many, sick: func(s *stand) error {
			for _, mode := range []string{"sh", "doublefork", "setsid", "holdstderr"} {
				if err := s.fail(5, kind{}, nil, "static:"+mode); err != nil {
					return err
				}
			}
			return nil
		}},
		{fault: "F12", run: gatewayEnds, ends: true, sick: failing(20, kind{}, map[string]any{"stop_timeout": "1s"}, "static:sh")},
	}
}

// startFails: a start by hand is told of at once.
func startFails(ctx context.Context, s *stand) error {
	var worst time.Duration
	for range (s.times + 3) / 4 {
		for _, p := range s.sick {
			began := time.Now()
			said, err := s.gateway.ordered(ctx, "restart", p.name)
			worst = max(worst, time.Since(began))
			s.row.Injected++
			if err != nil || !strings.Contains(said, `"ok":false`) {
				return fmt.Errorf("the start of %s: %s, %w", p.name, said, err)
			}
		}
	}
	s.within("told after", worst, time.Second)
	return nil
}

// startHangs: at the deadline all of its tree is gone.
func startHangs(ctx context.Context, s *stand) error {
	var worst time.Duration
	var mu sync.Mutex
	// The start that the gateway itself makes is over: a restart would end it first.
	if err := s.all(func(p *peer) error { return s.state(ctx, p, "error") }); err != nil {
		return err
	}
	for range (s.times + 1) / 2 {
		err := s.all(func(p *peer) error {
			began := time.Now()
			said, err := s.gateway.ordered(ctx, "restart", p.name)
			took := time.Since(began)
			mu.Lock()
			defer mu.Unlock()
			worst = max(worst, took)
			s.row.Injected++
			if left := living(p.pids); len(left) > 0 || err != nil || !strings.Contains(said, `"ok":false`) {
				return fmt.Errorf("the start of %s: %s, %w; left: %v", p.name, said, err, left)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	s.within("told after", worst, 3*time.Second)
	return nil
}

// all runs f for all servers that fail at once.
func (s *stand) all(f func(p *peer) error) error {
	errs := make(chan error, len(s.sick))
	for _, p := range s.sick {
		go func() { errs <- f(p) }()
	}
	var all []error
	for range s.sick {
		all = append(all, <-errs)
	}
	return errors.Join(all...)
}

// callers has n clients call the first server that fails until the function
// returned is called.
func (s *stand) callers(ctx context.Context, n int) (end func(), err error) {
	calling, stop := context.WithCancel(ctx)
	var work sync.WaitGroup
	end = func() { stop(); work.Wait() }
	for i := range n {
		c, err := s.client(ctx, fmt.Sprintf("s%d", i))
		if err != nil {
			end()
			return nil, err
		}
		work.Go(func() {
			for n := 0; calling.Err() == nil; n++ {
				if s.sickCall(calling, c, s.sick[0], n) != answered {
					wait(calling, 10*time.Millisecond) // what is down is asked again soon, not at once
				}
			}
		})
	}
	return end, nil
}

// killedDuringCalls kills ten times as often as others fail.
func killedDuringCalls(ctx context.Context, s *stand) error {
	end, err := s.callers(ctx, 50)
	if err != nil {
		return err
	}
	defer end()
	p, back := s.sick[0], 0
	for range 10 * s.times {
		was := s.gateway.upstreams(ctx)[p.name]
		before := p.lines("nonces")
		if err := s.gateway.await(ctx, "called", func() bool { return p.lines("nonces") > before+20 }); err != nil {
			return err
		}
		if c, err := os.FindProcess(p.pid()); err == nil {
			_ = c.Kill()
		}
		s.row.Injected++
		err := s.gateway.await(ctx, "restarted", func() bool {
			now := s.gateway.upstreams(ctx)[p.name]
			return now.State == "running" && now.Generation > was.Generation
		})
		if err != nil {
			return err
		}
		back++
	}
	s.exactly("back", back, 10*s.times)
	return nil
}

func crashLoop(ctx context.Context, s *stand) error {
	starts := 0
	for _, p := range s.sick {
		if err := s.gateway.await(ctx, "exhausted at "+p.name, func() bool { return s.gateway.upstreams(ctx)[p.name].Exhausted }); err != nil {
			return err
		}
	}
	for _, p := range s.sick {
		s.row.Injected++
		starts += p.lines("pids")
	}
	s.exactly("starts", starts, 4*len(s.sick))
	return nil
}

func stderrFlood(ctx context.Context, s *stand) error {
	c, err := s.client(ctx, "flooded")
	if err != nil {
		return err
	}
	most, err := s.memory(ctx, func() error {
		for range s.times {
			s.row.Injected++
			if m, err := s.tool(ctx, c, s.sick[0], "spew", `{"bytes":200000000}`, false); err != nil || len(m) != 1 {
				return fmt.Errorf("the call: %+v, %w", m, err)
			}
		}
		return nil
	})
	s.atMost("MiB more", int(most>>20), 32)
	return err
}

// stdinUnread has a child that is stopped, and calls that its pipe does not hold.
func stdinUnread(ctx context.Context, s *stand) error {
	p, large := s.sick[0], fmt.Sprintf(`{"x":%q}`, strings.Repeat("x", 100_000))
	const deadline = 10 * time.Second // for a write; upstream/reaper.go
	var worst time.Duration
	var mu sync.Mutex
	for range max(3, s.times/5) { // each takes its ten seconds
		was := s.gateway.upstreams(ctx)[p.name]
		process, err := os.FindProcess(p.pid())
		if err != nil {
			return err
		}
		pauseProcess(process)
		s.row.Injected++
		var work sync.WaitGroup
		for i := range 10 {
			c, err := s.client(ctx, fmt.Sprintf("l%d", i))
			if err != nil {
				return err
			}
			work.Go(func() {
				began := time.Now()
				m, err := s.tool(ctx, c, p, "echo", large, false)
				mu.Lock()
				defer mu.Unlock()
				worst = max(worst, time.Since(began))
				if len(m) != 1 || err != nil {
					s.ledger.violation("P1: a large call got %+v, %v", m, err)
				}
			})
		}
		work.Wait()
		err = s.gateway.await(ctx, "restarted", func() bool {
			now := s.gateway.upstreams(ctx)[p.name]
			return now.State == "running" && now.Generation > was.Generation
		})
		if err != nil {
			return err
		}
	}
	s.within("answered after", worst, deadline+time.Second)
	return nil
}

func ignoresTERM(ctx context.Context, s *stand) error {
	var mu sync.Mutex
	var most time.Duration
	least := time.Hour
	err := s.all(func(p *peer) error {
		if err := s.state(ctx, p, "running"); err != nil {
			return err
		}
		began := time.Now()
		said, err := s.gateway.ordered(ctx, "stop", p.name)
		took := time.Since(began)
		mu.Lock()
		defer mu.Unlock()
		most, least = max(most, took), min(least, took)
		s.row.Injected++
		if left := living(p.pids); err != nil || len(left) > 0 {
			return fmt.Errorf("stop: %s, %w; left: %v", said, err, left)
		}
		return nil
	})
	s.within("stopped after", most, 11*time.Second)
	if least < 10*time.Second {
		s.missed("one after %v already", least)
	}
	if n := zombies(s.gateway.cmd.Process.Pid); n > 0 {
		s.missed("%d zombies", n)
	}
	return err
}

// grandchildren are gone when a stop returns: five of each kind, again and again.
func grandchildren(ctx context.Context, s *stand) error {
	left := 0
	var mu sync.Mutex
	for range max(1, s.times/4) {
		err := s.all(func(p *peer) error {
			if _, err := s.gateway.ordered(ctx, "start", p.name); err != nil {
				return err
			}
			if n := len(living(p.pids)); n < 2 {
				return fmt.Errorf("%s has %d processes", p.name, n)
			}
			_, err := s.gateway.ordered(ctx, "stop", p.name)
			mu.Lock()
			defer mu.Unlock()
			s.row.Injected++
			left += len(living(p.pids))
			return err
		})
		if err != nil {
			return err
		}
	}
	s.exactly("left", left, 0)
	return nil
}

// gatewayEnds has the gateway end by TERM and by KILL, in turns, with 20 children,
// a child each of theirs, and calls in flight.
func gatewayEnds(ctx context.Context, s *stand) error {
	var byTERM, byKILL time.Duration
	for i := range s.times {
		if i > 0 {
			if err := s.gateway.start(ctx); err != nil {
				return err
			}
		}
		if err := s.all(func(p *peer) error { return s.state(ctx, p, "running") }); err != nil {
			return err
		}
		c, err := s.client(ctx, fmt.Sprintf("e%d", i))
		if err != nil {
			return err
		}
		over := make(chan struct{})
		go func() {
			defer close(over)
			_, _ = s.tool(ctx, c, s.sick[0], "hold", `{}`, true)
		}()
		wait(ctx, 50*time.Millisecond)
		s.row.Injected++
		began := time.Now()
		if i%2 == 0 {
			took, err := s.gateway.stop()
			if err != nil {
				return err
			}
			byTERM = max(byTERM, took)
		} else {
			_ = s.gateway.cmd.Process.Kill()
			<-s.gateway.exited
			for len(processes(s.dir)) > 0 && time.Since(began) < time.Minute {
				wait(ctx, 10*time.Millisecond)
			}
			byKILL = max(byKILL, time.Since(began))
		}
		<-over
	}
	s.within("by TERM", byTERM, 20*time.Second)
	if byKILL > 2*time.Second*time.Duration(s.slow) {
		s.missed("by KILL %v", byKILL)
	}
	s.row.Figure += fmt.Sprintf(", by KILL %v", byKILL.Round(time.Millisecond))
	s.row.Bar += ", <= 2s"
	return nil
}
