package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// serve runs the API on l until the test ends.
func serve(t *testing.T, l *Listener) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, Handler(Options{State: &fakeState{ready: true}})) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
}

// stateDir is short: a unix socket's path is.
func stateDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "il")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func TestSocket(t *testing.T) {
	dir := filepath.Join(stateDir(t), "state")
	l, err := Listen("", "", dir)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" {
		for path, want := range map[string]os.FileMode{"": 0o700, socketName: 0o600} {
			info, err := os.Stat(filepath.Join(dir, path))
			if err != nil || info.Mode().Perm() != want {
				t.Errorf("%s: mode %v (%v), want %v", path, info.Mode().Perm(), err, want)
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, Handler(Options{State: &fakeState{ready: true}})) }()

	c, err := NewClient("", "", dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if ups, err := c.Upstreams(ctx, Select{}); err != nil || len(ups) != 2 || ups[0].PID != 42 {
		t.Errorf("Upstreams: %v, %v", ups, err)
	}
	if u, err := c.Info(ctx, "a/b"); err != nil || u.LastFailure == nil {
		t.Errorf("Info: %v, %v", u, err)
	}
	if tools, problems, err := c.Tools(ctx); err != nil || len(tools) != 1 || len(problems) != 0 {
		t.Errorf("Tools: %v, %v, %v", tools, problems, err)
	}
	if r, err := c.Ready(ctx); err != nil || !r.Ready {
		t.Errorf("Ready: %v, %v", r, err)
	}
	got, err := c.Call(ctx, "files__echo", json.RawMessage(`{"n":12345678901234567890}`))
	if err != nil || !strings.Contains(string(got), "12345678901234567890") {
		t.Errorf("Call: %s, %v", got, err)
	}
	var e *Error
	if _, err := c.Call(ctx, "nope", nil); !errors.As(err, &e) || e.Code != CodeUnknownTool || e.Mend == "" {
		t.Errorf("Call of an unknown tool: %v", err)
	}

	if _, err := Listen("", "", dir); !errors.Is(err, ErrInUse) {
		t.Errorf("a second gateway: %v, want ErrInUse", err)
	}
	c.Close()
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, socketName)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
	if _, err := c.Ready(t.Context()); !errors.Is(err, ErrUnreachable) {
		t.Errorf("after the end: %v, want ErrUnreachable", err)
	}
}

// A gateway that was killed leaves its socket behind.
func TestStaleSocketIsReplaced(t *testing.T) {
	dir := stateDir(t)
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, socketName), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	_ = dead.Close()
	l, err := Listen("", "", dir)
	if err != nil {
		t.Fatal(err)
	}
	serve(t, l)
	c, _ := NewClient("", "", dir)
	defer c.Close()
	if _, err := c.Upstreams(t.Context(), Select{}); err != nil {
		t.Error(err)
	}
}

func TestCloseLeavesTheSocketOfAnother(t *testing.T) {
	dir := stateDir(t)
	path := filepath.Join(dir, socketName)
	l, err := Listen("", "", dir)
	if err != nil {
		t.Fatal(err)
	}
	// The file stays open so that its inode is not used again at once.
	if err := os.Rename(path, path+".kept"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	if _, err := os.Stat(path); err != nil {
		t.Errorf("Close removed what was not its own: %v", err)
	}
}

func TestListenRefuses(t *testing.T) {
	dir := stateDir(t)
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, listen, has string }{
		{"beyond loopback", "0.0.0.0:0", "this machine only"},
		{"all addresses", ":0", "this machine only"},
		{"a name", "example.com:80", "this machine only"},
		{"no port", "127.0.0.1", "want host:port"},
		{"a file in its place", "unix:" + file, "no socket"},
		{"a long path", "unix:/" + strings.Repeat("x", 104), "shorter state_dir"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, err := Listen(tt.listen, "t", dir)
			if err == nil {
				_ = l.Close()
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), tt.has) {
				t.Errorf("%v does not say %q", err, tt.has)
			}
		})
	}
}

func TestTCP(t *testing.T) {
	dir := stateDir(t)
	l, err := Listen("127.0.0.1:0", "", dir)
	if err != nil {
		t.Fatal(err)
	}
	serve(t, l)
	if _, err := Listen(l.Target, "", dir); !errors.Is(err, ErrInUse) {
		t.Errorf("a second listener: %v, want ErrInUse", err)
	}
	if info, err := os.Stat(filepath.Join(dir, tokenName)); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("token file: %v, %v", info, err)
	}
	c, err := NewClient("http://"+l.Target, "", dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Upstreams(t.Context(), Select{}); err != nil {
		t.Errorf("with the token of state_dir: %v", err)
	}
	c2, _ := NewClient(l.Target, "wrong", dir)
	defer c2.Close()
	var e *Error
	if _, err := c2.Upstreams(t.Context(), Select{}); !errors.As(err, &e) || e.Code != CodeUnauthorized {
		t.Errorf("with a wrong token: %v", err)
	}
	again, err := ensureToken(filepath.Join(dir, tokenName))
	if err != nil || again != l.token || len(again) < 40 {
		t.Errorf("token %q, then %q (%v): it must be kept", l.token, again, err)
	}
}

func TestEmptyTokenFile(t *testing.T) {
	dir := stateDir(t)
	if err := os.WriteFile(filepath.Join(dir, tokenName), []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if l, err := Listen("127.0.0.1:0", "", dir); err == nil {
		_ = l.Close()
		t.Error("an empty token was accepted")
	}
}

// The error once spoke of a socket that nobody had asked for.
func TestStateDirThatCannotBeWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Listen("", "", file)
	if err == nil || !strings.Contains(err.Error(), "set state_dir (now "+file+")") {
		t.Errorf("got %v", err)
	}
}
