package plugin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	goplugin "github.com/hashicorp/go-plugin"
)

// keep owns the process: it sees that there is one until ctx is done, and ends the
// last.
func (p *Plugin) keep(ctx context.Context, now *process) {
	pause := &backoff.ExponentialBackOff{
		InitialInterval: p.config.Restart.Delay, MaxInterval: p.config.Restart.MaxDelay,
		RandomizationFactor: 0.2, Multiplier: 2,
	}
	for now != nil {
		why := p.watch(ctx, now)
		p.isLost(why)
		p.running.Store(nil)
		if ctx.Err() != nil {
			now.end(grace)
			return
		}
		now.end(0)
		p.late.Store(0)
		lived := time.Since(now.born)
		if lived > p.config.Restart.MaxDelay {
			pause.Reset()
		}
		p.env.Log.WarnContext(ctx, "plugin lost", "error", why, "pid", now.runner.ID(), "lived", lived)
		now = p.another(ctx, pause)
	}
}

// another starts another process, after a pause, and again until there is one. It
// returns nil when ctx is done.
func (p *Plugin) another(ctx context.Context, pause *backoff.ExponentialBackOff) *process {
	for {
		wait := time.NewTimer(pause.NextBackOff())
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return nil
		}
		next, err := launch(ctx, &p.config, p.env)
		if err == nil && !p.same(next.info) {
			next.end(grace)
			err = errors.New("it now wants to be asked about something else: reload the configuration to use it")
		}
		switch {
		case err == nil:
			p.again.Add(1)
			p.running.Store(next)
			p.env.Log.InfoContext(ctx, "plugin started again", "plugin", next.info.GetName(), "version", next.info.GetVersion(), "pid", next.runner.ID(), "took", time.Since(next.born))
			if p.env.Restarted != nil {
				p.env.Restarted(p.env.Name)
			}
			return next
		case ctx.Err() != nil:
			return nil
		}
		p.isLost(err)
		p.env.Log.ErrorContext(ctx, "plugin not started", "error", err)
	}
}

// isLost keeps why there is no process.
func (p *Plugin) isLost(why error) {
	if why != nil {
		text := clip(why.Error(), maxReason)
		p.lost.Store(&text)
	}
}

// watch blocks until the process is no longer of use, and says why, or until ctx is
// done.
func (p *Plugin) watch(ctx context.Context, now *process) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cut := make(chan struct{})
	p.tasks.Go(func() {
		now.conn.WaitForStateChange(ctx, connectivity.Ready)
		close(cut)
	})
	tick := time.NewTicker(p.config.Health.Interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-now.runner.process().Exited():
			return fmt.Errorf("it ended: %s", now.runner.process().Exit())
		case <-cut:
			if ctx.Err() != nil {
				return nil
			}
			select { // mostly because it did
			case <-now.runner.process().Exited():
				return fmt.Errorf("it ended: %s", now.runner.process().Exit())
			case <-time.After(lastMoment):
				return errors.New("its connection ended")
			}
		case which := <-p.hung:
			if which == now {
				return fmt.Errorf("it was late %d times in a row", lateLimit)
			}
		case <-tick.C:
			if err := p.ping(ctx, now); err != nil {
				return err
			}
		}
	}
}

// ping asks the process whether it lives.
func (p *Plugin) ping(ctx context.Context, now *process) error {
	in, cancel := context.WithTimeout(ctx, p.config.Health.Timeout)
	defer cancel()
	r, err := now.health.Check(in, &grpc_health_v1.HealthCheckRequest{Service: goplugin.GRPCServiceName})
	switch {
	case ctx.Err() != nil:
		return nil
	case in.Err() != nil:
		return fmt.Errorf("it did not say within %s that it lives", p.config.Health.Timeout)
	case err != nil:
		return fmt.Errorf("health: %s", status.Convert(err).Message())
	case r.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING:
		return fmt.Errorf("health: it says %s", r.GetStatus())
	}
	return nil
}
