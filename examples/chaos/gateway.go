package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/interlock-mcp/interlock/upstream/addrtest"
)

// gateway is `interlock serve` in front of peers.
type gateway struct {
	dir     string // all of it, and the mark of its processes
	file    string
	addr    string
	metrics string
	binary  string
	files   int      // the cap of its descriptors, 0 for none of ours
	release []func() // give its addresses back

	writing sync.Mutex // guards the file while it is replaced

	mu      sync.Mutex // guards the rest
	cmd     *exec.Cmd
	exited  chan struct{} // closed when cmd has ended
	log     *tail
	entries map[string]map[string]any // the upstreams of the file
	admin   *http.Client
}

// newGateway writes the configuration of a gateway in dir, whose path must be
// short: it holds a socket. Nothing runs yet. The caller must close it.
func newGateway(binary, dir string, upstreams map[string]map[string]any) (*gateway, error) {
	g := &gateway{dir: dir, file: filepath.Join(dir, "interlock.json"), binary: binary, entries: upstreams}
	for _, addr := range []*string{&g.addr, &g.metrics} {
		var release func()
		var err error
		if *addr, release, err = addrtest.Reserve(); err != nil {
			g.close()
			return nil, err
		}
		g.release = append(g.release, release)
	}
	socket := filepath.Join(dir, "state", "admin.sock")
	g.admin = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	return g, g.write(nil)
}

// close kills what was not stopped, and gives its addresses back.
func (g *gateway) close() {
	if g.exited != nil {
		_ = g.cmd.Process.Kill()
		<-g.exited
	}
	for _, release := range g.release {
		release()
	}
	g.release = nil
}

// write writes the file with all upstreams as change left them.
func (g *gateway) write(change func(upstreams map[string]map[string]any)) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if change != nil {
		change(g.entries)
	}
	b, err := json.Marshal(map[string]any{
		"server": map[string]any{"listen": g.addr, "shutdown_timeout": "20s"}, "state_dir": filepath.Join(g.dir, "state"), "upstreams": g.entries,
		"telemetry": map[string]any{"logs": map[string]any{"level": "warn"}, "metrics": map[string]any{"listen": g.metrics}},
	})
	if err != nil {
		return err
	}
	return g.replace(b)
}

// replace puts other bytes into the file, in one step. Several faults may do so at once.
func (g *gateway) replace(b []byte) error {
	g.writing.Lock()
	defer g.writing.Unlock()
	if err := os.WriteFile(g.file+".new", b, 0o600); err != nil {
		return err
	}
	return os.Rename(g.file+".new", g.file)
}

// start runs the binary and blocks until all that is required runs.
func (g *gateway) start(ctx context.Context) error {
	g.mu.Lock()
	g.log, g.exited = new(tail), make(chan struct{})
	g.cmd = exec.CommandContext(context.WithoutCancel(ctx), g.binary, "serve", "-c", g.file)
	if g.files > 0 {
		g.cmd = exec.CommandContext(context.WithoutCancel(ctx), "sh", "-c", fmt.Sprintf(`ulimit -n %d && exec "$0" "$@"`, g.files), g.binary, "serve", "-c", g.file)
	}
	g.cmd.Stdout, g.cmd.Stderr = g.log, g.log
	// A report of the race detector is an exit code that is looked at.
	g.cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0 exitcode=66")
	err := g.cmd.Start()
	cmd, exited := g.cmd, g.exited
	if err != nil {
		g.exited = nil
	}
	g.mu.Unlock()
	if err != nil {
		return err
	}
	go func() { _ = cmd.Wait(); close(exited) }()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	return g.await(ctx, "ready", func() bool { return g.status(ctx, "http://"+g.addr+"/readyz") == http.StatusOK })
}

// await blocks until a condition holds, which it asks for again and again.
func (g *gateway) await(ctx context.Context, what string, holds func() bool) error {
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for !holds() {
		select {
		case <-again.C:
		case <-g.exited:
			return fmt.Errorf("interlock serve ended, %s, before it was %s:\n%s", g.cmd.ProcessState, what, g.log)
		case <-ctx.Done():
			return fmt.Errorf("interlock serve was not %s: %w\n%s", what, context.Cause(ctx), g.log)
		}
	}
	return nil
}

// status is that of the answer to a GET, 0 for none.
func (g *gateway) status(ctx context.Context, url string) int {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0
	}
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		return 0
	}
	res.Body.Close()
	return res.StatusCode
}

