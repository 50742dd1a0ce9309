//go:build linux

package main

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-mcp/interlock/examples/demo"
)

// manager is systemd as far as a service sees it.
type manager struct {
	t    *testing.T
	conn *net.UnixConn
	path string
	told []string // each of them one state, of which a datagram may hold several
}

func newManager(t *testing.T) *manager {
	t.Helper()
	dir, err := os.MkdirTemp("", "il")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	m := &manager{t: t, path: filepath.Join(dir, "notify")}
	if m.conn, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.path, Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.conn.Close() })
	return m
}

// until reads what the service says until a state matches, unless one did already.
func (m *manager) until(pattern string) {
	m.t.Helper()
	want := regexp.MustCompile("^(?:" + pattern + ")$")
	if slices.ContainsFunc(m.told, want.MatchString) {
		return
	}
	_ = m.conn.SetReadDeadline(time.Now().Add(patient))
	buf := make([]byte, 4096)
	for {
		n, err := m.conn.Read(buf)
		if err != nil {
			m.t.Fatalf("never told %q but %q", pattern, m.told)
		}
		states := strings.Split(string(buf[:n]), "\n")
		m.told = append(m.told, states...)
		if slices.ContainsFunc(states, want.MatchString) {
			return
		}
	}
}

// systemd is told what it asked for, in the order that it wants
// (Type=notify-reload).
func TestSystemd(t *testing.T) {
	m := newManager(t)
	p := launchWith(t, []string{"NOTIFY_SOCKET=" + m.path, "WATCHDOG_USEC=400000"}, map[string]string{"interlock.yaml": quiet + clock + "  never: {command: /no/such/program}\n"}, nil, "serve")
	m.until("READY=1")
	if slices.ContainsFunc(m.told, func(s string) bool { return s == "RELOADING=1" || s == "STOPPING=1" }) {
		t.Errorf("at the start: %q", m.told)
	}
	m.until("STATUS=1 of 2 servers ready")
	for range 2 {
		m.told = nil
		m.until("WATCHDOG=1")
	}
	m.told = nil
	p.signal(syscall.SIGHUP)
	m.until("READY=1")
	m.told = slices.DeleteFunc(m.told, func(s string) bool { return s == "WATCHDOG=1" || strings.HasPrefix(s, "STATUS=") })
	if len(m.told) != 3 || m.told[0] != "RELOADING=1" || !strings.HasPrefix(m.told[1], "MONOTONIC_USEC=") {
		t.Errorf("over a reload: %q", m.told)
	}
	m.told = nil
	p.signal(syscall.SIGTERM)
	m.until("STATUS=stopping the servers")
	m.told = slices.DeleteFunc(m.told, func(s string) bool { return s == "WATCHDOG=1" })
	if want := []string{"STOPPING=1", "STATUS=waiting for calls in flight", "EXTEND_TIMEOUT_USEC=21000000", "STATUS=stopping the servers"}; !slices.Equal(m.told, want) {
		t.Errorf("at the end: %q, want %q", m.told, want)
	}
	// Nobody listens any more, which once held the end up.
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestWatchdogInterval(t *testing.T) {
	for _, tt := range []struct {
		usec, pid string
		want      time.Duration
	}{
		{"", "", 0},
		{"30000000", "", 30 * time.Second},
		{"30000000", "42", 30 * time.Second},
		{"30000000", "41", 0},
		{"soon", "", 0},
		{"-1", "", 0},
	} {
		got := watchdogInterval(func(key string) string {
			return map[string]string{"WATCHDOG_USEC": tt.usec, "WATCHDOG_PID": tt.pid}[key]
		}, 42)
		if got != tt.want {
			t.Errorf("WATCHDOG_USEC=%s WATCHDOG_PID=%s: %v, want %v", tt.usec, tt.pid, got, tt.want)
		}
	}
}

// The order of the end: not ready, streams closed, calls answered, servers
// stopped in reverse, telemetry sent.
func TestShutdownOrder(t *testing.T) {
	sent := make(chan struct{}, 100)
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.URL.Path == "/v1/traces" {
			sent <- struct{}{}
		}
		w.WriteHeader(http.StatusOK)
	}))
	defer collector.Close()
	h := newHeld(t, "tools/call")
	config := "server: {listen: '127.0.0.1:0', drain_timeout: 1m, shutdown_timeout: 2m}\n" +
		"telemetry: {otlp: {endpoint: '" + collector.URL + "'}, logs: {format: json}}\nupstreams:\n" + h.upstream("held", "") + notes +
		strings.Replace(slow, "{command", "{depends_on: [notes], command", 1)
	p := launch(t, map[string]string{"interlock.yaml": config}, nil, "serve")
	endpoint := p.expect(`^endpoint  (http://\S+)$`)[1]
	p.expect(`^3 of 3 servers ready`)
	c, err := demo.Dial(t.Context(), endpoint)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	stream := standing(t, endpoint)
	defer stream.Close()
	answered := make(chan error, 1)
	go func() {
		_, err := c.Call(t.Context(), "held__wait", []byte("{}"), nil)
		answered <- err
	}()
	call := h.next()
	for len(sent) > 0 { // of the starts
		<-sent
	}
	p.signal(syscall.SIGTERM)

	if _, err := io.Copy(io.Discard, stream); err != nil {
		t.Errorf("the stream: %v", err)
	}
	res, err := http.Get(strings.TrimSuffix(endpoint, "/mcp") + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("readyz says %d when the streams are closed", res.StatusCode)
	}
	select {
	case err := <-answered:
		t.Fatalf("the call was answered before the streams were closed: %v", err)
	default:
	}
	list := exec.CommandContext(p.ctx, "interlock", "list")
	list.Dir, list.Env = p.dir, p.cmd.Env
	if out, err := list.CombinedOutput(); err != nil || strings.Count(string(out), " running ") != 3 {
		t.Errorf("a server was stopped before the call was answered: %v\n%s", err, out)
	}
	call.answer(true)
	if err := awaited(t, answered, "the answer to the call"); err != nil {
		t.Errorf("the call: %v", err)
	}
	p.expect(`"upstream":"report".*"to":"stopped"`)
	p.expect(`"upstream":"notes".*"to":"stopping"`)
	p.expect(`"upstream":"notes".*"to":"stopped"`)
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	select {
	case <-sent:
	default:
		t.Error("the spans of the end were not sent")
	}
}

