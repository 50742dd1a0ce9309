package e2e

import (
	"maps"
	"strings"
	"testing"
	"time"
)

// pause is how long people take here: longer than the 30 s after which some clients
// and servers give up what they keep open.
const pause = 33 * time.Second

// TestLongPause lets a person take their time in every pairing of the eras, at once.
// Meanwhile others are served, by the same servers.
func TestLongPause(t *testing.T) {
	t.Parallel()
	ctx, dir := deadline(t, 3*time.Minute), home(t)
	g := newGateway(ctx, t, dir, fields{
		"every": everythingStdio(),
		"http":  fields{"url": everythingRemote(ctx, t, dir, "streamableHttp"), "required": true},
		"ref":   referenceHTTP(ctx, t, dir, modern),
	})
	for client, made := range map[string]fields{"sdk": clients["sdk"], "pinned": clients["pinned"]} {
		for name, want := range map[string]string{
			"every__trigger-elicitation-request":          "Name: Ada",
			"http__trigger-elicitation-request":           "Name: Ada",
			"ref__test_input_required_result_elicitation": "Hello, Ada!",
		} {
			if client == "pinned" && strings.HasPrefix(name, "every") {
				continue // a process asks for one client at a time
			}
			c := newClient(ctx, t, dir)
			f := capable(g.url())
			maps.Copy(f, made)
			answers := f["answers"].(fields)
			answers["elicitation/create"] = fields{"$after": pause.Milliseconds(), "$answer": answers["elicitation/create"]}
			c.connect(f)
			call := tool(name, nil)
			call["timeout"] = (2 * pause).Milliseconds()
			id := c.send("callTool", call)
			t.Cleanup(func() {
				if got, err := c.wait(id); err != nil || !strings.Contains(string(got), want) {
					t.Errorf("%s to %s: %s, %v", client, name, got, err)
				}
			})
			c.seen("request", "for a form", func(e event) bool { return e.Method == "elicitation/create" })
		}
	}
	other := newClient(ctx, t, dir)
	other.connect(capable(g.url()))
	for _, prefix := range []string{"every__", "http__"} {
		if got := other.text(prefix+"echo", fields{"message": "meanwhile"}); got != "Echo: meanwhile" {
			t.Errorf("%secho answered %q", prefix, got)
		}
	}
}

// TestClientGone lets clients disappear while a server waits for their answer. The
// servers go on serving others, and the gateway stops in good time with what is
// still open.
func TestClientGone(t *testing.T) {
	t.Parallel()
	for client, made := range clients {
		t.Run(client, func(t *testing.T) {
			t.Parallel()
			ctx, dir := deadline(t, 2*time.Minute), home(t)
			g := newGateway(ctx, t, dir, fields{
				"every":  everythingStdio(),
				"ref":    referenceHTTP(ctx, t, dir, modern),
				"legacy": referenceHTTP(ctx, t, dir, legacy),
			})
			for _, name := range []string{
				"every__trigger-elicitation-request", "ref__test_input_required_result_elicitation", "legacy__test_input_required_result_elicitation",
			} {
				c := newClient(ctx, t, dir)
				f := capable(g.url())
				maps.Copy(f, made)
				f["answers"].(fields)["elicitation/create"] = fields{"$after": time.Hour.Milliseconds(), "$answer": nil}
				c.connect(f)
				c.send("callTool", tool(name, nil))
				c.seen("request", "for a form", func(e event) bool { return e.Method == "elicitation/create" })
				c.gone()
			}
			other := newClient(ctx, t, dir)
			other.connect(capable(g.url()))
			if got := other.text("every__echo", fields{"message": "after"}); got != "Echo: after" {
				t.Errorf("echo answered %q", got)
			}
			inputRequired(other)
			other.must("close", nil, nil)
			g.stop()
			if strings.Contains(g.log.String(), "killed") {
				t.Error("the servers had to be killed")
			}
		})
	}
}
