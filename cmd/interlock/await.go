package main

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/gateway/config"
)

// awaitPlace reports whether a gateway runs. One that is about to end is waited
// for.
func awaitPlace(ctx context.Context, cfg *config.Config) (runs bool, err error) {
	for {
		switch r, err := readiness(ctx, cfg); {
		case errors.Is(err, admin.ErrUnreachable):
			return false, nil
		case err != nil:
			return false, err
		case !r.Draining:
			return true, nil
		}
		if err := aMoment(ctx, lookAgain); err != nil {
			return false, err
		}
	}
}

// awaitStart waits until the gateway answers. The error says how it ended.
func awaitStart(ctx context.Context, cfg *config.Config, ended <-chan error) error {
	again := time.NewTicker(lookAgain)
	defer again.Stop()
	for {
		if _, err := readiness(ctx, cfg); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case err := <-ended:
			if err == nil {
				err = io.ErrUnexpectedEOF // it ended as if all was well
			}
			return err
		case <-again.C:
		}
	}
}

// readiness asks the gateway of a configuration whether it is ready.
func readiness(ctx context.Context, cfg *config.Config) (admin.Readiness, error) {
	c, err := admin.NewClient(cfg.Admin.Listen, cfg.Admin.Token, cfg.StateDir)
	if errors.Is(err, os.ErrNotExist) { // without a token it has never run
		return admin.Readiness{}, admin.ErrUnreachable
	} else if err != nil {
		return admin.Readiness{}, err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeoutCause(ctx, answerLimit, errMute)
	defer cancel()
	return c.Ready(ctx)
}
