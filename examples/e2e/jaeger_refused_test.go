//go:build jaeger

package e2e

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// A remote server is gone in the middle of a call and stays away: what is refused
// then says by which attempt to reach it, and that attempt what it failed at.
func TestJaegerRefused(t *testing.T) {
	ctx, dir := deadline(t, 3*time.Minute), home(t)
	j := newJaeger(ctx, t, dir)
	remote := fields{
		"url": everythingRemote(ctx, t, dir, "streamableHttp"), "required": true,
		"health":  fields{"interval": "1s", "timeout": "1s"},
		"restart": fields{"delay": "200ms", "max_delay": "500ms", "max_attempts": 2},
	}
	g := configure(ctx, t, dir, fields{"http": remote, "memory": memory(dir + "/memory.json")})
	g.traced(j)
	g.start()
	c := newClient(ctx, t, dir)
	c.connect(capable(g.url()))
	c.must("listTools", nil, nil)

	cut := newOrigin()
	long := tool("http__trigger-long-running-operation", fields{"duration": 60, "steps": 600})
	long["progress"], long["params"] = true, cut.meta(long["params"].(fields))
	id := c.send("callTool", long)
	c.seen("progress", "of the call that will be cut", func(e event) bool { return e.Of == id })
	for pid, command := range living(dir) {
		if strings.Contains(command, "streamableHttp") {
			if err := kill(pid); err != nil {
				t.Fatal(err)
			}
		}
	}
	if raw, err := c.wait(id); err != nil || !strings.Contains(string(raw), `"interlock/error"`) {
		t.Errorf("the cut call: %s, %v", raw, err)
	}
	// Two attempts to reach it fail, and then it is left alone for a while.
	refused, other, reason := newOrigin(), newOrigin(), ""
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for reason != "exhausted" {
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatalf("the calls are refused for %q", reason)
		}
		refused = newOrigin()
		raw, err := c.wait(c.callIn(refused, "http__echo", fields{"message": "nobody"}))
		if err != nil {
			t.Fatal(err)
		}
		var answer struct {
			Meta map[string]struct{ Reason, Executed string } `json:"_meta"`
		}
		if err := json.Unmarshal(raw, &answer); err != nil {
			t.Fatal(err)
		}
		reason = answer.Meta["interlock/error"].Reason
	}
	c.textIn(other, "memory__read_graph", nil)
	c.must("close", nil, nil)
	g.stop()

	hurt := j.trace(t, cut.trace, has("tools/call http__trigger-long-running-operation", "tools/call trigger-long-running-operation"))
	root := hurt.below(t, cut.span, serverSpan, "tools/call http__trigger-long-running-operation")
	hurt.below(t, root.SpanID, clientSpan, "tools/call trigger-long-running-operation").says(t, map[string]string{
		"error.type": "*", "interlock.upstream": "http", "network.transport": "tcp", "server.address": "127.0.0.1",
	})

	call := j.trace(t, refused.trace, has("tools/call http__echo"))
	root = call.below(t, refused.span, serverSpan, "tools/call http__echo")
	root.says(t, map[string]string{"error.type": reason})
	from := root
	for _, n := range call.spans {
		if n.Kind == clientSpan {
			from = n
		}
	}
	to := from.link(t, "refused_by")
	at := j.trace(t, to.trace, func(got tree) bool { return got.find(to) != nil }).find(to)
	if at.Name != "upstream start" && at.Name != "breaker" {
		t.Errorf("the call was refused by %q, which is neither a start nor the breaker", at.Name)
	}
	at.says(t, map[string]string{"interlock.upstream": "http"})
	starts := j.named(t, "upstream start", func(got tree) bool {
		for _, n := range got.spans {
			if n.Name == "upstream start" && n.Attributes["interlock.upstream"] == "http" && n.Attributes["error.type"] != "" {
				return true
			}
		}
		return false
	})
	for _, n := range starts.spans {
		if n.Name == "upstream start" && n.Attributes["error.type"] != "" {
			n.says(t, map[string]string{"interlock.upstream": "http", "interlock.upstream.restart": "true"})
			last := starts.last(n)
			if last == nil || last.Attributes["error.type"] != n.Attributes["error.type"] || last.Status.Code != 2 {
				t.Errorf("the start failed at %s, and its last stage says otherwise:\n%s", n.Attributes["error.type"], starts)
			}
		}
	}

	// The neighbour's trace knows nothing of it.
	call = j.trace(t, other.trace, has("tools/call memory__read_graph", "tools/call read_graph"))
	for _, n := range call.spans {
		if len(n.Links) > 0 || n.Attributes["error.type"] != "" {
			t.Errorf("%q has to do with the neighbour's trouble:\n%s", n.Name, call)
		}
	}
}
