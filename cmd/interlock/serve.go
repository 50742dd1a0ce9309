package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/spf13/cobra"
)

// serveOptions is how a gateway is run.
type serveOptions struct {
	files  []string
	listen string // instead of the configuration's, "" for that
	stdio  bool   // one client on stdin and stdout, no listener
	// profile is what that client sees, "" for what it gets without.
	profile string
	quiet   bool // leave out the opening lines
	// background is for a gateway that a client's need started: its log goes to a
	// file, and it does without the addresses that others have.
	background bool
	// linger ends it when no client has used it for so long; 0 for never.
	linger time.Duration
	// settled, if not nil, is called once every upstream is ready or has failed,
	// with the address of the endpoint. Its context ends with the gateway.
	settled func(ctx context.Context, endpoint string)
}

func (a *app) serveCommand() *cobra.Command {
	var o serveOptions
	cmd := &cobra.Command{
		Use: "serve", GroupID: "run", Args: cobra.NoArgs,
		Short: "Run the gateway",
		Long: `Runs the gateway: writes its endpoint, then a line for each server as it becomes ready or
fails. Clients are served from the first moment on.

TERM and INT let the calls in flight end and stop the servers in reverse order; a second
one exits at once. HUP, and a change of a configuration file, reload the configuration: an
invalid one changes nothing, and servers that did not change go on undisturbed.

The log goes to stderr: text on a terminal, where only warnings are shown unless
telemetry.logs.level is debug, else JSON. systemd is told when the gateway is ready
(Type=notify-reload).`,
		Example: `  interlock serve
  interlock serve -c interlock.yaml -c team.yaml
  interlock serve --listen 127.0.0.1:9000
  interlock serve --stdio -c interlock.yaml     for a client that starts its servers itself`,
	}
	configFlag(cmd, &o.files)
	cmd.Flags().StringVar(&o.listen, "listen", "", "`ADDRESS` to listen on instead of the configuration's server.listen")
	cmd.Flags().BoolVar(&o.stdio, "stdio", false, "serve one client on stdin and stdout instead of listening")
	cmd.Flags().StringVar(&o.profile, "profile", "", "with --stdio, have the client see this `PROFILE` and no more")
	cmd.Flags().BoolVar(&o.background, "background", false, "log to state_dir, and do without addresses that are taken")
	cmd.Flags().DurationVar(&o.linger, "linger", 0, "end when no client has used the gateway for so long")
	for _, hidden := range []string{"background", "linger"} { // interlock stdio sets them
		_ = cmd.Flags().MarkHidden(hidden)
	}
	cmd.MarkFlagsMutuallyExclusive("listen", "stdio")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if o.profile != "" && !o.stdio {
			return usage("its clients use its path, SERVER.PATH/p/"+o.profile, "--profile is for --stdio")
		}
		return failed(a.serve(cmd.Context(), o))
	}
	return cmd
}

// serve runs a gateway until a signal or ctx ends it.
func (a *app) serve(ctx context.Context, o serveOptions) error {
	s := &service{app: a, o: o, say: a.out, poke: make(chan struct{}, 1), over: make(chan struct{})}
	s.reloads.came = make(chan struct{}, 1)
	if o.stdio {
		s.say = a.errs // stdout is the client's
	}
	defer s.close()
	s.startWatcher()
	cfg, err := o.load()
	if err != nil {
		return err
	}
	if o.profile != "" && cfg.Profile(o.profile) == nil {
		return &failure{exitBadConfig, fmt.Errorf("no profile is named %q", o.profile), "the configuration has its profiles below profiles"}
	}
	s.cfg, s.roots = cfg, rootFiles(o.files, cfg)
	if o.background {
		if err := s.logToFile(); err != nil {
			return err
		}
	}
	for _, w := range cfg.Warnings {
		w.Render(s.app.errs, s.app.errs.colour)
	}
	if err := s.open(ctx); err != nil {
		return err
	}
	return s.run(ctx)
}

// logToFile has all that the gateway says from now on written to its log. What
// the runtime says at a crash goes where stderr does: to the same file, or, once
// that was set aside, to the one set aside.
func (s *service) logToFile() error {
	dir, err := stateFolder(s.cfg)
	if err != nil {
		return err
	}
	log, err := openLog(filepath.Join(dir, logName))
	if err != nil {
		return err
	}
	own := *s.app
	own.out, own.errs = newScreen(log), newScreen(log)
	s.app, s.say = &own, own.out
	s.say.printf("%s interlock %s in the background, pid %d\n", time.Now().Format(time.RFC3339), own.version, os.Getpid())
	return nil
}

// load reads the configuration, with what the command line says.
func (o serveOptions) load() (*config.Config, error) {
	cfg, err := config.Load(config.LoadOptions{Files: o.files})
	if err == nil && o.listen != "" {
		changed := *cfg
		changed.Server.Listen = o.listen
		if changed.Server.Open() {
			return nil, &failure{exitBadConfig, fmt.Errorf("--listen %s %s", o.listen, config.Exposed), config.ExposedMend}
		}
		cfg = &changed
	}
	return cfg, err
}
