package upstream

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/interlock-mcp/interlock/upstream/upstreamtest"
)

// living returns which of the pids in a PIDFile are of living processes.
func living(t testing.TB, file string) []int {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out []int
	for line := range strings.Lines(string(b)) {
		pid, err := strconv.Atoi(strings.TrimSpace(line))
		if err != nil {
			t.Fatal(err)
		}
		if alive(pid) {
			out = append(out, pid)
		}
	}
	return out
}

// awaitLines waits until a file has so many lines.
func awaitLines(t *testing.T, file string, count int) {
	t.Helper()
	for end := time.Now().Add(patient); ; <-time.After(time.Millisecond) {
		b, _ := os.ReadFile(file)
		if bytes.Count(b, []byte("\n")) >= count {
			return
		}
		if time.Now().After(end) {
			t.Errorf("no %d lines in %q", count, b)
			return
		}
	}
}

func TestStdioStartFails(t *testing.T) {
	for _, test := range []struct{ modes, exit, stderr string }{
		{"exit0", "exit status 0", "cannot open the database"},
		{"exit3", "exit status 3", "cannot open the database"},
		{"segv", "signal: segmentation fault", ""},
		{"killself", "signal: killed", ""},
		{"exitoninit", "exit status 3", "no such database"},
	} {
		t.Run(test.modes, func(t *testing.T) {
			d := fakeDial(t, test.modes)
			_, _ = d.Stderr.Write([]byte("a line of an earlier run\n"))
			_, err := dialStdio(t.Context(), d, testReaper())
			var e *StartError
			if !errors.As(err, &e) {
				t.Fatalf("error %v", err)
			}
			if e.Stage != "handshake" || !strings.HasPrefix(e.Exit, test.exit) {
				t.Errorf("stage %q, exit %q, want %q", e.Stage, e.Exit, test.exit)
			}
			if test.stderr != "" && !slices.Equal(e.Stderr, []string{test.stderr}) {
				t.Errorf("stderr = %q", e.Stderr)
			}
		})
	}
}

func TestStdioSpawnFails(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"not in PATH": {func(c *Config) { c.Command = "no-such-command-anywhere" }, "was not found in PATH"},
		"no file":     {func(c *Config) { c.Command = "/no/such/file" }, "no such file"},
		"a folder":    {func(c *Config) { c.Command = os.TempDir() }, ""},
		"no cwd":      {func(c *Config) { c.Cwd = "/no/such/folder" }, "cwd /no/such/folder is not a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			d := fakeDial(t, "ok")
			test.change(d.Config)
			_, err := dialStdio(t.Context(), d, testReaper())
			var e *StartError
			if !errors.As(err, &e) || e.Stage != "spawn" || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want a spawn error with %q", err, test.want)
			}
		})
	}
}

func TestStdioCommandIsFoundInTheChildsOwnPath(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink(os.Args[0], filepath.Join(dir, "my-server")); err != nil {
		t.Fatal(err)
	}
	d := fakeDial(t, "ok", "PATH", dir)
	d.Config.Command = "my-server"
	startFake(t, d)
}

// A server that never answers initialize: at the deadline all of its tree is
// killed, also what left the group.
func TestStdioHangsInHandshake(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	d := fakeDial(t, "hang,ignoreterm,sh,setsid", upstreamtest.PIDFile, pids)
	d.Config.StopTimeout = time.Hour // which a child without a client does not get
	var spawned int
	d.Spawned = func(pid int) { spawned = pid }
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	go func() {
		awaitLines(t, pids, 3)
		cancel(errors.New("start_timeout"))
	}()
	_, err := dialStdio(ctx, d, testReaper())
	var e *StartError
	if !errors.As(err, &e) || e.Stage != "handshake" || e.Exit != "" || !strings.Contains(err.Error(), "start_timeout") {
		t.Errorf("error %v", err)
	}
	if left := living(t, pids); len(left) > 0 {
		t.Errorf("%v survived", left)
	}
	if spawned == 0 {
		t.Error("Spawned was not called")
	}
}

func TestChildEnv(t *testing.T) {
	parent := []string{
		"HOME=/h", "PATH=/bin", "LC_ALL=C", "XDG_RUNTIME_DIR=/r", "https_proxy=http://p", "SSL_CERT_FILE=/c", "DOCKER_HOST=d",
		"SECRET_TOKEN=s", "AWS_REGION=eu", "AWS_KEY=k", "SHELL=() { :; }", "LANG=old", "INTERLOCK_CHILD=other", "broken",
	}
	got := childEnv(parent, []string{"AWS_R*"}, map[string]string{"LANG": "new", "OWN": "a=b"}, "m.1")
	want := []string{
		"AWS_REGION=eu", "DOCKER_HOST=d", "HOME=/h", "INTERLOCK_CHILD=m.1", "LANG=new", "LC_ALL=C", "OWN=a=b", "PATH=/bin",
		"SSL_CERT_FILE=/c", "XDG_RUNTIME_DIR=/r", "https_proxy=http://p",
	}
	if !slices.Equal(got, want) {
		t.Errorf("environment\n%q, want\n%q", got, want)
	}
}
