//go:build !windows

package main

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-mcp/interlock/examples/demo"
	"github.com/interlock-mcp/interlock/upstream/addrtest"
)

const (
	// quiet begins a configuration. Whoever asks at once gets a whole list, however
	// long the servers take.
	quiet = "server: {listen: '127.0.0.1:0', list_wait: 1m}\ntelemetry: {logs: {level: warn}}\nupstreams:\n"
	// unhurried is quiet for calls that end when the test says so.
	unhurried = "server: {listen: '127.0.0.1:0', drain_timeout: 1m, shutdown_timeout: 2m}\ntelemetry: {logs: {level: warn}}\nupstreams:\n"
	clock     = "  clock: {command: interlock, args: [__demo, clock]}\n"
	notes     = "  notes: {command: interlock, args: [__demo, notes, --notes, notes.json]}\n"
	slow      = "  report: {command: interlock, args: [__demo, report, --notes, notes.json]}\n"
)

// A broken file changes nothing, a good one applies, and both a signal and a
// changed file are enough.
func TestReload(t *testing.T) {
	p := launch(t, map[string]string{"interlock.yaml": quiet + clock}, nil, "serve")
	file := filepath.Join(p.dir, "interlock.yaml")
	endpoint := p.expect(`^endpoint  (http://\S+)$`)[1]
	p.expect(`^1 of 1 server ready, 3 tools$`)

	put(t, file, quiet+"  clock: {comand: interlock}\n")
	p.signal(syscall.SIGHUP)
	p.expect(`interlock.yaml:4:11.*unknown key .*comand`)
	p.expect(`fault of the configuration`)
	put(t, file, quiet+clock+notes)
	p.expectAll(`^reloaded: added notes$`, `^notes  ready .* 4 tools, 1 prompt, 5 resources$`)
	c, err := demo.Dial(t.Context(), endpoint)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got, err := c.Call(t.Context(), "notes__list", []byte("{}"), nil); err != nil || !strings.Contains(got, "night train") {
		t.Errorf("a call of the added server: %q, %v", got, err)
	}
	put(t, file, strings.Replace(quiet, "127.0.0.1:0", "127.0.0.1:1", 1)+clock)
	p.expect(`^reloaded: removed notes$`)
	p.expect(`^applies after a restart of the gateway: server.listen$`)

	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if !p.wrote(`^stopping`) {
		t.Error("the end is not announced")
	}
	if files, _ := filepath.Glob(filepath.Join(p.dir, "interlock", "admin.sock*")); len(files) > 0 {
		t.Errorf("left behind: %v", files)
	}
}

