//go:build unix

package plugin

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/policy/policytest"
	"github.com/interlock-mcp/interlock/upstream"
)

// testMode makes the test binary a plugin, testLie one that never gets as far.
const (
	testMode = "INTERLOCK_TEST_PLUGIN"
	testLie  = "INTERLOCK_TEST_LIE"
)

func TestMain(m *testing.M) {
	if lie := os.Getenv(testLie); lie != "" {
		os.Exit(lieMain(lie))
	}
	if socket := os.Getenv(testEcho); socket != "" {
		if err := echoMain(socket); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		return
	}
	if os.Getenv(testMode) != "" {
		if err := Serve(fake()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		if deaf.Load() {
			select {}
		}
		return
	}
	os.Exit(run(m))
}

// run is the tests, after which no goroutine and no folder of sockets is left.
func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "ilk")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	os.Setenv("TMPDIR", dir)
	code := m.Run()
	if left, _ := filepath.Glob(filepath.Join(dir, "plugin-dir*")); code == 0 && len(left) > 0 {
		fmt.Fprintln(os.Stderr, "left behind:", left)
		return 1
	}
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// world is what a plugin of a test runs in.
type world struct {
	restarted chan string
	log       words
}

// words keeps what was logged.
type words struct {
	mu   sync.Mutex
	text strings.Builder
	news chan struct{} // closed at the next, nil while nobody waits
}

func (w *words) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.news != nil {
		close(w.news)
		w.news = nil
	}
	return w.text.Write(p)
}

// await blocks until the text has been logged.
func (w *words) await(t testing.TB, text string) {
	t.Helper()
	for late := time.After(time.Minute); ; {
		w.mu.Lock()
		if strings.Contains(w.text.String(), text) {
			w.mu.Unlock()
			return
		}
		if w.news == nil {
			w.news = make(chan struct{})
		}
		news := w.news
		w.mu.Unlock()
		select {
		case <-news:
		case <-late:
			t.Errorf("%q is not logged within a minute", text)
			return
		}
	}
}

func (w *words) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

func (w *world) env() policy.Env {
	return policy.Env{
		Name: "test", Log: slog.New(slog.NewTextHandler(&w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Start: func(cmd *exec.Cmd) (policy.Process, error) {
			p, err := (*upstream.Watcher)(nil).Start(cmd)
			if err != nil {
				return nil, err
			}
			return p, nil
		},
		Restarted: func(name string) { w.restarted <- name },
	}
}

// config is one of the test binary as a plugin.
func config(t testing.TB) Config {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Config{
		Command: self, Env: map[string]string{testMode: "1", "GORACE": "atexit_sleep_ms=0"},
		// A busy machine is no fault; tests of timeouts say their own. While a probe waits
		// for one that hangs, nothing else finds it: that must be over within a minute.
		Timeout: time.Minute, StartTimeout: time.Minute, Health: Health{Timeout: 20 * time.Second},
		Restart: Restart{Delay: time.Millisecond, MaxDelay: 10 * time.Millisecond},
	}
}

// started starts a plugin, and ends it with the test.
func started(t testing.TB, c Config) (policy.Policy, *world) {
	t.Helper()
	w := &world{restarted: make(chan string, 100)}
	p, err := c.New(w.env())
	if err != nil {
		t.Fatalf("%v\n%s", err, w.log.String())
	}
	t.Cleanup(func() {
		if err := p.(interface{ Close() error }).Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(w.log.String())
		}
	})
	return p, w
}

// request is a call of a tool.
func request(t testing.TB, tool, arguments string) *policy.Call {
	t.Helper()
	return &policy.Call{
		Principal: &policy.Principal{Issuer: "https://issuer.example", Subject: "42", Name: "ada", Scopes: []string{"read"}, Groups: []string{"staff"}, Credential: "laptop"},
		Session:   "s1", Profile: "p1", Method: "tools/call", Upstream: "files", Tags: []string{"private"}, Target: tool, Exposed: "files__" + tool,
		Definition: &policy.Definition{Raw: []byte(`{"name":"` + tool + `"}`), Trusted: true},
		Message:    policytest.Request(t, "tools/call", `{"name":"`+tool+`","arguments":`+arguments+`}`),
	}
}

// answer is what a server answered.
func answer(t testing.TB, raw string) *policy.Answer {
	t.Helper()
	return policytest.Answer(t, raw)
}

// wait waits for a restart.
func (w *world) wait(t testing.TB) {
	t.Helper()
	select {
	case <-w.restarted:
	case <-time.After(time.Minute):
		t.Fatalf("not started again within a minute\n%s", w.log.String())
	}
}

// eventually calls until the plugin decides.
func eventually(t testing.TB, p policy.Policy) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		err := p.Before(ctx, request(t, "allow", "{}"))
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
}
