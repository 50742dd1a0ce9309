//go:build linux

package main

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const hello = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"test","version":"0"}}}`

// home is a configuration in a folder of its own, for bridges.
type home struct {
	t    *testing.T
	dir  string
	file string
}

func newHome(t *testing.T, config string) *home {
	t.Helper()
	dir, err := os.MkdirTemp("", "il") // short, for the socket
	if err != nil {
		t.Fatal(err)
	}
	h := &home{t, dir, filepath.Join(dir, "interlock.yaml")}
	put(t, h.file, "state_dir: "+dir+"/state\n"+config)
	t.Cleanup(func() {
		for _, pid := range h.gateways() { // of a test that failed
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		h.await("no process", func() bool { return len(h.processes("")) == 0 })
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(dir, "state", logName))
			t.Logf("the gateway's log:\n%s", log)
		}
		_ = os.RemoveAll(dir)
	})
	return h
}

// useServers gives it the servers of the demo, marked with its folder.
func (h *home) useServers() {
	h.t.Helper()
	put(h.t, h.file, fmt.Sprintf("state_dir: %[1]s/state\nserver: {listen: '127.0.0.1:0', list_wait: 1m}\nupstreams:\n  clock: {command: interlock, args: [__demo, clock, --notes, %[1]s/c]}\n"+
		"  notes: {command: interlock, args: [__demo, notes, --notes, %[1]s/notes.json]}\n"+
		"  report: {command: interlock, args: [__demo, report, --notes, %[1]s/notes.json]}\n", h.dir))
}

// processes returns the pids of those whose command line has the home's folder
// in it and the text.
func (h *home) processes(text string) (pids []int) {
	h.t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		h.t.Fatal(err)
	}
	for _, file := range all {
		raw, _ := os.ReadFile(file) // it may have ended
		line := string(bytes.ReplaceAll(raw, []byte{0}, []byte{' '}))
		if strings.Contains(line, h.dir) && strings.Contains(line, text) && strings.Contains(line, "interlock ") {
			pid, _ := strconv.Atoi(strings.Split(file, "/")[2])
			pids = append(pids, pid)
		}
	}
	return pids
}

// gateways returns the pids of those in the background. A child that is not yet the
// program that it will be has the command line of its parent, and is none.
func (h *home) gateways() []int {
	h.t.Helper()
	all := h.processes(" serve --background ")
	return slices.DeleteFunc(slices.Clone(all), func(pid int) bool {
		parent, _, err := family(pid)
		return err != nil || slices.Contains(all, parent)
	})
}

// await looks until something is so.
func (h *home) await(what string, is func() bool) {
	h.t.Helper()
	deadline, again := time.After(patient), time.NewTicker(lookAgain)
	defer again.Stop()
	for !is() {
		select {
		case <-deadline:
			h.t.Fatalf("it never is so: %s", what)
		case <-again.C:
		}
	}
}

// bridge starts `interlock stdio` for the home. errs may be nil.
func (h *home) bridge(errs *bytes.Buffer, args ...string) *process {
	h.t.Helper()
	if errs == nil {
		errs = new(bytes.Buffer)
	}
	return launch(h.t, nil, errs, append([]string{"stdio", "-c", h.file}, args...)...)
}

// greet shakes hands.
func (p *process) greet() {
	p.t.Helper()
	p.say(hello)
	p.expect(`^\{"jsonrpc":"2.0","id":0,"result":\{.*"serverInfo":`)
	p.say(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
}

// call calls a tool under an id.
func (p *process) call(id, tool, arguments string) {
	p.t.Helper()
	p.say(fmt.Sprintf(`{"jsonrpc":"2.0","id":%q,"method":"tools/call","params":{"_meta":{"progressToken":%[1]q},"name":%q,"arguments":%s}}`, id, tool, arguments))
}

// Ten clients that start at once share one gateway and one set of servers; they
// go on when the gateway is killed; and nothing is left when they have gone.
func TestTenClients(t *testing.T) {
	h := newHome(t, "")
	h.useServers()
	var clients []*process
	for range 10 {
		clients = append(clients, h.bridge(nil, "--linger", "1s"))
	}
	one := func(what string) int {
		t.Helper()
		gateways := h.gateways()
		if len(gateways) != 1 {
			t.Fatalf("%s there are the gateways %d", what, gateways)
		}
		for _, server := range []string{"clock", "notes", "report"} {
			h.await("one "+server, func() bool { return len(h.processes("__demo "+server)) == 1 })
		}
		return gateways[0]
	}
	for _, c := range clients {
		c.greet()
		c.call("first", "clock__now", "{}")
	}
	for _, c := range clients {
		c.expect(`"id":"first","result":\{.*\(UTC\)`)
	}
	first := one("at first")
	parent, session, err := family(first)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range clients {
		if parent == c.cmd.Process.Pid {
			t.Error("the gateway is a child of a client's bridge: clients end their children")
		}
	}
	if session != first {
		t.Errorf("the gateway is in the session %d", session)
	}

	// Killed in the middle of a call.
	clients[0].call("long", "report__write", `{"seconds": 60}`)
	clients[0].expect(`notifications/progress`)
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	clients[0].expect(`"id":"long","result":\{.*UNKNOWN.*"isError":true.*"executed":"unknown"`)
	for _, c := range clients { // what is sent before the kill is noticed may be lost
		c.call("second", "clock__now", "{}")
	}
	for _, c := range clients {
		c.expect(`"id":"second","result":\{.*(\(UTC\)|UNKNOWN)`)
		c.call("third", "clock__now", "{}")
	}
	for _, c := range clients {
		c.expect(`"id":"third","result":\{.*\(UTC\)`)
	}
	if second := one("after the kill"); second == first {
		t.Error("the gateway was not killed")
	}
	log, err := os.ReadFile(filepath.Join(h.dir, "state", logName))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(log), " in the background, pid "); n != 2 {
		t.Errorf("gateways were started %d times for ten clients, want once and once again", n)
	}

	for _, c := range clients {
		_ = c.stdin.Close()
	}
	for _, c := range clients {
		if code := c.wait(); code != 0 {
			t.Errorf("a client's bridge exits with %d", code)
		}
		for _, line := range c.seen {
			if !strings.HasPrefix(line, `{"jsonrpc":"2.0"`) {
				t.Errorf("on stdout: %s", line)
			}
		}
	}
	h.await("no process is left", func() bool { return len(h.processes("")) == 0 })
}

// family returns the parent and the session of a process (proc_pid_stat(5)).
func family(pid int) (parent, session int, err error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, err
	}
	fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
	parent, _ = strconv.Atoi(fields[1])
	session, _ = strconv.Atoi(fields[3])
	return parent, session, nil
}

// A gateway waits for its first client longer than for the next: with a short --linger
// it once ended before the bridge that had it started could get to it.
func TestBridgeFirstClient(t *testing.T) {
	h := newHome(t, "server: {listen: '127.0.0.1:0', list_wait: 1m}\nupstreams:\n"+clock)
	if code := launch(t, nil, nil, starterCommand, "--linger", "1ms", "-c", h.file).wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	c := h.bridge(nil)
	c.greet()
	c.call("1", "clock__now", "{}")
	c.expect(`"id":"1","result":\{.*\(UTC\)`)
	log, err := os.ReadFile(filepath.Join(h.dir, "state", logName))
	if n := strings.Count(string(log), " in the background, pid "); n != 1 || err != nil {
		t.Errorf("%d gateways were started, want 1: %v", n, err)
	}
	_ = c.stdin.Close()
	if code := c.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	h.await("no process is left", func() bool { return len(h.processes("")) == 0 })
}

// A gateway that is asked to end answers its calls; the next one is another's.
func TestBridgeDrain(t *testing.T) {
	held := newHeld(t, "tools/call")
	h := newHome(t, "server: {listen: '127.0.0.1:0', list_wait: 1m, drain_timeout: 1m, shutdown_timeout: 2m}\nupstreams:\n"+held.upstream("held", "")+clock)
	c := h.bridge(nil, "--linger", "1s")
	c.greet()
	c.call("slow", "held__wait", "{}")
	slow := held.next()
	c.call("other", "held__wait", "{}")
	held.next()
	first := h.gateways()
	if len(first) != 1 {
		t.Fatalf("there are the gateways %d", first)
	}
	if err := syscall.Kill(first[0], syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	h.await("the drain", func() bool {
		log, err := os.ReadFile(filepath.Join(h.dir, "state", logName))
		return err == nil && strings.Contains(string(log), "stopping: ")
	})
	c.call("next", "clock__now", "{}") // refused by the first, and sent to the second
	// A request on its way to a gateway at its very end may have been read or not: it
	// is answered with an error. What was sent after it shows that this one was read.
	c.say(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"other"}}`)
	awaited(t, held.cancelled, "what was sent after the request")
	slow.answer(true)
	c.expect(`"id":"slow","result":\{"content"`)
	c.expect(`"id":"next","result":\{.*\(UTC\)`)
	h.await("another gateway", func() bool {
		second := h.gateways()
		return len(second) == 1 && second[0] != first[0]
	})
	c.signal(syscall.SIGTERM)
	if code := c.wait(); code != 0 {
		t.Errorf("exit code %d after TERM", code)
	}
}

// A gateway that somebody runs is used, and not replaced at once when it ends.
func TestBridgeUsesTheOneThatRuns(t *testing.T) {
	h := newHome(t, "server: {listen: '127.0.0.1:0'}\nupstreams:\n"+clock)
	serve := launch(t, nil, nil, "serve", "-c", h.file)
	serve.expect(`^1 of 1 server ready`)
	c := h.bridge(nil, "--keeper", "1m") // it takes as long as it takes here
	c.greet()
	c.call("1", "clock__now", "{}")
	c.expect(`"id":"1","result":\{.*\(UTC\)`)
	serve.signal(syscall.SIGKILL)
	serve.wait()
	c.call("2", "clock__now", "{}") // while there is none
	again := launch(t, nil, nil, "serve", "-c", h.file)
	again.expect(`^endpoint`)
	c.expect(`"id":"2","result":\{.*\(UTC\)`)
	if _, err := os.Stat(filepath.Join(h.dir, "state", logName)); err == nil {
		t.Error("a gateway was started in the background")
	}
	_ = c.stdin.Close()
	if code := c.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	again.signal(syscall.SIGTERM)
	again.wait()
}

// What keeps a gateway from starting is told to the client and its user.
func TestBridgeFails(t *testing.T) {
	stranger := httptest.NewServer(http.NotFoundHandler())
	defer stranger.Close()
	taken := stranger.Listener.Addr().String()
	for _, tt := range []struct {
		name, config string
		code         int
		answer, errs string
	}{
		{"a bad configuration", "upstream: {}\n", exitBadConfig, `interlock.yaml:2:1: unknown key`, `interlock.yaml:2:1: unknown key`},
		{"another program on the admin address", "admin: {listen: '" + taken + "', token: x}\n", exitFailed, `404.*is it an Interlock admin address`, "404"},
		{"a start that fails", "server: {listen: '127.0.0.1:0'}\ntelemetry: {metrics: {listen: '203.0.113.1:9'}}\n", exitFailed, `did not start.*telemetry.metrics.listen 203`, "its log: /.*/state/gateway.log"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHome(t, tt.config)
			var errs bytes.Buffer
			c := h.bridge(&errs)
			c.say(hello)
			c.expect(`^\{"jsonrpc":"2.0","id":0,"error":\{"code":-33001,"message":"no gateway could be reached: .*` + tt.answer + `.*"executed":"no"`)
			if code := c.wait(); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			c.seen = []string{errs.String()}
			if !c.wrote(tt.errs) {
				t.Errorf("stderr lacks %q:\n%s", tt.errs, &errs)
			}
		})
	}
}

// A port that is taken is no reason to serve nobody.
func TestBridgePortTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	h := newHome(t, "server: {listen: '"+l.Addr().String()+"', list_wait: 1m}\nupstreams:\n"+clock)
	var errs bytes.Buffer
	c := h.bridge(&errs, "--linger", "1s")
	c.greet()
	c.call("1", "clock__now", "{}")
	c.expect(`"id":"1","result":\{.*\(UTC\)`)
	_ = c.stdin.Close()
	if code := c.wait(); code != 0 || !strings.Contains(errs.String(), l.Addr().String()+" is taken by another program") {
		t.Errorf("exit code %d:\n%s", code, &errs)
	}
}

// Two configurations with one state folder once shared a gateway unseen.
func TestBridgeOtherConfiguration(t *testing.T) {
	h := newHome(t, "server: {listen: '127.0.0.1:0'}\nupstreams:\n"+clock)
	c := h.bridge(nil, "--linger", "1s")
	c.greet()
	other := filepath.Join(h.dir, "other.yaml")
	put(t, other, "state_dir: "+h.dir+"/state\nupstreams:\n"+clock)
	stranger := launch(t, nil, new(bytes.Buffer), "stdio", "-c", other)
	stranger.say(hello)
	stranger.expect(`"error":.*serves /\S+/interlock.yaml, not /\S+/other.yaml`)
	if code := stranger.wait(); code != exitFailed {
		t.Errorf("exit code %d", code)
	}
	var errs bytes.Buffer
	second := launch(t, nil, &errs, "serve", "-c", h.file) // whose user wonders
	if code := second.wait(); code != exitFailed || !strings.Contains(errs.String(), "its pid is in "+h.dir+"/state/gateway.log") {
		t.Errorf("exit code %d:\n%s", code, &errs)
	}
	link := filepath.Join(h.dir, "link.yaml") // the same one by another name
	if err := os.Symlink(h.file, link); err != nil {
		t.Fatal(err)
	}
	same := launch(t, nil, new(bytes.Buffer), "stdio", "-c", link)
	same.greet()
	_ = same.stdin.Close()
	same.wait()
	_ = c.stdin.Close()
	c.wait()
}

// A gateway that is named is joined, and never started.
func TestBridgeNamed(t *testing.T) {
	h := newHome(t, "server: {listen: '127.0.0.1:0'}\nupstreams:\n"+clock)
	socket := "unix:" + h.dir + "/state/admin.sock"
	named := func(where string) *process {
		p := launch(t, nil, new(bytes.Buffer), "stdio", "--admin", where)
		p.say(hello)
		return p
	}
	absent := named(socket)
	absent.expect(`"error":\{"code":-33001,"message":"no gateway could be reached: no gateway answers at ` + socket)
	if code := absent.wait(); code != exitUnreachable {
		t.Errorf("exit code %d, want %d", code, exitUnreachable)
	}
	serve := launch(t, nil, nil, "serve", "-c", h.file)
	serve.expect(`^1 of 1 server ready`)
	there := named(socket)
	there.expect(`"result":\{.*"serverInfo"`)
	_ = there.stdin.Close()
	if code := there.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	lost := launch(t, nil, new(bytes.Buffer), "stdio") // in a folder without a configuration
	lost.say(hello)
	lost.expect(`"error":.*no configuration file`)
	if code := lost.wait(); code != exitBadConfig {
		t.Errorf("exit code %d, want %d", code, exitBadConfig)
	}
	serve.signal(syscall.SIGTERM)
	serve.wait()
}
