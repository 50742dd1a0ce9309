package e2e

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestBridge has clients of both eras use a server of each, and be asked by it in
// the middle of calls: go-sdk's reference server, which can do all that there is.
func TestBridge(t *testing.T) {
	t.Parallel()
	for _, server := range []struct {
		name string
		era  era
		make func(ctx context.Context, t *testing.T, dir string, speaks era) fields
	}{
		{"modern", modern, referenceHTTP},
		{"modern-process", modern, func(_ context.Context, t *testing.T, _ string, speaks era) fields {
			t.Helper()
			f := referenceStdio(t, speaks)
			delete(f, "prefix")
			f["protocol"] = "auto" // it prefers the newer by itself
			return f
		}},
		{"legacy", legacy, referenceHTTP},
	} {
		for client, made := range clients {
			t.Run(client+" to "+server.name, func(t *testing.T) {
				t.Parallel()
				ctx, dir := deadline(t, 2*time.Minute), home(t)
				g := newGateway(ctx, t, dir, fields{"ref": server.make(ctx, t, dir, server.era)})
				c := newClient(ctx, t, dir)
				f := capable(g.url())
				maps.Copy(f, made)
				c.connect(f)
				inputRequired(c)
				if server.era == modern { // the reference asks a client of an older revision once only
					severalRounds(c)
				}
				told(c)
				c.must("terminate", nil, nil)
			})
		}
	}
}

// referenceHTTP is go-sdk's server as a remote one.
func referenceHTTP(ctx context.Context, t *testing.T, dir string, speaks era) fields {
	t.Helper()
	return fields{"url": referenceRemote(ctx, t, dir, speaks), "required": true}
}

// inputRequired calls what asks the client: for a form, for a completion, for its
// roots, and for all three at once.
func inputRequired(c *client) {
	c.t.Helper()
	for _, x := range []struct{ tool, want, asks string }{
		{"elicitation", "Hello, Ada!", "elicitation/create"},
		{"sampling", "Sampling response: forty-two", "sampling/createMessage"},
		{"list_roots", "Client exposed 1 root(s): file:///tmp/e2e-root", "roots/list"},
		{"multiple_inputs", "forty-two Ada — 1 root(s) visible", "elicitation/create"},
	} {
		if got := c.text("ref__test_input_required_result_"+x.tool, nil); got != x.want {
			c.t.Errorf("%s answered %q, want %q", x.tool, got, x.want)
		}
		c.seen("request", "of the tool "+x.tool, func(e event) bool { return e.Method == x.asks })
	}
	var prompt struct {
		Messages []struct{ Content struct{ Text string } }
	}
	c.must("getPrompt", fields{"params": fields{"name": "ref__test_input_required_result_prompt"}}, &prompt)
	if len(prompt.Messages) != 1 || !strings.Contains(prompt.Messages[0].Content.Text, "e2e context") {
		c.t.Errorf("the prompt is %v", prompt)
	}
}

// severalRounds calls what asks twice, and what keeps a state meanwhile.
func severalRounds(c *client) {
	c.t.Helper()
	for _, x := range []struct{ tool, want string }{
		{"multi_round", "Multi-round complete: Ada likes green"},
		{"request_state", "state-ok: requestState received and confirmation accepted"},
	} {
		if got := c.text("ref__test_input_required_result_"+x.tool, nil); got != x.want {
			c.t.Errorf("%s answered %q, want %q", x.tool, got, x.want)
		}
	}
}

// told checks what comes besides answers: progress, log lines, changes of lists and
// of resources.
func told(c *client) {
	c.t.Helper()
	const watched = "test://watched-resource"
	if c.modern {
		c.listens(fields{"toolsListChanged": true, "resourceSubscriptions": []string{watched}})
	} else {
		c.must("setLoggingLevel", fields{"params": "debug"}, nil)
		c.must("subscribeResource", fields{"params": fields{"uri": watched}}, nil)
	}
	progress := tool("ref__test_tool_with_progress", nil)
	progress["progress"] = true
	mark := c.mark()
	c.must("callTool", progress, nil)
	if n := c.progressed(mark); n != 3 {
		c.t.Errorf("%d progress notifications came before the answer, want 3", n)
	}

	logs := tool("ref__test_tool_with_logging", nil)
	if c.modern { // who wants log lines says so with each request
		logs["params"].(fields)["_meta"] = fields{"io.modelcontextprotocol/logLevel": "debug"}
	}
	c.must("callTool", logs, nil)
	for _, line := range []string{"started", "processing", "completed"} {
		c.seen("notification", "of the line "+line, func(e event) bool {
			return e.Method == "notifications/message" && strings.Contains(string(e.Params), line)
		})
	}

	c.text("ref__test_trigger_tool_change", nil)
	c.seen("notification", "of the changed list", func(e event) bool { return e.Method == "notifications/tools/list_changed" })
	var all struct{ Items []struct{ Name string } }
	c.must("listAll", fields{"method": "listTools", "key": "tools"}, &all)
	if !slices.Contains(all.Items, struct{ Name string }{"ref____transient_tool_for_list_changed"}) {
		c.t.Errorf("the new tool is not in %v", all.Items)
	}
	c.seen("notification", "of the resource", func(e event) bool {
		return e.Method == "notifications/resources/updated" && strings.Contains(string(e.Params), watched)
	})
	// The client puts region into a header as well, where its era has that.
	if got := c.text("ref__test_x_mcp_header", fields{"region": "Zürich "}); !strings.Contains(got, "Zürich ") {
		c.t.Errorf("the tool with a header answered %q", got)
	}
}
