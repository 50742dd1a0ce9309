//go:build linux

package plugin

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// hours are office hours that are always open, or closed for some days.
func hours(t testing.TB, open bool) fields {
	t.Helper()
	raw, err := os.ReadFile(officeHours)
	if err != nil {
		t.Fatal(err)
	}
	// Where it is about noon: the last minute of a day is closed, and its end another day.
	ahead := 12 - time.Now().UTC().Hour()
	days := []string{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"}
	if !open {
		days = []string{time.Now().UTC().Add(time.Duration(ahead)*time.Hour).AddDate(0, 0, 3).Format("Mon")}
	}
	return fields{
		"command": officeHours, "sha256": fmt.Sprintf("%x", sha256.Sum256(raw)),
		"config":  fields{"from": "00:00", "to": "23:59", "days": days, "zone": fmt.Sprintf("Etc/GMT%+d", -ahead)},
		"timeout": "30s", // a busy machine is no fault
	}
}

// The example in Go, from its denial to the reload that lets calls pass, in which no
// call is undecided.
func TestGo(t *testing.T) {
	closed := hours(t, false)
	g := newGateway(t, closed)
	c := g.dial()
	const add, list = `{"text":"milk"}`, `{}`
	if said := g.call(c, "notes__add", add); !strings.Contains(said, "closed until") {
		t.Errorf("a tool that changes: %q, want it closed", said)
	}
	if said := g.call(c, "notes__list", list); strings.Contains(said, "closed") || strings.HasPrefix(said, "error") {
		t.Errorf("a tool that reads: %q", said)
	}
	first := processes(officeHours)
	if len(first) != 1 {
		t.Fatalf("processes %v, want one", first)
	}

	// What the plugin does not accept changes nothing.
	bad := hours(t, true)
	bad["config"] = fields{"from": "8h"}
	g.configure(bad)
	if said, err := g.reload(); err == nil || !strings.Contains(said, "config.from: is not a time of the day (write it like 08:30)") {
		t.Errorf("reload: %v, %s", err, said)
	}
	if now := processes(officeHours); len(now) != 1 || now[0] != first[0] {
		t.Errorf("processes %v, want %v", now, first)
	}

	// Reloads under load.
	quit := make(chan struct{})
	var calls, refused, passed atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		c := g.dial()
		wg.Go(func() {
			for {
				select {
				case <-quit:
					return
				default:
				}
				calls.Add(1)
				switch said := g.call(c, "notes__remove", `{"number":99999}`); {
				case strings.Contains(said, "closed until"):
					refused.Add(1)
				case strings.Contains(said, "policy"):
					t.Errorf("in a reload: %q", said)
				default:
					passed.Add(1)
				}
			}
		})
	}
	rounds := 3
	if os.Getenv("INTERLOCK_SOAK") != "" {
		rounds = 20
	}
	for i := range 2*rounds + 1 {
		before := calls.Load()
		g.await("called", func() bool { return calls.Load() > before+20 })
		g.configure(hours(t, i%2 == 0))
		if said, err := g.reload(); err != nil {
			t.Fatalf("%v: %s", err, said)
		}
	}
	close(quit)
	wg.Wait()
	t.Logf("%d calls in %d reloads: %d refused, %d passed", calls.Load(), 2*rounds+1, refused.Load(), passed.Load())
	if refused.Load() == 0 || passed.Load() == 0 {
		t.Error("not both were seen")
	}
	if said := g.call(c, "notes__add", add); strings.HasPrefix(said, "error") {
		t.Errorf("while it is open: %q", said)
	}
	g.await("one plugin", func() bool { return len(processes(officeHours)) == 1 })

	// A gateway that is killed leaves no plugin.
	_ = g.cmd.Process.Signal(syscall.SIGKILL)
	<-g.exited
	g.await("no plugin", func() bool { return len(processes(officeHours)) == 0 })
}

// A program that is not the one of the checksum is not started, and the gateway says so.
func TestWrongChecksum(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "interlock.yaml")
	config := "state_dir: " + dir + "/state\nserver: {listen: '127.0.0.1:0'}\npolicies:\n- plugin: {command: " + officeHours + ", sha256: " + strings.Repeat("ab", 32) + "}\n"
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), interlock, "serve", "-c", file).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "policy plugin: the SHA-256 of "+officeHours) {
		t.Errorf("%v: %s", err, out)
	}
}

// The example in Node, which has nothing of go-plugin's.
func TestNode(t *testing.T) {
	node, err := exec.LookPath("node")
	if err == nil {
		_, err = os.Stat("node/node_modules/@grpc/grpc-js/package.json")
	}
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skipf("needs Node 20 or later and its packages (make fetch): %v", err)
	}
	script, err := filepath.Abs("node/plugin.js")
	if err != nil {
		t.Fatal(err)
	}
	g := newGateway(t, fields{
		"command": script, "env": fields{"PATH": filepath.Dir(node)}, "start_timeout": "60s", "timeout": "30s",
		"config": fields{"tools": []string{"notes__add"}},
	})
	c := g.dial()
	if said := g.call(c, "notes__add", `{"text":"milk"}`); !strings.Contains(said, "name a ticket such as OPS-123") {
		t.Errorf("without a ticket: %q", said)
	}
	if said := g.call(c, "notes__add", `{"text":"milk, for OPS-7"}`); strings.HasPrefix(said, "error") {
		t.Errorf("with a ticket: %q", said)
	}
	if said := g.call(c, "notes__list", `{}`); !strings.Contains(said, "OPS-7") || strings.HasPrefix(said, "error") {
		t.Errorf("another tool: %q", said)
	}

	// Killed, it comes back by itself.
	for _, pid := range processes(script) {
		var n int
		if _, err := fmt.Sscan(pid, &n); err == nil {
			_ = syscall.Kill(n, syscall.SIGKILL)
		}
	}
	if out := g.run("policies", "-o", "json"); !strings.Contains(out, `"kind": "plugin"`) {
		t.Errorf("interlock policies: %s", out)
	}
	g.await("back", func() bool {
		said := g.call(c, "notes__add", `{"text":"milk, for OPS-8"}`)
		return !strings.HasPrefix(said, "error")
	})
	if said := g.call(c, "notes__add", `{"text":"milk"}`); !strings.Contains(said, "name a ticket such as OPS-123") {
		t.Errorf("after a restart: %q", said)
	}
	if out := g.run("policies", "-o", "json"); !strings.Contains(out, `"state": "running ticket 1.0.0, pid `) || !strings.Contains(out, "restarts: 1") {
		t.Errorf("interlock policies: %s", out)
	}
}

// The example of the policies folder is one that can be used.
func TestExampleConfiguration(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), interlock, "validate", "-c", "../policies/plugin.yaml").CombinedOutput()
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
	proto, err := os.ReadFile("../../policy/plugin/proto/v1/policy.proto")
	if err != nil {
		t.Fatal(err)
	}
	if own, err := os.ReadFile("node/policy.proto"); err != nil || string(own) != string(proto) {
		t.Errorf("node/policy.proto is not the one of policy/plugin (cp): %v", err)
	}
}