// stop ends the gateway with TERM and blocks until it and all its processes are
// gone. It returns how long that took.
func (g *gateway) stop() (time.Duration, error) {
	began := time.Now()
	terminate(g.cmd.Process)
	select {
	case <-g.exited:
	case <-time.After(time.Minute):
		_ = g.cmd.Process.Kill()
		<-g.exited
		return time.Since(began), errors.New("interlock serve ignored TERM for a minute")
	}
	took := time.Since(began)
	g.admin.CloseIdleConnections()
	if !g.cmd.ProcessState.Success() {
		return took, fmt.Errorf("interlock serve ended with %s:\n%s", g.cmd.ProcessState, g.log)
	}
	if left := processes(g.dir); len(left) > 0 {
		return took, fmt.Errorf("P5: %d processes outlive the gateway: %s", len(left), strings.Join(left, "; "))
	}
	return took, nil
}

// ordered has the operator do something to an upstream (start, stop, restart)
// and returns the outcome's JSON.
func (g *gateway) ordered(ctx context.Context, verb, name string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://interlock/v1/upstreams/"+name+"/"+verb, strings.NewReader(`{"wait":true,"timeout":60}`))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := g.admin.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	said, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode >= http.StatusBadRequest && res.StatusCode != http.StatusNotFound { // it may have been removed
		err = fmt.Errorf("%s %s: %s %s", verb, name, res.Status, said)
	}
	return string(said), err
}

// upstream is what GET /v1/upstreams tells of one.
type upstream struct {
	Name, State, Health, Breaker string
	PID                          int
	Generation                   uint64
	Attempts                     int
	Exhausted                    bool
}

// upstreams returns all by name, nil if the gateway does not answer.
func (g *gateway) upstreams(ctx context.Context) map[string]upstream {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://interlock/v1/upstreams", nil)
	if err != nil {
		return nil
	}
	res, err := g.admin.Do(req)
	if err != nil {
		return nil
	}
	defer res.Body.Close()
	var out struct{ Upstreams []upstream }
	if json.NewDecoder(res.Body).Decode(&out) != nil {
		return nil
	}
	all := make(map[string]upstream)
	for _, u := range out.Upstreams {
		all[u.Name] = u
	}
	return all
}

// usage is what the gateway's own process holds.
type usage struct {
	Goroutines, Files, Zombies int
	Memory                     int64 // of the heap and stacks in use, in bytes
}

// usage asks for it. The figures of a system without /proc are 0.
func (g *gateway) usage(ctx context.Context) (u usage, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+g.metrics+"/metrics", nil)
	if err != nil {
		return u, err
	}
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		return u, err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return u, err
	}
	for line := range bytes.Lines(raw) {
		name, value, _ := strings.Cut(strings.TrimSpace(string(line)), " ")
		n, err := strconv.ParseFloat(value, 64)
		switch {
		case err != nil:
		case name == "go_goroutines":
			u.Goroutines = int(n)
		case name == "process_open_fds":
			u.Files = int(n)
		case name == "go_memstats_heap_inuse_bytes", name == "go_memstats_stack_inuse_bytes":
			u.Memory += int64(n)
		}
	}
	u.Zombies = zombies(g.cmd.Process.Pid)
	return u, nil
}

// near reports whether it is about what was held before.
func (u usage) near(before usage) bool {
	return u.Goroutines <= before.Goroutines+20 && u.Files <= before.Files+10 && u.Zombies == 0
}

// back blocks until what the gateway holds is what held wants, for two minutes at
// most: it keeps idle connections for a minute and a half.
func (g *gateway) back(ctx context.Context, held func(now usage) bool, before usage) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	var now usage
	err := g.await(ctx, "back to what it held", func() bool {
		u, err := g.usage(ctx)
		if err != nil { // an answer that did not come says nothing
			return false
		}
		now = u
		return held(u)
	})
	if err != nil {
		return fmt.Errorf("P6: %+v, was %+v: %w", now, before, err)
	}
	return nil
}

// with returns an upstream's entry with more keys.
func with(entry map[string]any, more map[string]any) map[string]any {
	out := maps.Clone(entry)
	maps.Copy(out, more)
	return out
}

// tail keeps the end of what is written to it. It is safe for concurrent use.
type tail struct {
	mu sync.Mutex // guards b
	b  []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if extra := len(t.b) - 64<<10; extra > 0 {
		t.b = append(t.b[:0], t.b[extra:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}
