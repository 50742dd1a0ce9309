//go:build linux

package observability

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-mcp/interlock/examples/demo"
	"github.com/interlock-mcp/interlock/upstream/addrtest"
	"github.com/interlock-mcp/interlock/upstream/oauth/oauthtest"
)

type fields = map[string]any

// addedByPrometheus are the labels that each series gets when it is fetched.
var addedByPrometheus = map[string]bool{"job": true, "instance": true}

// TestDashboardMetrics holds the dashboard to what a gateway counts in whose life
// everything happens: each metric and each label that it asks for is one of those,
// and of Interlock's own metrics none is missing.
func TestDashboardMetrics(t *testing.T) {
	g := start(t)
	g.live()
	queries := load(t).queries(t)
	wanted := map[string]bool{}
	for _, q := range queries {
		u, err := read(q.expr)
		if err != nil {
			t.Fatal(err)
		}
		for m := range u.metrics {
			wanted[m] = true
		}
	}
	// What was counted last is there a moment later.
	g.await("all metrics of the dashboard", func() bool {
		there := g.metrics()
		for m := range wanted {
			if there[m] == nil {
				return false
			}
		}
		return true
	})
	there := g.metrics()
	for _, q := range queries {
		u, err := read(q.expr)
		if err != nil {
			t.Fatal(err)
		}
		known := maps.Clone(addedByPrometheus)
		for m, matched := range u.metrics {
			if there[m] == nil {
				t.Errorf("%s: there is no metric %s", q.where, m)
				continue
			}
			maps.Copy(known, there[m])
			for label := range matched {
				if !there[m][label] && !addedByPrometheus[label] {
					t.Errorf("%s: %s has no label %s, but %v", q.where, m, label, slices.Sorted(maps.Keys(there[m])))
				}
			}
		}
		for label := range u.by {
			if !known[label] {
				t.Errorf("%s: no series has a label %s to group by", q.where, label)
			}
		}
		for _, label := range q.shows {
			if !u.by[label] {
				t.Errorf("%s: shows {{%s}}, by which nothing is grouped", q.where, label)
			}
		}
	}
	for m := range there {
		base := m
		for _, part := range []string{"_bucket", "_count", "_sum"} {
			base = strings.TrimSuffix(base, part)
		}
		if (strings.HasPrefix(m, "interlock_") || strings.HasPrefix(m, "mcp_")) && !wanted[m] && !wanted[base+"_bucket"] {
			t.Errorf("%s is not in the dashboard", m)
		}
	}
}

