package upstream

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/interlock-mcp/interlock/upstream/upstreamtest"
)

func TestStdioStopKillsWhatIgnoresTERM(t *testing.T) {
	d := fakeDial(t, "ignoreterm")
	d.Config.StopTimeout = 200 * time.Millisecond
	l := startFake(t, d)
	began := time.Now()
	if kind := l.Close(t.Context()); kind != Killed {
		t.Errorf("stopped %s, want killed", kind)
	}
	// Not before: a timer is late at times, and early never.
	if took := time.Since(began); took < 400*time.Millisecond {
		t.Errorf("took %v, want 2 x 200ms", took)
	}
	if exists(l.proc.pid) {
		t.Error("a zombie is left")
	}
}

func TestStdioStopByForce(t *testing.T) {
	d := fakeDial(t, "ignoreterm")
	d.Config.StopTimeout = time.Hour
	l := startFake(t, d)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if kind := l.Close(ctx); kind != Killed {
		t.Errorf("stopped %s, want killed", kind)
	}
}

// Grandchildren that ignore TERM: all are gone when Close returns, and it
// returns although one of them held the pipes open.
func TestStdioStopReachesGrandchildren(t *testing.T) {
	for _, mode := range []string{"sh", "doublefork", "setsid", "holdstderr", "sh,doublefork,setsid,holdstderr"} {
		t.Run(mode, func(t *testing.T) {
			pids := filepath.Join(t.TempDir(), "pids")
			l := startFake(t, fakeDial(t, mode, upstreamtest.PIDFile, pids))
			if len(living(t, pids)) < 2 {
				t.Fatal("there is no grandchild")
			}
			if kind := l.Close(t.Context()); kind == Survived {
				t.Errorf("stopped %s", kind)
			}
			if left := living(t, pids); len(left) > 0 {
				t.Errorf("%v survived", left)
			}
		})
	}
}

// A server that ends by itself while a grandchild holds its stdout: the link is
// lost all the same, with the reason, and the grandchild goes too.
func TestStdioLostWhileGrandchildHoldsPipes(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	l := startFake(t, fakeDial(t, "holdstderr", upstreamtest.PIDFile, pids))
	_, err := l.Do(t.Context(), toolCall(t, "exit", `{"code":3}`, ""))
	if reasonOf(err) != "exit" || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("error %v", err)
	}
	l.Close(t.Context())
	if left := living(t, pids); len(left) > 0 {
		t.Errorf("%v survived", left)
	}
}

// The gateway is killed with 20 children and their grandchildren, some in
// sessions of their own: soon none is left, nor the watcher.
func TestWatcherEndsWhatAKilledGatewayLeft(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	gateway := exec.Command(os.Args[0])
	gateway.Env = append(os.Environ(), testGateway+"=kill", upstreamtest.PIDFile+"="+pids)
	gateway.Stderr = os.Stderr
	out, err := gateway.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := gateway.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make([]byte, 5)
	_, err = out.Read(ready)
	all := living(t, pids)
	if err != nil || len(all) < 60 {
		t.Errorf("the gateway said %q, %v, with %d processes", ready, err, len(all))
	}
	left := goneBy(all, func() time.Time {
		if err := gateway.Process.Kill(); err != nil {
			t.Error(err)
		}
		return time.Now().Add(patient)
	})
	if len(left) > 0 {
		t.Errorf("%d processes are left", len(left))
	}
	_ = gateway.Wait()
}

// A gateway that ends in order: the watcher ends with it, and what died in its
// care left no zombie.
func TestWatcherCloses(t *testing.T) {
	out, err := gatewayRun(t, "close")
	if err != nil || strings.TrimSpace(out) != "ready\nclosed" {
		t.Errorf("the gateway said %q, %v", out, err)
	}
}

func gatewayRun(t *testing.T, mode string) (string, error) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), testGateway+"="+mode, "GORACE=atexit_sleep_ms=0", upstreamtest.PIDFile+"="+filepath.Join(t.TempDir(), "pids"))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	return string(out), err
}
