package e2e

import (
	"context"
	"strings"
	"testing"
	"time"
)

// TestServerKilled kills a server's process, first while nothing runs and then
// in the middle of a call: the client's session goes on, and the call that was
// cut is answered at once and honestly.
func TestServerKilled(t *testing.T) {
	t.Parallel()
	ctx, dir := deadline(t, 2*time.Minute), home(t)
	quick := everythingStdio()
	quick["restart"] = fields{"delay": "100ms", "max_delay": "500ms", "stable": "1s", "max_attempts": 10}
	g := newGateway(ctx, t, dir, fields{"every": quick, "memory": memory(dir + "/memory.json")})
	c := newClient(ctx, t, dir)
	c.must("connect", capable(g.url()), nil)
	c.text("every__echo", fields{"message": "before"})
	neighbour := g.list()["memory"].PID

	first := g.list()["every"]
	g.killChild(first)
	if second := g.again(first); second.PID == first.PID {
		t.Errorf("the new process has the pid of the old, %d", first.PID)
	}
	if got := c.text("every__echo", fields{"message": "again"}); got != "Echo: again" {
		t.Errorf("echo answered %q", got)
	}

	long := tool("every__trigger-long-running-operation", fields{"duration": 60, "steps": 600})
	long["progress"] = true
	id := c.send("callTool", long)
	c.seen("progress", "of the call that will be cut", func(e event) bool { return e.Of == id })
	second := g.list()["every"]
	g.killChild(second)
	raw, err := c.wait(id)
	if err != nil {
		t.Errorf("the cut call: %v, want a tool result that says so", err)
	}
	for _, want := range []string{`"isError":true`, `"interlock/error"`, `"executed":"unknown"`, `"upstream":"every"`} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("the cut call's result has no %s: %s", want, raw)
		}
	}
	g.again(second)
	if got := c.text("every__echo", fields{"message": "still"}); got != "Echo: still" {
		t.Errorf("echo answered %q", got)
	}
	if n := c.count("closed", func(event) bool { return true }); n > 0 {
		t.Error("the client's session was closed")
	}
	if got := g.list()["memory"].PID; got != neighbour {
		t.Errorf("the other server was restarted too: pid %d, was %d", got, neighbour)
	}
}

// TestGatewayRestarted stops and starts the gateway under a client, and then
// kills and starts it: the session id that the client holds goes on working.
func TestGatewayRestarted(t *testing.T) {
	t.Parallel()
	ctx, dir := deadline(t, 2*time.Minute), home(t)
	g := newGateway(ctx, t, dir, fields{"every": everythingStdio()})
	c := newClient(ctx, t, dir)
	var before, after struct{ Session string }
	c.must("connect", capable(g.url()), &before)
	if before.Session == "" {
		t.Fatal("the gateway gave no session id")
	}
	c.text("every__echo", fields{"message": "before"})

	g.stop()
	g.noServers()
	g.start()
	if got := c.text("every__echo", fields{"message": "after a restart"}); got != "Echo: after a restart" {
		t.Errorf("echo answered %q", got)
	}
	lists(c, "every__")

	g.kill()
	g.noServers()
	g.start()
	questions(c, "every__") // needs what the client declared long ago
	if c.must("state", nil, &after); after.Session != before.Session {
		t.Errorf("session %s became %s", before.Session, after.Session)
	}
}

// killChild kills the process of u, as the kernel or a bug would.
func (g *gateway) killChild(u upstream) {
	g.t.Helper()
	if u.PID == 0 {
		g.t.Fatalf("interlock list says no pid of %q", u.Name)
	}
	if err := kill(u.PID); err != nil {
		g.t.Fatal(err)
	}
}

// again waits until the upstream runs in a later generation than old, and
// returns it.
func (g *gateway) again(old upstream) upstream {
	g.t.Helper()
	retry := time.NewTicker(50 * time.Millisecond)
	defer retry.Stop()
	for {
		if u := g.list()[old.Name]; u.State == "running" && u.Generation > old.Generation {
			return u
		}
		select {
		case <-retry.C:
		case <-g.ctx.Done():
			g.t.Fatalf("%s did not come back: %v", old.Name, context.Cause(g.ctx))
		}
	}
}

// noServers waits until no server of the gateway lives, and fails the test if
// they stay.
func (g *gateway) noServers() {
	g.t.Helper()
	end := time.NewTimer(time.Minute)
	defer end.Stop()
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for {
		var left string
		for _, command := range living(g.dir) {
			if !strings.Contains(command, "drivers/client.mjs") {
				left = command
			}
		}
		if left == "" {
			return
		}
		select {
		case <-retry.C:
		case <-end.C:
			g.t.Fatalf("this outlives the gateway: %s", left)
		}
	}
}
