package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/gateway/config"
)

// errStop ends a service that was asked to end.
var errStop = errors.New("stop")

// run serves until a signal, ctx, the client on stdin or a listener's failure
// ends it, and blocks until nothing is left.
func (s *service) run(ctx context.Context) error {
	paceCollector()
	signals := make(chan os.Signal, 4) // as many as may come while one is handled
	signal.Notify(signals, stopSignals...)
	signal.Notify(signals, reloadSignals...)
	defer signal.Stop(signals)

	var tasks sync.WaitGroup
	defer tasks.Wait()
	ctx, end := context.WithCancelCause(ctx) // its end begins the shutdown
	defer end(nil)
	upstreams, stopUpstreams := context.WithCancel(context.WithoutCancel(ctx))
	defer stopUpstreams()
	operators, stopAdmin := context.WithCancel(context.WithoutCancel(ctx))
	defer stopAdmin()

	began, stopped := time.Now(), make(chan error, 1)
	tasks.Go(func() { stopped <- s.gw.Run(upstreams) })
	s.greet()
	tasks.Go(func() { s.report(ctx, began, &tasks) })
	var servers []*http.Server
	if s.face != nil {
		face := s.gw.Server()
		servers = append(servers, face)
		tasks.Go(func() { end(served("endpoint", face.Serve(s.gw.Listener(s.face)))) })
	} else if s.o.stdio {
		defer surviveClosedPipes()()
		tasks.Go(func() {
			err := s.gw.ServeStdioIn(operators, s.o.profile, s.app.in, s.app.out)
			if err == nil || errors.Is(err, context.Canceled) {
				err = errStop
			}
			end(err)
		})
	}
	if s.metrics != nil {
		m := s.metricsServer()
		servers = append(servers, m)
		tasks.Go(func() { end(served("metrics", m.Serve(s.metrics))) })
	}
	if s.admin != nil {
		h := admin.Handler(admin.Options{
			State: s.gw.State(), Metrics: s.tel.MetricsHandler(), Means: s.means, Attach: s.attach, Background: s.o.background, Version: s.app.version, Log: s.log,
		})
		tasks.Go(func() { end(served("admin", admin.Serve(operators, s.admin, h))) })
	}
	if s.o.linger > 0 {
		tasks.Go(func() { s.lingers(ctx, end) })
	}
	s.startWatchdog(ctx)
	tellSystemd("READY=1")
	s.loop(ctx, signals, end)

	s.beginEnd(signals)
	err := s.shutdown(ctx, servers, stopUpstreams, stopped)
	stopAdmin()
	if cause := context.Cause(ctx); !errors.Is(cause, errStop) && !errors.Is(cause, context.Canceled) {
		err = cause
	}
	return err
}

// served is what the end of a server means for the gateway.
func served(what string, err error) error {
	if err == nil || errors.Is(err, http.ErrServerClosed) {
		return errStop
	}
	return fmt.Errorf("%s: %w", what, err)
}

// loop obeys signals and reloads until ctx is done.
func (s *service) loop(ctx context.Context, signals <-chan os.Signal, end context.CancelCauseFunc) {
	unwatch := s.watch(ctx)
	defer func() { unwatch() }()
	for {
		select {
		case <-ctx.Done():
			return
		case sig := <-signals:
			if isStop(sig) {
				end(errStop)
				return
			}
			s.reload(ctx, "signal")
		case <-s.poke:
			s.reload(ctx, "change of a file")
		case <-s.reloads.came:
			if s.showReloads() {
				unwatch()
				unwatch = s.watch(ctx)
			}
		}
	}
}

// watch pokes when a file of the configuration changes, until the returned
// function is called, which waits for its end.
func (s *service) watch(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	files := s.cfg.Sources
	watching.Go(func() {
		err := config.Watch(ctx, files, func() {
			select {
			case s.poke <- struct{}{}:
			default: // one reload sees all changes
			}
		})
		if err != nil {
			s.log.WarnContext(ctx, "configuration files are not watched: reload with SIGHUP", "error", err)
		}
	})
	return func() { cancel(); watching.Wait() }
}
