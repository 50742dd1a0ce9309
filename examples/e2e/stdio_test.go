package e2e

import (
	"maps"
	"strings"
	"testing"
	"time"
)

// TestStdioShared has clients of all kinds share one gateway that none of them
// knows of: each starts `interlock stdio`, and everything works; then the gateway
// is killed in the middle of their calls, and they go on.
func TestStdioShared(t *testing.T) {
	t.Parallel()
	ctx, dir := deadline(t, 4*time.Minute), home(t)
	g := configure(ctx, t, dir, fields{"every": everythingStdio()})
	bridge := func(made fields) fields {
		f := capable("")
		maps.Copy(f, made)
		f["command"], f["args"] = interlock, []string{"stdio", "-c", g.config, "--linger", "1s"}
		f["env"] = fields{"HOME": dir, "GORACE": brief}
		return f
	}
	all := map[string]*client{}
	for name, made := range clients {
		c := newClient(ctx, t, dir)
		c.connect(bridge(made))
		all[name] = c
	}
	for _, c := range all {
		lists(c, "every__")
		calls(c, "every__")
		questions(c, "every__")
	}
	face(ctx, t, dir, bridge(clients["sdk"])) // while the others look on
	gateways := func() (pids []int) {
		for pid, command := range living(dir) {
			if strings.Contains(command, "serve --background") {
				pids = append(pids, pid)
			}
		}
		return pids
	}
	before := gateways()
	if len(before) != 1 {
		t.Fatalf("the clients have %d gateways, want 1", len(before))
	}
	if servers := g.list(); len(servers) != 1 || servers["every"].Generation != 1 {
		t.Errorf("the servers are %v", servers)
	}

	long := tool("every__trigger-long-running-operation", fields{"duration": 60, "steps": 600})
	long["progress"] = true
	cut := map[string]int{}
	for name, c := range all {
		if c.modern {
			c.listens(fields{"toolsListChanged": true})
		}
		id := c.send("callTool", long)
		c.seen("progress", "of the call that will be cut", func(e event) bool { return e.Of == id })
		cut[name] = id
	}
	if err := kill(before[0]); err != nil {
		t.Fatal(err)
	}
	for name, c := range all {
		raw, err := c.wait(cut[name])
		if err != nil {
			t.Errorf("%s: the cut call: %v, want a tool result that says so", name, err)
		}
		for _, want := range []string{`"isError":true`, `"interlock/error"`, `"executed":"unknown"`, `UNKNOWN`} {
			if !strings.Contains(string(raw), want) {
				t.Errorf("%s: the cut call's result has no %s: %s", name, want, raw)
			}
		}
		c.seen("notification", "of lists that may have changed", func(e event) bool { return e.Method == "notifications/tools/list_changed" })
		if got := c.text("every__echo", fields{"message": "again"}); got != "Echo: again" {
			t.Errorf("%s: echo answered %q", name, got)
		}
		questions(c, "every__")
		if n := c.count("closed", func(event) bool { return true }) + c.count("unlistened", func(event) bool { return true }); n > 0 {
			t.Errorf("%s: the client noticed", name)
		}
	}
	if after := gateways(); len(after) != 1 || after[0] == before[0] {
		t.Errorf("the gateways are %v, were %v", after, before)
	}
	for _, c := range all {
		c.must("close", nil, nil)
	}
}
