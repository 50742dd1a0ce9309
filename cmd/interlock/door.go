package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/gateway/config"
)

// door is the way of a bridge to its gateway, which it starts when there is none.
// It is for one goroutine.
type door struct {
	app    *app
	reach  reach
	linger time.Duration
	// keeper is how long a gateway that was not started in the background has to come
	// back by itself: whoever keeps it would find its place taken.
	keeper time.Duration
	// profile is what the client is to see, "" for what it gets without.
	profile string

	kept time.Time // when to start one at the earliest: before, somebody else is expected to
}

const (
	// lookAgain is how often a gateway that is about to begin or end is looked for.
	lookAgain = 20 * time.Millisecond
	// askAgain is the same for each of many bridges.
	askAgain = 100 * time.Millisecond
	// startLimit is how long a gateway may take to begin or to end.
	startLimit = time.Minute
	// answerLimit is how long what listens on the admin address may take to answer.
	answerLimit = 10 * time.Second
	// keeperTime is the usual door.keeper.
	keeperTime = 3 * time.Second
)

var (
	errSlow = errors.New("the gateway neither begins nor ends")
	errMute = errors.New("what listens on the gateway's admin address does not answer")
)

// open connects to the gateway. It blocks until that is done or impossible.
func (d *door) open(ctx context.Context) (io.ReadWriteCloser, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, startLimit, errSlow)
	defer cancel()
	for started := false; ; {
		conn, place, err := d.attach(ctx)
		switch e := new(admin.Error); {
		case err == nil:
			if !conn.Background {
				return &lasting{conn, d}, nil
			}
			return conn, nil
		case errors.As(err, &e) && e.Code == admin.CodeDraining, errors.Is(err, admin.ErrUnreachable) && time.Now().Before(d.kept):
			if err := aMoment(ctx, askAgain); err != nil {
				return nil, err
			}
		case errors.Is(err, admin.ErrUnreachable) && place != nil && !started:
			if err := d.start(ctx, place); err != nil {
				return nil, err
			}
			started = true
		default:
			return nil, failed(err)
		}
	}
}

// lasting is a connection to a gateway that somebody else keeps running.
type lasting struct {
	io.ReadWriteCloser
	d *door
}

// Close notes that the gateway may be about to come back.
func (l *lasting) Close() error {
	l.d.kept = time.Now().Add(l.d.keeper)
	return l.ReadWriteCloser.Close()
}

// place is where a gateway of a configuration is, or would be.
type place struct {
	files []string // absolute
	cfg   *config.Config
}

// attach connects to the gateway if it runs. place is nil where none is to be
// started.
func (d *door) attach(ctx context.Context) (*admin.Attached, *place, error) {
	var at *place
	var roots []string
	if d.reach.admin == "" {
		cfg, err := config.Load(config.LoadOptions{Files: d.reach.files})
		switch {
		case errors.Is(err, config.ErrNoFile):
			// The user's own gateway may run nevertheless.
			if conn, _ := d.connect(ctx, nil); conn != nil {
				return conn, nil, nil
			}
			return nil, nil, err
		case err != nil:
			// One that runs may have the variables that are missing here.
			if len(d.reach.files) > 0 {
				if conn, _ := d.connect(ctx, rootFiles(d.reach.files, nil)); conn != nil {
					return conn, nil, nil
				}
			}
			return nil, nil, err
		}
		at = &place{absolute(d.reach.files, cfg), cfg}
		roots = rootFiles(d.reach.files, cfg)
	}
	conn, err := d.connect(ctx, roots)
	return conn, at, err
}

func (d *door) connect(ctx context.Context, roots []string) (*admin.Attached, error) {
	c, err := d.reach.client()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeoutCause(ctx, answerLimit, errMute)
	defer cancel()
	return c.AttachIn(ctx, d.profile, roots...)
}

// aMoment waits for d before something is looked for again, or returns the cause
// of ctx's end.
func aMoment(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// absolute are the configuration files that were named, or the one that was
// found.
func absolute(named []string, cfg *config.Config) []string {
	if len(named) == 0 && len(cfg.Sources) > 0 {
		named = cfg.Sources[:1]
	}
	files := slices.Clone(named)
	for i, f := range files {
		if abs, err := filepath.Abs(f); err == nil {
			files[i] = abs
		}
	}
	return files
}

// rootFiles are the same in a form that does not depend on who means them.
func rootFiles(named []string, cfg *config.Config) []string {
	files := absolute(named, cfg)
	for i, f := range files {
		if real, err := filepath.EvalSymlinks(f); err == nil {
			files[i] = real
		}
	}
	return files
}

// stateFolder makes the folder of a configuration's state.
func stateFolder(cfg *config.Config) (string, error) {
	if cfg.StateDir == "" {
		return "", errors.New("there is no folder for the state: set state_dir")
	}
	return cfg.StateDir, os.MkdirAll(cfg.StateDir, 0o700)
}
