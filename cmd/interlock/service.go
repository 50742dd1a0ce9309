package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/interlock-mcp/interlock/gateway"
	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/interlock-mcp/interlock/telemetry"
	"github.com/interlock-mcp/interlock/upstream"
)

// service is a gateway with its listeners, from open to close. The goroutine
// that calls run owns it.
type service struct {
	app   *app
	o     serveOptions
	cfg   *config.Config // the running one
	roots []string       // its files as bridges name them; those of the start
	say   *screen        // where the endpoint and a line per upstream go

	log     *slog.Logger
	tel     *telemetry.Telemetry
	watched chan error // nil until startWatcher; gives once how the start of watcher went
	watcher *upstream.Watcher
	gw      *gateway.Gateway
	face    net.Listener    // nil with --stdio, and where the address of one in the background is taken
	admin   *admin.Listener // nil where another gateway has it, with --stdio
	metrics net.Listener    // nil for none

	poke    chan struct{} // capacity 1: a configuration file has changed
	reloads reloads

	budget time.Time      // when the end must be over; zero before it begins
	over   chan struct{}  // closed when close is done
	vigil  sync.WaitGroup // what goes on until then
}

// open builds all parts and opens the listeners; nothing runs yet. What was
// opened before an error is for close to end.
func (s *service) open(ctx context.Context) error {
	if err := s.listen(); err != nil {
		return err
	}
	logs := s.cfg.Telemetry
	if s.app.errs.terminal && logs.Logs.Level == "info" {
		logs.Logs.Level = "warn" // the lines per upstream say the rest
	}
	s.log = telemetry.NewLogger(logs, s.app.errs, s.app.errs.terminal)
	var err error
	from := telemetry.Resource{Version: s.app.version, Log: s.log, Stdout: s.app.out}
	if s.o.stdio {
		from.Stdout = nil // the client's
	}
	if s.tel, err = telemetry.Start(ctx, s.cfg.Telemetry, from); err != nil {
		return fmt.Errorf("telemetry: %w", err)
	}
	s.log = s.tel.Logger(s.log)
	if err := <-s.watched; err != nil {
		return err
	}
	s.watcher.LogTo(s.log)
	o := gateway.Options{
		Log: s.log, Telemetry: s.tel, Version: s.app.version, Watcher: s.watcher,
		Load: s.load, Reloaded: s.reloads.note,
	}
	if s.cfg.StateDir != "" {
		o.Added = filepath.Join(s.cfg.StateDir, gateway.AddedFile)
	}
	s.gw, err = gateway.New(s.cfg, o)
	return err
}

// listen opens the listeners, so that a taken address is known before anything
// is started. A gateway in the background does without those that others have:
// its clients are on the admin listener.
func (s *service) listen() error {
	var err error
	for _, l := range []struct {
		to           *net.Listener
		key, address string
	}{
		{&s.face, "server.listen", s.cfg.Server.Listen},
		{&s.metrics, "telemetry.metrics.listen", s.cfg.Telemetry.Metrics.Listen},
	} {
		if l.address == "" || s.o.stdio && l.to == &s.face {
			continue
		}
		*l.to, err = net.Listen("tcp", l.address)
		switch {
		case err == nil:
		case s.o.background && taken(err):
			s.app.errs.printf("%s%s %s is taken by another program: this gateway does without it\n", warning, l.key, l.address)
		default:
			return listenFailure(l.key, l.address, err)
		}
	}
	s.admin, err = admin.Listen(s.cfg.Admin.Listen, s.cfg.Admin.Token, s.cfg.StateDir)
	if !errors.Is(err, admin.ErrInUse) {
		return err
	}
	if s.o.stdio {
		return nil // a client may start as many of these as it has windows
	}
	mend := ""
	if log := filepath.Join(s.cfg.StateDir, logName); exists(log) {
		mend = "if a client started it in the background it ends when no client uses it; its pid is in " + log
	}
	return &failure{exitFailed, err, mend}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func listenFailure(key, address string, err error) error {
	mend := "set " + key + " to another address"
	if key == "server.listen" {
		mend += ", or use --listen"
	}
	if taken(err) {
		return &failure{exitFailed, fmt.Errorf("%s is taken by another program, maybe another gateway", address), mend}
	}
	return &failure{exitFailed, fmt.Errorf("%s %s: %w", key, address, err), mend}
}

// endpoint is what clients connect to, "" with --stdio.
func (s *service) endpoint() string {
	switch {
	case s.face == nil:
		return ""
	case s.cfg.Server.PublicURL != "":
		return s.cfg.Server.PublicURL
	}
	address := s.face.Addr().String()
	if host, port, err := net.SplitHostPort(address); err == nil && net.ParseIP(host).IsUnspecified() {
		address = net.JoinHostPort("127.0.0.1", port)
	}
	return scheme(&s.cfg.Server) + address + s.cfg.Server.Path
}

// scheme is how the address of the endpoint begins.
func scheme(c *config.Server) string {
	if c.TLS.Enabled() {
		return "https://"
	}
	return "http://"
}

// startWatcher begins to start the watching process. It takes as long as all that open
// does, so that the two go on side by side.
func (s *service) startWatcher() {
	s.watched = make(chan error, 1)
	log := telemetry.NewLogger(config.Defaults().Telemetry, s.app.errs, s.app.errs.terminal)
	go func() {
		defer close(s.watched)
		var err error
		if s.watcher, err = upstream.StartWatcher(log); err != nil {
			s.watched <- err
		}
	}()
}

// close ends what startWatcher and open began, in reverse, within what is left of
// the budget.
func (s *service) close() {
	defer s.vigil.Wait()
	defer close(s.over)
	for range s.watched { // it may be under way still
	}
	if s.watcher != nil {
		s.watcher.Close()
	}
	if s.tel != nil {
		ctx, cancel := context.WithTimeout(context.Background(), s.flushTime())
		defer cancel()
		if err := s.tel.Shutdown(ctx); err != nil {
			s.log.Warn("telemetry shutdown", "error", err)
		}
	}
	// Those that were served are closed already, and say so.
	if s.face != nil {
		_ = s.face.Close()
	}
	if s.metrics != nil {
		_ = s.metrics.Close()
	}
	if s.admin != nil {
		_ = s.admin.Close()
	}
}

// metricsPattern is all that there is on the listener for metrics.
const metricsPattern = "GET /metrics"

// metricsServer serves /metrics alone, for a Prometheus that may not see the
// admin listener. A page that rebinds its own name sends no Origin here, so that
// the Host is looked at too.
func (s *service) metricsServer() *http.Server {
	mux := http.NewServeMux()
	mux.Handle(metricsPattern, s.tel.MetricsHandler())
	h := s.gw.Guarded(s.cfg.Telemetry.Metrics.Listen, mux)
	return &http.Server{
		Handler: h, ReadTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug), // the endpoint's says it, once
	}
}
