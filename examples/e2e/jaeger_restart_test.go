//go:build jaeger

package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// everythingSlow is server-everything as it is on a machine that has much to do: it
// says nothing for a second, so that a call finds it starting.
func everythingSlow() fields {
	f := everythingStdio()
	f["args"] = append([]string{"-c", `sleep 1; exec node "$@"`, "sh"}, f["args"].([]string)...)
	f["command"] = "sh"
	return f
}

// A server is killed in the middle of a call, and the next call waits for the one
// that is started in its place: the trace of each leads to that of the restart.
func TestJaegerRestart(t *testing.T) {
	ctx, dir := deadline(t, 3*time.Minute), home(t)
	j := newJaeger(ctx, t, dir)
	g := configure(ctx, t, dir, fields{"every": everythingSlow()})
	g.traced(j)
	g.start()
	c := newClient(ctx, t, dir)
	c.connect(capable(g.url()))
	c.text("every__echo", fields{"message": "before"})

	cut, waited := newOrigin(), newOrigin()
	long := tool("every__trigger-long-running-operation", fields{"duration": 60, "steps": 600})
	long["progress"], long["params"] = true, cut.meta(long["params"].(fields))
	id := c.send("callTool", long)
	c.seen("progress", "of the call that will be cut", func(e event) bool { return e.Of == id })
	first := g.list()["every"]
	g.killChild(first)
	raw, err := c.wait(id)
	if err != nil || !strings.Contains(string(raw), `"executed":"unknown"`) {
		t.Errorf("the cut call: %s, %v", raw, err)
	}
	if got := c.textIn(waited, "every__echo", fields{"message": "after"}); !strings.Contains(got, "Echo: after") {
		t.Errorf("echo answered %q", got)
	}
	c.must("close", nil, nil)
	g.stop()

	hurt := j.trace(t, cut.trace, has("tools/call every__trigger-long-running-operation", "tools/call trigger-long-running-operation"))
	root := hurt.below(t, cut.span, serverSpan, "tools/call every__trigger-long-running-operation")
	root.says(t, map[string]string{"error.type": "*"})
	lost := hurt.below(t, root.SpanID, clientSpan, "tools/call trigger-long-running-operation")
	lost.says(t, map[string]string{"error.type": "*", "interlock.progress.count": "*", "interlock.upstream": "every"})
	if lost.Status.Code != 2 || root.Status.Code != 2 {
		t.Errorf("the cut call's status is %v and %v, want errors", root.Status, lost.Status)
	}

	call := j.trace(t, waited.trace, has("tools/call every__echo", "tools/call echo", "queue wait"))
	root = call.below(t, waited.span, serverSpan, "tools/call every__echo")
	root.says(t, map[string]string{"error.type": ""})
	up := call.below(t, root.SpanID, clientSpan, "tools/call echo")
	queue := call.below(t, up.SpanID, internalSpan, "queue wait")
	queue.says(t, map[string]string{"interlock.upstream": "every", "interlock.wait.reason": "start"})
	queue.within(t, up)
	if took := time.Duration(nanos(queue.End) - nanos(queue.Start)); took < 500*time.Millisecond {
		t.Errorf("the call waited for %v, and the server takes a second to start", took)
	}

	// The link leads to the restart, which is a trace of its own.
	to := up.link(t, "waited_for")
	start := j.trace(t, to.trace, has("upstream start", "spawn", "handshake", "probe", "list"))
	again := start.below(t, "", internalSpan, "upstream start")
	if again.SpanID != to.span {
		t.Errorf("the call waited for %s, and the start is %s", to.span, again.SpanID)
	}
	again.says(t, map[string]string{
		"interlock.upstream": "every", "interlock.upstream.restart": "true", "interlock.upstream.generation": "2",
		"interlock.upstream.cause": "*", "error.type": "",
	})
	stages := start.children(again)
	if want := []string{"spawn", "handshake", "probe", "list"}; !slices.Equal(slices.DeleteFunc(slices.Clone(stages), func(s string) bool {
		return !slices.Contains(want, s)
	}), want) {
		t.Errorf("the start's stages are %v, want %v", stages, want)
	}
	for _, n := range start.spans {
		if n.ParentSpanID == again.SpanID {
			n.within(t, again)
		}
	}
	if nanos(again.Start) > nanos(queue.End) {
		t.Error("the start began after the wait for it had ended")
	}
	// What the start comes of: the call that was cut, and the breaker, which opened.
	causes := map[string]bool{}
	for _, cause := range again.links("caused") {
		causes[j.trace(t, cause.trace, func(got tree) bool { return got.find(cause) != nil }).find(cause).Name] = true
		if cause.trace == cut.trace && cause.span != lost.SpanID {
			t.Errorf("of the cut call %s is the cause, want its request to the server", cause.span)
		}
	}
	if !causes["breaker"] || !causes[lost.Name] || len(causes) != 2 {
		t.Errorf("the start was caused by %v", causes)
	}
	before := again.link(t, "previous")
	earlier := j.trace(t, before.trace, has("upstream start", "spawn", "handshake", "list")).find(before)
	if earlier == nil {
		t.Fatal("the start links to none before it")
	}
	earlier.says(t, map[string]string{"interlock.upstream": "every", "interlock.upstream.generation": "1", "interlock.upstream.restart": "false"})

	breaker := j.named(t, "breaker", func(got tree) bool { return len(events(got)) >= 3 })
	if got, want := events(breaker), []string{"interlock.breaker.opened", "interlock.breaker.half_opened", "interlock.breaker.closed"}; !slices.Equal(got, want) {
		t.Errorf("the breaker's events are %v, want %v", got, want)
	}
	stopped := j.named(t, "upstream stop", has("upstream stop"))
	stopped.below(t, "", internalSpan, "upstream stop").says(t, map[string]string{"interlock.upstream": "every"})
}

