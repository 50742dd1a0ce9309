package e2e

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// home makes a home folder for one test and checks, when the test is over, that
// no process still lives that was started with it. Its path is short, since a
// unix socket's may have 107 bytes.
func home(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "il")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		left := waitNone(dir, time.Minute)
		for pid, command := range left {
			t.Errorf("process %d was left behind: %s", pid, command)
			_ = kill(pid)
		}
		_ = os.RemoveAll(dir)
	})
	return dir
}

// kill is kill -9.
func kill(pid int) error {
	p, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	return p.Kill()
}

// brief has programs that are built with the race detector end at once, not a second
// later: it has told all it knows by then.
const brief = "atexit_sleep_ms=0"

// environ is what every process of a test gets: nothing of the developer's own
// but the path, the proxies' absence included.
func environ(dir string, more ...string) []string {
	return append([]string{"HOME=" + dir, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + dir, "NO_COLOR=1", "NO_PROXY=127.0.0.1,localhost", "GORACE=" + brief}, more...)
}

// waitNone waits until no process has dir as its HOME, and returns those that
// still do when the time is up.
func waitNone(dir string, patience time.Duration) map[int]string {
	end := time.NewTimer(patience)
	defer end.Stop()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		left := living(dir)
		if len(left) == 0 {
			return nil
		}
		select {
		case <-end.C:
			return left
		case <-again.C:
		}
	}
}

// living returns the processes whose HOME is dir, by pid, with their command
// lines. Children of the gateway get HOME from it, so they are found too,
// whatever group or session they moved to. Zombies have no environment.
func living(dir string) map[int]string {
	found := map[int]string{}
	environs, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range environs {
		env, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(append([]byte{0}, env...), []byte("\x00HOME="+dir+"\x00")) {
			continue
		}
		proc := filepath.Dir(file)
		pid, _ := strconv.Atoi(filepath.Base(proc))
		command, _ := os.ReadFile(filepath.Join(proc, "cmdline"))
		found[pid] = strings.ReplaceAll(string(command), "\x00", " ")
	}
	return found
}

// stop ends a process that the test started: politely, and after patience not.
// It returns false if it had to be killed.
func stop(cmd *exec.Cmd, exited <-chan struct{}, patience time.Duration) bool {
	_ = cmd.Process.Signal(syscall.SIGTERM)
	end := time.NewTimer(patience)
	defer end.Stop()
	select {
	case <-exited:
		return true
	case <-end.C:
		_ = cmd.Process.Kill()
		<-exited
		return false
	}
}

// startSaying is start, and blocks until the command has said its word.
func startSaying(ctx context.Context, t *testing.T, dir string, cmd *exec.Cmd, said *watcher) (<-chan struct{}, *tail) {
	t.Helper()
	exited, log := start(ctx, t, dir, cmd)
	select {
	case <-said.seen:
	case <-exited:
		t.Fatalf("%v exited: %s", cmd.Args, cmd.ProcessState)
	case <-ctx.Done():
		t.Fatalf("%v has not said %q: %v\n%s", cmd.Args, said.word, context.Cause(ctx), said)
	}
	return exited, log
}

// start runs a command in dir's environment until the test ends and returns a
// channel that is closed once it has exited. What it prints on stderr is shown
// if the test fails.
func start(ctx context.Context, t *testing.T, dir string, cmd *exec.Cmd) (<-chan struct{}, *tail) {
	t.Helper()
	log := new(tail)
	if cmd.Stderr == nil {
		cmd.Stderr = log
	}
	if cmd.Env == nil {
		cmd.Env = environ(dir)
	}
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		select {
		case <-exited:
		default:
			stop(cmd, exited, time.Minute)
		}
		if strings.Contains(log.String(), "DATA RACE") {
			t.Errorf("%s: a data race", cmd.Path)
		}
		if t.Failed() {
			t.Logf("stderr of %s:\n%s", strings.Join(cmd.Args, " "), log)
		}
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			t.Error(context.Cause(ctx))
		}
	})
	return exited, log
}