// telemetry.metrics.listen is a listener for /metrics and nothing else.
func TestMetricsListener(t *testing.T) {
	address := addrtest.Free(t)
	p := launch(t, map[string]string{"interlock.yaml": strings.Replace(quiet, "logs:", "metrics: {listen: '"+address+"'}, logs:", 1) + clock}, nil, "serve")
	p.expect(`^1 of 1 server ready`)
	get := func(path, origin string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if origin != "" {
			req.Header.Set("Origin", origin)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(body)
	}
	if code, body := get("/metrics", ""); code != 200 || !strings.Contains(body, "go_goroutines") || !strings.Contains(body, "process_") {
		t.Errorf("/metrics: %d %.200s", code, body)
	}
	if code, _ := get("/mcp", ""); code != 404 {
		t.Errorf("the endpoint is there too: %d", code)
	}
	if code, _ := get("/metrics", "http://evil.example"); code != 403 {
		t.Errorf("a page reads them: %d", code)
	}
	http.DefaultClient.CloseIdleConnections()
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// A drain lets a call end; a second signal does not wait for it.
func TestSignals(t *testing.T) {
	for _, tt := range []struct {
		name    string
		signals []os.Signal
		code    int
	}{
		{"one lets the call end", []os.Signal{syscall.SIGTERM}, 0},
		{"two exit at once", []os.Signal{syscall.SIGINT, syscall.SIGINT}, exitFailed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHeld(t, "tools/call")
			p := launch(t, map[string]string{"interlock.yaml": unhurried + h.upstream("held", "")}, nil, "serve")
			endpoint := p.expect(`^endpoint  (http://\S+)$`)[1]
			p.expect(`^1 of 1 server ready`)
			c, err := demo.Dial(t.Context(), endpoint)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			ended := make(chan error, 1)
			go func() {
				_, err := c.Call(t.Context(), "held__wait", []byte("{}"), nil)
				ended <- err
			}()
			call := h.next()
			p.signal(tt.signals[0])
			p.expect(`^stopping`)
			for status := 0; status != http.StatusServiceUnavailable; { // the line is written just before
				res, err := http.Get(strings.TrimSuffix(endpoint, "/mcp") + "/readyz")
				if err != nil {
					t.Fatalf("readyz was never 503 while draining: %v", err)
				}
				status = res.StatusCode
				_ = res.Body.Close()
			}
			if len(tt.signals) > 1 {
				p.signalAgain(tt.signals[1])
			} else {
				call.answer(true)
			}
			if code := p.wait(); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			if err := awaited(t, ended, "the end of the call"); (err == nil) != (tt.code == 0) {
				t.Errorf("the call: %v", err)
			}
		})
	}
}

// With --stdio stdout carries nothing but the client's messages, and the end of
// stdin ends the gateway.
func TestStdio(t *testing.T) {
	var stderr bytes.Buffer
	p := launch(t, map[string]string{"interlock.yaml": quiet + clock}, &stderr, "serve", "--stdio")
	p.say(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"test","version":"0"}}}`)
	p.expect(`^\{"jsonrpc":"2.0","id":1,"result":\{.*"serverInfo":`)
	p.say(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	p.say(`{"jsonrpc":"2.0","id":"call","method":"tools/call","params":{"name":"clock__now","arguments":{}}}`)
	p.expect(`"id":"call","result":\{.*\(UTC\)`)

	// Another one for the same configuration does without the admin socket.
	other := launch(t, map[string]string{"interlock.yaml": "state_dir: " + filepath.Join(p.dir, "interlock") + "\n" + quiet + clock}, nil, "serve", "--stdio")
	other.expect(`^clock  ready`)
	_ = other.stdin.Close()
	if code := other.wait(); code != 0 {
		t.Errorf("the other's exit code %d, want 0", code)
	}

	_ = p.stdin.Close()
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	for _, line := range p.seen {
		if !strings.HasPrefix(line, `{"jsonrpc":"2.0"`) {
			t.Errorf("on stdout: %s", line)
		}
	}
	if !strings.Contains(stderr.String(), "clock  ready in") {
		t.Errorf("stderr lacks the line of the server:\n%s", &stderr)
	}
}

// A client that goes away without a word gets an orderly end: SIGPIPE once ended
// the gateway on the spot, with its servers left to the watcher.
func TestStdioClosed(t *testing.T) {
	var stderr bytes.Buffer
	p := launch(t, map[string]string{"interlock.yaml": quiet + clock}, &stderr, "serve", "--stdio")
	p.say(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{}}}`)
	p.expect(`^\{"jsonrpc":"2.0","id":1,"result":`)
	_ = p.out.Close()
	// It may have noticed already: there is more that it tells than answers.
	_, _ = io.WriteString(p.stdin, `{"jsonrpc":"2.0","id":2,"method":"ping"}`+"\n")
	if code := p.wait(); code != exitFailed || !strings.Contains(stderr.String(), "broken pipe") {
		t.Errorf("exit code %d, want %d:\n%s", code, exitFailed, &stderr)
	}
}

// The demo shows a call and how to connect, and leaves nothing behind.
func TestDemo(t *testing.T) {
	p := launch(t, nil, nil, "demo", "--listen", "127.0.0.1:0")
	endpoint := p.expect(`^endpoint  (http://\S+)$`)[1]
	for _, want := range []string{
		`^report +ready in .* 2 tools$`, `^3 of 3 servers ready, 9 tools$`, `^A client calls report__write`, `\[0/4\] reading the notes`,
		`\| # Night shift`, `claude mcp add --transport http interlock ` + endpoint + `$`,
	} {
		p.expect(want)
	}
	p.expect(`^Kill one of the servers`)
	if p.wrote(`\x1b|^\{`) {
		t.Error("colours or log lines in a pipe")
	}
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if left, _ := filepath.Glob(filepath.Join(p.dir, "interlock-demo-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// A taken port is no reason not to see the demo, unless it was asked for.
func TestDemoPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := l.Addr().String()
	p := launch(t, nil, nil, "demo", "--listen", taken)
	p.expect(taken + " is taken by another program")
	p.expect(`--listen`)
	if code := p.wait(); code != exitFailed {
		t.Errorf("exit code %d, want %d", code, exitFailed)
	}
	a := &app{errs: newScreen(new(bytes.Buffer))}
	if got := a.freeAddress(t.Context(), taken); got != "127.0.0.1:0" {
		t.Errorf("beside a taken port: %s", got)
	}
}

// signalAgain sends a signal until the process is gone: the gateway takes one
// that follows at once for the first.
func (p *process) signalAgain(sig os.Signal) {
	late := time.After(patient)
	for p.cmd.Process.Signal(sig) == nil {
		select {
		case line, ok := <-p.lines:
			if !ok {
				return
			}
			p.seen = append(p.seen, line)
		case <-late:
			p.t.Fatal("two signals do not end it")
		default:
		}
	}
}

// A collector that is not there was once never mentioned.
func TestDeadCollectorIsTold(t *testing.T) {
	nobody := addrtest.Free(t)
	var stderr bytes.Buffer
	config := quiet + clock + "telemetry: {otlp: {endpoint: 'http://" + nobody + "'}, logs: {level: warn}}\n"
	config = strings.Replace(config, "telemetry: {logs: {level: warn}}\n", "", 1)
	p := launch(t, map[string]string{"interlock.yaml": config}, &stderr, "serve")
	endpoint := p.expect(`^endpoint  (http://\S+)$`)[1]
	p.expect(`^1 of 1 server ready, 3 tools$`)
	c, err := demo.Dial(t.Context(), endpoint)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Call(t.Context(), "clock__now", []byte("{}"), nil); err != nil {
		t.Error(err)
	}
	c.Close()
	p.signal(syscall.SIGTERM)
	p.wait()
	if !strings.Contains(stderr.String(), "telemetry cannot be exported") {
		t.Errorf("stderr: %s", stderr.String())
	}
}