// gateway is `interlock serve` with a policy of each kind of effect, alerts, and a
// server that wants a sign-in.
type gateway struct {
	t                    *testing.T
	dir, config          string
	endpoint, prometheus string
	exited               chan struct{}
	issuer               *oauthtest.Issuer // of the server "far"
	log                  said
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

func start(t *testing.T) *gateway {
	t.Helper()
	dir, err := os.MkdirTemp("", "ilk")
	if err != nil {
		t.Fatal(err)
	}
	issuer := oauthtest.StartIssuer(t, "", oauthtest.Behaviour{})
	far := oauthtest.StartResource(t, issuer, oauthtest.Protection{})
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	listen, metrics := addrtest.Free(t), addrtest.Free(t)
	g := &gateway{
		t: t, dir: dir, config: filepath.Join(dir, "interlock.json"), exited: make(chan struct{}), issuer: issuer,
		endpoint: "http://" + listen + "/mcp", prometheus: "http://" + metrics + "/metrics",
	}
	raw, err := json.Marshal(fields{
		"server": fields{"listen": listen}, "state_dir": filepath.Join(dir, "state"), "sign_in": fields{"store": "file"},
		"telemetry": fields{"metrics": fields{"listen": metrics}},
		"alerts":    fields{"webhooks": []fields{{"url": hook.URL}}},
		"upstreams": fields{
			"notes": fields{"command": interlock, "args": []string{"__demo", "notes", "--notes", filepath.Join(dir, "notes.json")}, "required": true},
			"far":   fields{"url": far.URL},
			"dead":  fields{"command": "false", "restart": fields{"policy": "never"}},
		},
		"policies": []fields{
			{"name": "tokens", "secrets": fields{}},
			{"name": "house", "plugin": fields{"command": officeHours, "config": fields{
				// Where it is about noon: the last minute of a day is closed.
				"from": "00:00", "to": "23:59", "zone": fmt.Sprintf("Etc/GMT%+d", time.Now().UTC().Hour()-12),
				"days": []string{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"},
			}, "timeout": "30s"}, "on_error": "allow"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(g.config, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(interlock, "serve", "-c", g.config)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}, &g.log, &g.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = cmd.Wait()
		close(g.exited)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-g.exited
		hook.Close()
		http.DefaultClient.CloseIdleConnections()
		os.RemoveAll(dir)
		if t.Failed() {
			t.Log(g.log.String())
		}
	})
	g.await("ready", func() bool {
		_, err := g.fetch("http://" + listen + "/readyz")
		return err == nil
	})
	return g
}

// live has everything happen that is counted.
func (g *gateway) live() {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), 3*time.Minute)
	defer cancel()
	c, err := demo.Dial(ctx, g.endpoint)
	if err != nil {
		g.t.Fatal(err)
	}
	call := func(tool, arguments string) error {
		_, err := c.Call(ctx, tool, json.RawMessage(arguments), nil)
		return err
	}
	if err := call("notes__add", `{"text":"milk"}`); err != nil {
		g.t.Fatal(err)
	}
	if call("notes__remove", `{"id":4711}`) == nil {
		g.t.Error("a note that is not there was removed")
	}
	if call("notes__add", `{"text":"ghp_Zx81KQwv30rPbLdTY6mEo9cUfJsAh2nGXi4t"}`) == nil {
		g.t.Error("a token was kept")
	}
	// Who signed in has a token, and one that is not valid any more is renewed.
	g.interlock("login", "far", "--headless")
	g.issuer.ExpireAccess()
	if err := call("far__whoami", `{}`); err != nil {
		g.t.Error(err)
	}
	c.Close()
	g.interlock("check", "notes")
	g.interlock("restart", "notes")
	for _, pid := range pids(officeHours) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

func (g *gateway) interlock(args ...string) {
	g.t.Helper()
	cmd := exec.CommandContext(g.t.Context(), interlock, append(args, "-c", g.config)...)
	cmd.Dir, cmd.Env = g.dir, []string{"HOME=" + g.dir}
	if out, err := cmd.CombinedOutput(); err != nil {
		g.t.Fatalf("interlock %v: %v\n%s", args, err, out)
	}
}

func (g *gateway) fetch(url string) (string, error) {
	req, err := http.NewRequestWithContext(g.t.Context(), http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", url, res.Status)
	}
	return string(body), err
}

var (
	sample = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? `)
	label  = regexp.MustCompile(`([a-zA-Z_]\w*)="(?:[^"\\]|\\.)*"`)
)

// metrics returns the labels of each metric on /metrics, those of all its series.
func (g *gateway) metrics() map[string]map[string]bool {
	g.t.Helper()
	text, err := g.fetch(g.prometheus)
	if err != nil {
		g.t.Fatal(err)
	}
	all := map[string]map[string]bool{}
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		m := sample.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		if all[m[1]] == nil {
			all[m[1]] = map[string]bool{}
		}
		for _, l := range label.FindAllStringSubmatch(m[2], -1) {
			all[m[1]][l[1]] = true
		}
	}
	return all
}

// await waits until so is true; the test goes on, to say what is missing, if it
// never is.
func (g *gateway) await(what string, so func() bool) {
	g.t.Helper()
	end := time.NewTimer(time.Minute)
	defer end.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-g.exited:
			g.t.Fatalf("interlock serve ended before %s", what)
		case <-end.C:
			g.t.Errorf("not %s within a minute", what)
			return
		}
	}
}

// pids are the processes that run a program.
func pids(program string) (all []int) {
	found, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, file := range found {
		if at, err := os.Readlink(file); err == nil && at == program {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			all = append(all, pid)
		}
	}
	return all
}
