package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/interlock-mcp/interlock/gateway"
	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/oauth/vault"
)

// beside starts the upstreams of cfg once, whether or not a gateway runs with
// it: in a gateway without listeners, with a state folder of its own, but with the
// sign-ins that there are. It calls
// each as each of them is ready or has failed, look when all have, and blocks
// until they are stopped.
func (a *app) beside(ctx context.Context, cfg *config.Config, each func(admin.Upstream), look func(*gateway.Gateway) error) error {
	dir, err := os.MkdirTemp("", "interlock-beside-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	mine := *cfg
	mine.StateDir = dir
	mine.Upstreams = slices.Clone(cfg.Upstreams)
	for i := range mine.Upstreams {
		mine.Upstreams[i].Start, mine.Upstreams[i].Restart.Policy = upstream.Eager, upstream.Never
	}
	if mine.Policies, err = pinsApart(cfg.Policies, dir); err != nil {
		return err
	}
	signIns, err := vault.Open(vault.Options{Dir: cfg.StateDir, Where: vault.Where(cfg.SignIn.Store)})
	if err != nil {
		return err
	}
	log := slog.New(slog.DiscardHandler)
	watcher, err := upstream.StartWatcher(log)
	if err != nil {
		return err
	}
	defer watcher.Close()
	gw, err := gateway.New(&mine, gateway.Options{Log: log, Version: a.version, Watcher: watcher, SignIns: signIns})
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	stopped := make(chan error, 1)
	go func() { stopped <- gw.Run(running) }()
	err = await(ctx, gw, each)
	if err == nil {
		gw.Alive(ctx) // what clients would see is made of what upstreams have come to a moment later
		err = look(gw)
	}
	stop()
	if runErr := <-stopped; err == nil {
		err = runErr
	}
	return err
}

// await tells of each upstream as it settles, until all have.
func await(ctx context.Context, gw *gateway.Gateway, each func(admin.Upstream)) error {
	done := map[string]bool{}
	for {
		ups := gw.List(admin.Select{})
		for _, u := range ups {
			if !done[u.Name] && (u.State == "running" || u.State == "error") {
				done[u.Name] = true
				u.NextRetry = time.Time{} // there will be none
				each(u)
			}
		}
		if allSettled(ups) {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.New("interrupted")
		case <-gw.Changed():
		}
	}
}
