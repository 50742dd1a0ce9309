package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"time"
)

// oneAsking is how long after a signal another is the same one: timeout(1) and
// some supervisors signal the process and then its group.
const oneAsking = 200 * time.Millisecond

// beginEnd starts the clock of the shutdown: from now on another signal, or the
// end of server.shutdown_timeout, ends the process on the spot. What is left of
// the upstreams then is the watcher's.
func (s *service) beginEnd(signals <-chan os.Signal) {
	asked := time.Now()
	limit := s.cfg.Server.ShutdownTimeout
	s.budget = asked.Add(limit)
	tellSystemd(fmt.Sprintf("STOPPING=1\nSTATUS=waiting for calls in flight\nEXTEND_TIMEOUT_USEC=%d", (limit + time.Second).Microseconds()))
	s.vigil.Go(func() {
		over := time.NewTimer(limit)
		defer over.Stop()
		for {
			select {
			case <-s.over:
				return
			case <-over.C:
				s.log.Error("server.shutdown_timeout is over and the gateway has not ended: it is cut off")
				os.Exit(exitFailed)
			case sig := <-signals:
				if isStop(sig) && time.Since(asked) > oneAsking {
					os.Exit(exitFailed)
				}
			}
		}
	})
}

// reserve is the part of a budget that is kept for what comes after the stops by
// force.
func reserve(budget time.Duration) time.Duration { return min(2*time.Second, budget/4) }

// shutdown drains, stops the upstreams, and kills them if there is no time left
// for that.
func (s *service) shutdown(ctx context.Context, servers []*http.Server, stopUpstreams func(), stopped <-chan error) error {
	ctx = context.WithoutCancel(ctx)
	left := s.cfg.Server.ShutdownTimeout - reserve(s.cfg.Server.ShutdownTimeout)
	force := time.NewTimer(left)
	defer force.Stop()
	s.say.printf("%s\n", s.say.faint("stopping: waiting for calls in flight (once more to exit at once)"))
	drain, cancel := context.WithTimeout(ctx, min(s.cfg.Server.DrainTimeout, left))
	s.gw.Drain(drain)
	cancel()
	stopUpstreams()
	tellSystemd("STATUS=stopping the servers")
	for _, server := range servers {
		brief, cancel := context.WithTimeout(ctx, time.Second)
		if server.Shutdown(brief) != nil {
			_ = server.Close()
		}
		cancel()
	}
	select {
	case err := <-stopped:
		return err
	case <-force.C:
		s.log.WarnContext(ctx, "upstreams are killed: shutdown_timeout is over")
		s.gw.Kill()
		return <-stopped
	}
}

// flushTime is how long the telemetry may take that has not been sent yet.
func (s *service) flushTime() time.Duration {
	const usual = 3 * time.Second
	if s.budget.IsZero() { // nothing has run
		return usual
	}
	return min(usual, max(time.Until(s.budget)-usual/10, usual/30))
}
