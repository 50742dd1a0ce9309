package main

import (
	"context"
	"os"
	"strconv"
	"time"
)

// startWatchdog tells systemd twice in each WATCHDOG_USEC that the gateway is
// alive, where it wants to know (sd_watchdog_enabled(3)). Once the end has begun
// server.shutdown_timeout takes its place.
func (s *service) startWatchdog(ctx context.Context) {
	every := watchdogInterval(os.Getenv, os.Getpid()) / 2
	if every <= 0 {
		return
	}
	s.vigil.Go(func() {
		beat := time.NewTicker(every)
		defer beat.Stop()
		for {
			select {
			case <-s.over:
				return
			case <-beat.C:
			}
			if ctx.Err() != nil || s.alive(ctx, every) {
				tellSystemd("WATCHDOG=1")
			} else {
				s.log.ErrorContext(ctx, "the gateway does not answer its watchdog")
			}
		}
	})
}

// alive asks the gateway, which may take the time of a beat to answer.
func (s *service) alive(ctx context.Context, limit time.Duration) bool {
	brief, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return s.gw.Alive(brief) || ctx.Err() != nil
}

// watchdogInterval returns how often the process must be heard of, 0 for never.
func watchdogInterval(getenv func(string) string, pid int) time.Duration {
	if of := getenv("WATCHDOG_PID"); of != "" && of != strconv.Itoa(pid) {
		return 0 // another process of the service is meant
	}
	micros, err := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64)
	if err != nil || micros < 0 {
		return 0
	}
	return time.Duration(micros) * time.Microsecond
}