// standing opens a session and its stream.
func standing(t *testing.T, endpoint string) io.ReadCloser {
	t.Helper()
	post := func(method, body, session string) *http.Response {
		req, err := http.NewRequestWithContext(t.Context(), method, endpoint, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Accept", "application/json, text/event-stream")
		if session != "" {
			req.Header.Set("Mcp-Session-Id", session)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	res := post(http.MethodPost, hello, "")
	_ = res.Body.Close()
	return post(http.MethodGet, "", res.Header.Get("Mcp-Session-Id")).Body
}

// One budget holds for all of the end: with a server that ignores TERM and a
// collector that hangs the gateway once took 3 s longer. Its figure is soak's.
func TestShutdownBudget(t *testing.T) {
	if os.Getenv("INTERLOCK_SOAK") == "" {
		t.Skip("INTERLOCK_SOAK is not set")
	}
	hang := make(chan struct{})
	collector := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	defer collector.Close()
	defer close(hang)
	config := "server: {listen: '127.0.0.1:0', shutdown_timeout: 4s, drain_timeout: 1s}\ntelemetry: {otlp: {endpoint: '" + collector.URL + "'}, logs: {level: error}}\nupstreams:\n" + clock +
		"  deaf: {command: sh, args: ['-c', 'trap \"\" TERM; while :; do sleep 1; done']}\n"
	var stderr bytes.Buffer
	p := launch(t, map[string]string{"interlock.yaml": config}, &stderr, "serve")
	p.expect(`^clock  ready`)
	began := time.Now()
	p.signal(syscall.SIGTERM)
	p.wait()
	took := time.Since(began)
	t.Logf("ended after %v", took)
	if took > 4500*time.Millisecond {
		t.Errorf("ended after %v, the budget is 4 s:\n%s", took, &stderr)
	}
}
