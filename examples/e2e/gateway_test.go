package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-mcp/interlock/upstream/addrtest"
)

// gateway is `interlock serve` as a user runs it.
type gateway struct {
	t      *testing.T
	ctx    context.Context //nolint:containedctx // the test's deadline, which every wait of this kit obeys
	dir    string
	config string
	addr   string
	cmd    *exec.Cmd
	exited <-chan struct{}
	log    *tail
}

// url is the MCP endpoint.
func (g *gateway) url() string { return "http://" + g.addr + "/mcp" }

// newGateway writes a configuration with the given upstreams (JSON of the
// `upstreams` object; all of them should be `required`), starts the gateway on
// a free port, and returns once all are up.
func newGateway(ctx context.Context, t *testing.T, dir string, upstreams fields) *gateway {
	t.Helper()
	g := configure(ctx, t, dir, upstreams)
	g.start()
	return g
}

// configure is newGateway without the start.
func configure(ctx context.Context, t *testing.T, dir string, upstreams fields) *gateway {
	t.Helper()
	g := &gateway{t: t, ctx: ctx, dir: dir, config: filepath.Join(dir, "interlock.json"), addr: addrtest.Free(t)}
	raw, err := json.Marshal(fields{
		"server":    fields{"listen": g.addr},
		"state_dir": filepath.Join(dir, "state"),
		"upstreams": upstreams,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(g.config, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return g
}

// start runs the binary and waits for /readyz.
func (g *gateway) start() {
	g.t.Helper()
	g.cmd = exec.Command(interlock, "serve", "-c", g.config)
	g.cmd.Dir = g.dir
	g.exited, g.log = start(g.ctx, g.t, g.dir, g.cmd)
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		req, err := http.NewRequestWithContext(g.ctx, http.MethodGet, "http://"+g.addr+"/readyz", nil)
		if err != nil {
			g.t.Fatal(err)
		}
		if res, err := http.DefaultClient.Do(req); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-again.C:
		case <-g.exited:
			g.t.Fatalf("interlock serve exited: %s\n%s", g.cmd.ProcessState, g.log)
		case <-g.ctx.Done():
			g.t.Fatalf("not ready: %v", context.Cause(g.ctx))
		}
	}
}

// stop ends it with TERM; it must go by itself.
func (g *gateway) stop() {
	g.t.Helper()
	if !stop(g.cmd, g.exited, time.Minute) {
		g.t.Fatal("interlock serve ignored TERM for a minute")
	}
	if code := g.cmd.ProcessState.ExitCode(); code != 0 {
		g.t.Errorf("interlock serve ended with %s", g.cmd.ProcessState)
	}
}

// kill ends it as the kernel does when memory is short.
func (g *gateway) kill() {
	g.t.Helper()
	_ = g.cmd.Process.Signal(syscall.SIGKILL)
	<-g.exited
}

// upstream is a line of `interlock list -o json`.
type upstream struct {
	Name, State string
	PID         int
	Generation  uint64
	Tools       int
	InFlight    int `json:"in_flight"`
	Queued      int
	SignIn      struct{ State, Why, How string } `json:"sign_in"`
}

// list runs `interlock list -o json` and returns the upstreams by name.
func (g *gateway) list() map[string]upstream {
	g.t.Helper()
	out := g.run("list", "-o", "json")
	var all []upstream
	if err := json.Unmarshal(out, &all); err != nil {
		g.t.Fatalf("interlock list: %v in %s", err, out)
	}
	byName := map[string]upstream{}
	for _, u := range all {
		byName[u.Name] = u
	}
	return byName
}

// run runs another interlock command against this gateway and returns its
// stdout.
func (g *gateway) run(args ...string) []byte {
	g.t.Helper()
	cmd := exec.CommandContext(g.ctx, interlock, append(args, "-c", g.config)...)
	cmd.Env, cmd.Dir = environ(g.dir), g.dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		g.t.Fatalf("interlock %v: %v\n%s%s", args, err, out, &stderr)
	}
	return out
}

// The upstreams of these tests, as a user writes them.

func everythingStdio() fields {
	f := node("@modelcontextprotocol/server-everything/dist/index.js", "stdio")
	f["stop_timeout"] = "1s" // it does not end with its stdin while it sends updates
	return f
}

func filesystem(dir string) fields {
	return node("@modelcontextprotocol/server-filesystem/dist/index.js", dir)
}

func memory(file string) fields {
	f := node("@modelcontextprotocol/server-memory/dist/index.js")
	f["env"] = fields{"MEMORY_FILE_PATH": file}
	return f
}

func node(script string, args ...string) fields {
	return fields{"command": "node", "args": append([]string{module(script)}, args...), "required": true}
}

// everythingRemote starts server-everything on a port of its own, in its mode
// streamableHttp or sse, and returns its endpoint.
func everythingRemote(ctx context.Context, t *testing.T, dir, mode string) string {
	t.Helper()
	addr := addrtest.Free(t)
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("node", module("@modelcontextprotocol/server-everything/dist/index.js"), mode)
	cmd.Env = environ(dir, "PORT="+port)
	said := &watcher{word: " on port ", seen: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = said, said
	startSaying(ctx, t, dir, cmd, said)
	path := map[string]string{"streamableHttp": "mcp", "sse": "sse"}[mode]
	return fmt.Sprintf("http://127.0.0.1:%s/%s", port, path)
}

// watcher closes seen when word has been written to it.
type watcher struct {
	tail
	word string
	seen chan struct{}
	done bool
}

func (w *watcher) Write(p []byte) (int, error) {
	n, err := w.tail.Write(p)
	if !w.done && bytes.Contains([]byte(w.String()), []byte(w.word)) {
		w.done = true
		close(w.seen)
	}
	return n, err
}
