//go:build linux

package plugin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/interlock-mcp/interlock/examples/demo"
	"github.com/interlock-mcp/interlock/upstream/addrtest"
)

// interlock and officeHours are the programs under test, built once for all tests.
var interlock, officeHours string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "interlock")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	interlock, officeHours = filepath.Join(dir, "interlock"), filepath.Join(dir, "office-hours")
	for to, from := range map[string]string{interlock: "../../cmd/interlock", officeHours: "./go"} {
		build := exec.CommandContext(context.Background(), "go", "build", "-o", to, from)
		build.Stdout, build.Stderr = os.Stderr, os.Stderr
		if err := build.Run(); err != nil {
			fmt.Fprintln(os.Stderr, "go build:", err)
			return 1
		}
	}
	code := m.Run()
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

type fields = map[string]any

// gateway is `interlock serve` in front of the demo's notes, with one policy.
type gateway struct {
	t                 testing.TB
	dir, config, addr string
	cmd               *exec.Cmd
	exited            chan struct{}
	log               said
}

// said keeps what the gateway writes.
type said struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// newGateway starts one with the plugin, or with none at all.
func newGateway(t testing.TB, plugin fields) *gateway {
	t.Helper()
	dir, err := os.MkdirTemp("", "ilk")
	if err != nil {
		t.Fatal(err)
	}
	g := &gateway{t: t, dir: dir, config: filepath.Join(dir, "interlock.json"), exited: make(chan struct{}), addr: addrtest.Free(t)}
	g.configure(plugin)
	g.cmd = exec.Command(interlock, "serve", "-c", g.config)
	g.cmd.Dir, g.cmd.Stdout, g.cmd.Stderr = dir, &g.log, &g.log
	g.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "SECRET_OF_THE_HOST=yes"}
	if err := g.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = g.cmd.Wait()
		close(g.exited)
	}()
	t.Cleanup(func() {
		_ = g.cmd.Process.Signal(syscall.SIGTERM)
		<-g.exited
		os.RemoveAll(dir)
		if t.Failed() {
			t.Log(g.log.String())
		}
	})
	g.await("ready", func() bool {
		select {
		case <-g.exited:
			t.Fatalf("it ended: %s", g.log.String())
		default:
		}
		res, err := http.Get("http://" + g.addr + "/readyz")
		if err != nil {
			return false
		}
		res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
	http.DefaultClient.CloseIdleConnections()
	return g
}

// configure writes the configuration.
func (g *gateway) configure(plugin fields) {
	g.t.Helper()
	policies := []fields{}
	if plugin != nil {
		policies = append(policies, fields{"name": "house", "plugin": plugin})
	}
	raw, err := json.Marshal(fields{
		"server": fields{"listen": g.addr}, "state_dir": filepath.Join(g.dir, "state"),
		"upstreams": fields{"notes": fields{
			"command": interlock, "args": []string{"__demo", "notes", "--notes", filepath.Join(g.dir, "notes.json")},
			"trust_annotations": true, "required": true,
		}},
		"policies": policies,
	})
	if err != nil {
		g.t.Fatal(err)
	}
	if err := os.WriteFile(g.config, raw, 0o600); err != nil {
		g.t.Fatal(err)
	}
}

// reload has the configuration read again, and returns what is said of it.
func (g *gateway) reload() (string, error) {
	cmd := exec.CommandContext(g.t.Context(), interlock, "reload", "-c", g.config)
	cmd.Dir, cmd.Env = g.dir, []string{"HOME=" + g.dir}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// run runs another command against this gateway, and returns what it prints.
func (g *gateway) run(args ...string) string {
	g.t.Helper()
	cmd := exec.CommandContext(g.t.Context(), interlock, append(args, "-c", g.config)...)
	cmd.Dir, cmd.Env = g.dir, []string{"HOME=" + g.dir}
	out, err := cmd.Output()
	if err != nil {
		g.t.Errorf("interlock %v: %v", args, err)
	}
	return string(out)
}

// dial is a client.
func (g *gateway) dial() *demo.Client {
	g.t.Helper()
	c, err := demo.Dial(g.t.Context(), "http://"+g.addr+"/mcp")
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(c.Close)
	return c
}

// call calls a tool and returns what its client is told.
func (g *gateway) call(c *demo.Client, tool, arguments string) string {
	text, err := c.Call(g.t.Context(), tool, json.RawMessage(arguments), nil)
	if err != nil {
		return "error: " + err.Error()
	}
	return text
}

// await waits until so is true.
func (g *gateway) await(what string, so func() bool) {
	g.t.Helper()
	end := time.After(time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-end:
			g.t.Fatalf("not %s within a minute\n%s", what, g.log.String())
		}
	}
}

// processes are those below the gateway's folder or started by it whose command line
// has the word.
func processes(word string) []string {
	var pids []string
	all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range all {
		if line, err := os.ReadFile(file); err == nil && strings.Contains(string(line), word) {
			pids = append(pids, filepath.Base(filepath.Dir(file)))
		}
	}
	return pids
}
