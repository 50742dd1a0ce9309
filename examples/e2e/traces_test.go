package e2e

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/interlock-mcp/interlock/telemetry/telemetrytest"
)

// TestTracesOfConversations has clients of both eras be asked by servers of both in
// the middle of calls, and holds what is exported of it against what was said.
func TestTracesOfConversations(t *testing.T) {
	t.Parallel()
	const (
		server = "SERVER tools/call ref__test_input_required_result_elicitation\n"
		client = "  CLIENT tools/call test_input_required_result_elicitation\n"
		asked  = "    CLIENT elicitation/create\n"
		waited = "    INTERNAL queue wait\n" // for a session of the client's own with the server
	)
	for _, c := range []struct {
		client string
		server era
		want   []string // the traces of the call, the last being the retry's
		tied   string   // the tool whose retry is linked to what was asked before
	}{
		{"sdk", legacy, []string{server + client + asked}, ""},
		{"sdk", modern, []string{server + client + asked}, ""},
		// The call stays open until the retry brings the answer.
		{"pinned", legacy, []string{server + client + asked, server}, "elicitation"},
		// The server is asked again, and only its own state can tie that to the first.
		{"pinned", modern, []string{server + client, server + client}, "request_state"},
	} {
		t.Run(c.client+" to "+c.server.revision(), func(t *testing.T) {
			t.Parallel()
			ctx, dir := deadline(t, 2*time.Minute), home(t)
			spans := telemetrytest.New(t)
			g := configure(ctx, t, dir, fields{"ref": referenceHTTP(ctx, t, dir, c.server)})
			g.edit(func(whole map[string]any) {
				whole["telemetry"] = fields{"otlp": fields{"endpoint": spans.URL, "signals": []string{"traces"}}}
			})
			g.start()
			converse(ctx, t, dir, g, clients[c.client], c.tied)
			g.stop()

			var got []string
			for _, id := range spans.Traces() {
				if s := spans.Trace(id)[0]; s.Name == "tools/call ref__test_input_required_result_elicitation" {
					got = append(got, strings.ReplaceAll(spans.Tree(id), waited, ""))
				}
			}
			if !slices.Equal(got, c.want) {
				t.Fatalf("the traces are\n%s", spans.All())
			}
			for _, s := range spans.Named("elicitation/create") {
				if s.Attr("interlock.question.outcome") != "accept" {
					t.Errorf("the question is told so: %+v", s)
				}
			}
			if c.tied != "" {
				all := spans.Named("tools/call ref__test_input_required_result_" + c.tied)
				first, again := all[0], all[1]
				if l := again.Linked("parked"); first.Attr("interlock.result.type") != "input_required" || len(l) != 1 || spans.Linked(l[0]) != first {
					t.Errorf("the request is %+v, and its retry %+v", first, again)
				}
			}
			if n := spans.One("CLIENT", "tools/call test_tool_with_progress").Attr("interlock.progress.count"); n != "3" {
				t.Errorf("%q messages of progress were counted", n)
			}
			if s := spans.Named("session end"); (c.client == "sdk") != (len(s) == 1) {
				t.Errorf("%d ends of sessions were told", len(s))
			}
		})
	}
}

// converse has a client be asked by a call, by one that keeps a state if that is what
// is tied, and told of another's progress.
func converse(ctx context.Context, t *testing.T, dir string, g *gateway, how fields, tied string) {
	t.Helper()
	c := newClient(ctx, t, dir)
	f := capable(g.url())
	maps.Copy(f, how)
	c.connect(f)
	if got := c.text("ref__test_input_required_result_elicitation", nil); got != "Hello, Ada!" {
		t.Errorf("the call answered %q", got)
	}
	if tied == "request_state" {
		c.text("ref__test_input_required_result_request_state", nil)
	}
	progress := tool("ref__test_tool_with_progress", nil)
	progress["progress"] = true
	c.must("callTool", progress, nil)
	c.must("terminate", nil, nil)
}
