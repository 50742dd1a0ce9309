package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// starterCommand is the hidden command that starts a gateway in the background.
// It stands between a bridge and the gateway, so that the gateway is no child of
// a client's: some clients end all that came of them.
const starterCommand = "__background"

// lockName is the file in state_dir that a starter locks.
const lockName = "start.lock"

// start has a gateway started for the configuration, unless another bridge is
// faster, and blocks until it answers. The error says why it does not.
func (d *door) start(ctx context.Context, at *place) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("the path of this program: %w", err)
	}
	args := []string{starterCommand, "--linger", d.linger.String()}
	for _, f := range at.files {
		args = append(args, "-c", f)
	}
	cmd := exec.Command(self, args...) //nolint:noctx // it must end what it began, though the client goes away
	cmd.Dir = filepath.Dir(at.files[0])
	var said bytes.Buffer
	cmd.Stderr = &said
	detach(cmd)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start of a gateway: %w", err)
	}
	ended := make(chan error, 1) // nobody may be there to take it
	go func() { ended <- cmd.Wait() }()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case err = <-ended:
	}
	text := strings.TrimPrefix(strings.TrimSpace(said.String()), "interlock: ")
	if exit := new(exec.ExitError); errors.As(err, &exit) && exit.ExitCode() > 0 {
		return &failure{exit.ExitCode(), errors.New(text), ""}
	} else if err != nil {
		return fmt.Errorf("start of a gateway: %w: %s", err, text)
	}
	if text != "" {
		d.app.errs.printf("interlock: %s\n", text)
	}
	return nil
}

func (a *app) backgroundCommand() *cobra.Command {
	var o serveOptions
	cmd := &cobra.Command{Use: starterCommand, Hidden: true, Args: cobra.NoArgs}
	configFlag(cmd, &o.files)
	cmd.Flags().DurationVar(&o.linger, "linger", 0, "how long the gateway goes on without clients; 0 for ever")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return failed(a.background(cmd.Context(), o)) }
	return cmd
}

// background starts a gateway that outlives this process, unless one runs. It
// blocks until the gateway answers, and says on stderr what the user should know.
func (a *app) background(ctx context.Context, o serveOptions) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startLimit, errSlow)
	defer cancel()
	cfg, err := o.load()
	if err != nil {
		return err
	}
	dir, err := stateFolder(cfg)
	if err != nil {
		return err
	}
	unlock, err := lockFile(ctx, filepath.Join(dir, lockName))
	if err != nil {
		return err
	}
	defer unlock()
	if runs, err := awaitPlace(ctx, cfg); runs || err != nil {
		return err
	}
	log, err := openLog(filepath.Join(dir, logName))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	from := log.size
	ended, err := o.spawn(log.file)
	if err != nil {
		return err
	}
	err = awaitStart(ctx, cfg, ended)
	said := log.since(from)
	if err == nil {
		for _, line := range said {
			if text, ok := strings.CutPrefix(line, warning); ok {
				a.errs.printf("%s\n", text)
			}
		}
		return nil
	}
	code := exitFailed
	if exit := new(exec.ExitError); errors.As(err, &exit) && exit.ExitCode() > 0 {
		code, err = exit.ExitCode(), errors.New("it ended at once")
	}
	text := append([]string{fmt.Sprintf("the gateway in the background did not start: %v", err)}, said[max(len(said)-tailLines, 0):]...)
	return &failure{code, errors.New(strings.Join(text, "\n  ")), "its log: " + log.path}
}

// tailLines is how much of the log of a gateway is shown that did not start.
const tailLines = 10

// warning begins the lines in the log of a start that its client should see.
const warning = "interlock: warning: "

// spawn starts the gateway itself. ended gives how it ended.
func (o serveOptions) spawn(log *os.File) (ended <-chan error, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("the path of this program: %w", err)
	}
	args := []string{"serve", "--background", "--linger", o.linger.String()}
	for _, f := range o.files {
		args = append(args, "-c", f)
	}
	cmd := exec.Command(self, args...) //nolint:noctx // it outlives this process
	cmd.Stdout, cmd.Stderr = log, log
	// What runs the client is not to be told of the gateway.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return strings.HasPrefix(kv, "NOTIFY_SOCKET=") || strings.HasPrefix(kv, "WATCHDOG_")
	})
	detach(cmd)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	done := make(chan error, 1) // this process may end first
	go func() { done <- cmd.Wait() }()
	return done, nil
}
