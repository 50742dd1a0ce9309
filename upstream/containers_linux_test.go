package upstream

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// containing returns a reaper that keeps its records in a state folder.
func containing(stateDir string, log *slog.Logger) *reaper {
	r := testReaper()
	r.containers = newContainers(log, stateDir, r.instance)
	return r
}

// files returns what is in a state folder beside locks.
func files(t *testing.T, stateDir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(stateDir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && filepath.Ext(path) != ".lock" {
			names = append(names, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// TestContainerIsRemoved is F34: however its client ends, nothing is left of it.
func TestContainerIsRemoved(t *testing.T) {
	for _, c := range []struct {
		name, line string
		kill       bool // the client, with KILL
	}{
		{"ends by itself", "docker run -i ok", false},
		{"ends by itself and is removed", "docker run -i --rm ok", false},
		{"ignores all", "docker run -i ignoreterm", false},
		{"podman", "podman container run -i ignoreterm", false},
		{"another engine", "docker --context=far run -i ignoreterm", false},
		{"client killed", "docker run -i --rm ignoreterm", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e, state := newEngine(t), t.TempDir()
			l := startFakeWith(t, e.dial(c.line), containing(state, slog.New(slog.DiscardHandler)))
			resultOf(t, l, toolCall(t, "echo", "{}", ""))
			if n := len(e.containers()); n != 1 {
				t.Fatalf("%d containers", n)
			}
			box := l.proc.container
			line := strings.Join(e.asked()[0], " ")
			if want := " --label interlock.upstream=box --label interlock.child=" + box.Child + " --cidfile " + box.CIDFile + " -i"; !strings.Contains(line, "run"+want) {
				t.Errorf("run as %q, want %q in it", line, want)
			}
			if id := box.id(); id != e.containers()[0] {
				t.Errorf("the id is known as %q", id)
			}
			if c.kill {
				_ = syscall.Kill(l.proc.pid, syscall.SIGKILL)
				<-l.Lost()
			}
			l.Close(context.Background())
			if left := e.containers(); len(left) > 0 {
				t.Errorf("left: %v; the engine was asked %q", left, e.asked())
			}
			if left := files(t, state); len(left) > 0 {
				t.Errorf("files left: %v", left)
			}
		})
	}
}

// TestContainerWithoutFile: what wrote no id, as where there is no state folder,
// is found by its label, and nothing else is.
func TestContainerWithoutFile(t *testing.T) {
	e := newEngine(t)
	other := startFake(t, e.dial("docker run -i --label interlock.child=other ignoreterm"))
	others := e.containers()
	l := startFake(t, e.dial("docker run -i ignoreterm"))
	if slices.Contains(e.asked()[1], "--cidfile") {
		t.Errorf("run as %q", e.asked()[1])
	}
	l.Close(context.Background())
	if left := e.containers(); !slices.Equal(left, others) {
		t.Errorf("left: %v, want %v", left, others)
	}
	resultOf(t, other, toolCall(t, "echo", "{}", ""))
}

// TestUsersCIDFile is read and goes with its container, or the next start would
// fail. One that was there before tells another container's id, which is not ours
// to remove.
func TestUsersCIDFile(t *testing.T) {
	e, dir := newEngine(t), t.TempDir()
	d := e.dial("docker run -i --cidfile own.cid ignoreterm")
	d.Config.Cwd = dir
	for range 2 {
		l := startFakeWith(t, d, containing(t.TempDir(), slog.New(slog.DiscardHandler)))
		if line := e.asked()[len(e.asked())-1]; strings.Count(strings.Join(line, " "), "--cidfile") != 1 {
			t.Errorf("run as %q", line)
		}
		if id := l.proc.container.id(); !slices.Equal(e.containers(), []string{id}) {
			t.Errorf("the id is known as %q", id)
		}
		l.Close(context.Background())
		if left := e.containers(); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	}
	other := startFake(t, e.dial("docker run -i ignoreterm"))
	others := e.containers()
	if err := os.WriteFile(filepath.Join(dir, "own.cid"), []byte(others[0]), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := dialStdio(t.Context(), d, containing(t.TempDir(), slog.New(slog.DiscardHandler)))
	if e, ok := errors.AsType[*StartError](err); !ok || !strings.Contains(strings.Join(e.Stderr, " "), "container ID file found") {
		t.Errorf("%v", err)
	}
	if left := e.containers(); !slices.Equal(left, others) || readCID(filepath.Join(dir, "own.cid")) != others[0] {
		t.Errorf("left: %v, want %v and their file", left, others)
	}
	resultOf(t, other, toolCall(t, "echo", "{}", ""))
}

// TestKilledGatewaysContainersAreSwept kills a gateway, and starts others: one
// beside it, which leaves its containers alone, and one after it.
func TestKilledGatewaysContainersAreSwept(t *testing.T) {
	e, state := newEngine(t), t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), testGateway+"=container", "GORACE=atexit_sleep_ms=0",
		"STATE="+state, "DOCKER="+filepath.Join(e.bin, "docker"), "DOCKER_CONFIG="+e.dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("%q, %v", line, err)
	}
	before := e.containers()
	if len(before) != 3 {
		t.Fatalf("%d containers, want 3", len(before))
	}
	beside := containing(state, slog.New(slog.DiscardHandler))
	beside.containers.sweep(t.Context())
	live := startFakeWith(t, e.dial("docker run -i ignoreterm"), beside)
	if n := len(e.containers()); n != 4 {
		t.Fatalf("%d containers, want 4", n)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()

	// While the engine hangs the sweep does, and starts go on.
	over := e.trouble("hang")
	log := new(bytes.Buffer)
	after := containing(state, slog.New(slog.NewTextHandler(log, nil)))
	ctx, cancel := context.WithCancel(t.Context())
	swept := make(chan struct{})
	go func() {
		defer close(swept)
		after.containers.sweep(ctx)
	}()
	if c, box := after.containers.contain(e.dial("docker run -i ok").Config, os.Environ(), "x"); box == nil || len(c.Args) < 4 {
		t.Errorf("%+v", c)
	} else {
		box.forget()
	}
	select {
	case <-swept:
		t.Error("swept without the engine")
	default:
	}
	cancel() // the gateway stops
	<-swept
	over()
	if n := len(e.containers()); n != 4 || !strings.Contains(log.String(), "container not removed") || !strings.Contains(log.String(), "context canceled") {
		t.Errorf("%d containers, want 4 and to be told that there was no time; log:\n%s", n, log)
	}

	last := containing(state, slog.New(slog.NewTextHandler(log, nil)))
	last.containers.sweep(t.Context())
	if left := e.containers(); len(left) != 1 || slices.Contains(before, left[0]) {
		t.Errorf("left: %v; log:\n%s", left, log)
	}
	resultOf(t, live, toolCall(t, "echo", "{}", ""))
	live.Close(context.Background())
	if left := append(e.containers(), files(t, state)...); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// TestEngineThatIsDown at a stop: the container is left to the next gateway.
func TestEngineThatIsDown(t *testing.T) {
	e, state := newEngine(t), t.TempDir()
	log := new(bytes.Buffer)
	r := containing(state, slog.New(slog.NewTextHandler(log, nil)))
	l := startFakeWith(t, e.dial("docker run -i ignoreterm"), r)
	over := e.trouble("down")
	l.Close(context.Background())
	if !strings.Contains(log.String(), "Cannot connect to the Docker daemon") || len(e.containers()) != 1 {
		t.Errorf("%d containers, log:\n%s", len(e.containers()), log)
	}
	over()
	_ = r.containers.lock.Close() // as the end of the gateway does
	next := containing(state, slog.New(slog.DiscardHandler))
	// The start of the same upstream is after the removal, sweep or not: a name or
	// a port may be taken.
	startFakeWith(t, e.dial("docker run -i ok"), next).Close(context.Background())
	if left := append(e.containers(), files(t, state)...); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	next.containers.sweep(t.Context())
	if left, _ := os.ReadDir(filepath.Join(state, "containers")); len(left) != 2 { // its own folder and lock
		t.Errorf("left: %v", left)
	}
}

// containerGateway is a gateway with three upstreams in containers.
func containerGateway() error {
	log := slog.New(slog.DiscardHandler)
	w, err := StartWatcher(log)
	if err != nil {
		return err
	}
	r := newReaper(log, w)
	r.containers = newContainers(log, os.Getenv("STATE"), r.instance)
	for _, name := range []string{"a", "b", "c"} {
		c := Defaults()
		c.Protocol, c.Name, c.Command, c.Args = LegacyProtocol, name, os.Getenv("DOCKER"), []string{"run", "-i", "ignoreterm"}
		c.PassEnv = []string{"DOCKER_CONFIG", "GORACE"}
		if _, err := dialStdio(context.Background(), &Dial{Config: &c}, r); err != nil {
			return err
		}
	}
	_, err = os.Stdout.WriteString("ready\n")
	if err == nil {
		select {}
	}
	return err
}