// events are the names of the events of all spans, in the order of the spans.
func events(of tree) (names []string) {
	for _, n := range of.spans {
		for _, e := range n.Events {
			names = append(names, e.Name)
		}
	}
	return names
}

// Two calls to a server that may have one at a time: the second's trace says for
// how long it waited, and for what.
func TestJaegerQueue(t *testing.T) {
	ctx, dir := deadline(t, 2*time.Minute), home(t)
	j := newJaeger(ctx, t, dir)
	narrow := everythingStdio()
	narrow["limits"] = fields{"in_flight": 1, "queue": 10, "queue_timeout": "30s"}
	g := configure(ctx, t, dir, fields{"every": narrow})
	g.traced(j)
	g.start()
	c := newClient(ctx, t, dir)
	c.connect(capable(g.url()))
	c.must("listTools", nil, nil)

	first, second := newOrigin(), newOrigin()
	long := tool("every__trigger-long-running-operation", fields{"duration": 2, "steps": 10})
	long["progress"], long["params"] = true, first.meta(long["params"].(fields))
	id := c.send("callTool", long)
	c.seen("progress", "of the first call", func(e event) bool { return e.Of == id })
	c.textIn(second, "every__echo", fields{"message": "queued"})
	if _, err := c.wait(id); err != nil {
		t.Error(err)
	}
	c.must("close", nil, nil)
	g.stop()

	waited := j.trace(t, second.trace, has("tools/call every__echo", "tools/call echo", "queue wait"))
	root := waited.below(t, second.span, serverSpan, "tools/call every__echo")
	up := waited.below(t, root.SpanID, clientSpan, "tools/call echo")
	queue := waited.below(t, up.SpanID, internalSpan, "queue wait")
	queue.says(t, map[string]string{"interlock.upstream": "every", "interlock.wait.reason": "slot"})
	queue.within(t, up)

	held := j.trace(t, first.trace, has("tools/call every__trigger-long-running-operation", "tools/call trigger-long-running-operation"))
	root = held.below(t, first.span, serverSpan, "tools/call every__trigger-long-running-operation")
	up = held.below(t, root.SpanID, clientSpan, "tools/call trigger-long-running-operation")
	up.says(t, map[string]string{"interlock.progress.count": "10"})
	if names := held.children(up); slices.Contains(names, "queue wait") {
		t.Error("the first call has a queue wait, and there was nobody before it")
	}
	if nanos(queue.End) < nanos(up.End)-skew {
		t.Errorf("the second call's wait ended at %s, before the first call did at %s", queue.End, up.End)
	}
}
