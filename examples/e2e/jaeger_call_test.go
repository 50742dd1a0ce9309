//go:build jaeger

package e2e

import (
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// traced has a gateway send its traces to j.
func (g *gateway) traced(j *jaeger) {
	g.t.Helper()
	g.edit(func(whole map[string]any) {
		whole["telemetry"] = fields{"otlp": fields{"endpoint": j.otlp, "signals": []string{"traces"}}}
	})
}

// A call is one trace from the client's own span down to the server, with the
// policy that changed its result in between: for clients of both eras, over HTTP
// and over stdio, and for servers over stdio and over HTTP.
func TestJaegerCall(t *testing.T) {
	ctx, dir := deadline(t, 3*time.Minute), home(t)
	j := newJaeger(ctx, t, dir)
	remote := everythingRemote(ctx, t, dir, "streamableHttp")
	at, err := url.Parse(remote)
	if err != nil {
		t.Fatal(err)
	}
	shared := filepath.Join(dir, "shared")
	if err := os.Mkdir(shared, 0o700); err != nil {
		t.Fatal(err)
	}
	const secret = "ghp_Zx81KQwv30rPbLdTY6mEo9cUfJsAh2nGXi4t"
	file := filepath.Join(shared, "env")
	if err := os.WriteFile(file, []byte("GITHUB_TOKEN="+secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	gatewayIn := func(dir string) *gateway {
		g := configure(ctx, t, dir, fields{
			"files": filesystem(shared), "memory": memory(filepath.Join(dir, "memory.json")),
			"http": fields{"url": remote, "required": true},
		})
		g.traced(j)
		g.edit(func(whole map[string]any) {
			whole["policies"] = []fields{{"name": "no-tokens", "secrets": fields{"tools": []string{"read_text_file", "echo"}}}}
		})
		return g
	}
	g, own := gatewayIn(dir), gatewayIn(home(t))
	g.start()
	process := fields{"command": interlock, "args": []string{"serve", "--stdio", "-c", own.config}, "env": fields{"HOME": own.dir, "GORACE": brief}}

	type made struct {
		client                        string
		read, remember, reach, denied origin
	}
	var all []made
	for _, x := range []struct {
		name string
		how  fields
	}{
		{"sdk over HTTP", clients["sdk"]}, {"pinned over HTTP", clients["pinned"]}, {"sdk over stdio", process},
	} {
		c := newClient(ctx, t, dir)
		f := capable(g.url())
		maps.Copy(f, x.how)
		c.connect(f)
		m := made{x.name, newOrigin(), newOrigin(), newOrigin(), newOrigin()}
		if got := c.textIn(m.read, "files__read_text_file", fields{"path": file}); !strings.Contains(got, "[REDACTED:github-pat]") {
			t.Errorf("%s: the file is %q", x.name, got)
		}
		c.textIn(m.remember, "memory__read_graph", nil)
		c.textIn(m.reach, "http__echo", fields{"message": "hello"})
		if got, err := c.wait(c.callIn(m.denied, "http__echo", fields{"message": secret})); err != nil || !strings.Contains(string(got), `"executed":"no"`) {
			t.Errorf("%s: a token passed: %s, %v", x.name, got, err)
		}
		c.must("close", nil, nil)
		all = append(all, m)
	}
	g.stop()

	for _, m := range all {
		t.Run(m.client, func(t *testing.T) {
			face, session := "tcp", "*"
			if strings.Contains(m.client, "stdio") {
				face = "pipe"
			}
			revision := legacy.revision()
			if strings.HasPrefix(m.client, "pinned") {
				session, revision = "", modern.revision()
			}
			server := map[string]string{
				"mcp.method.name": "tools/call", "gen_ai.operation.name": "execute_tool", "network.transport": face,
				"jsonrpc.request.id": "*", "mcp.protocol.version": revision, "mcp.session.id": session, "error.type": "",
			}
			if face == "tcp" {
				server["client.address"] = "127.0.0.1"
			}

			read := j.trace(t, m.read.trace, has("tools/call files__read_text_file", "policy no-tokens", "tools/call read_text_file"))
			if strings.Contains(read.raw, secret) {
				t.Error("the secret is in the trace")
			}
			if len(read.spans) != 3 {
				t.Errorf("there are %d spans, want 3:\n%s", len(read.spans), read)
			}
			root := read.below(t, m.read.span, serverSpan, "tools/call files__read_text_file")
			server["gen_ai.tool.name"] = "files__read_text_file"
			root.says(t, server)
			policy := read.below(t, root.SpanID, internalSpan, "policy no-tokens")
			policy.says(t, map[string]string{"interlock.policy.effect": "change", "interlock.policy.name": "no-tokens"})
			up := read.below(t, root.SpanID, clientSpan, "tools/call read_text_file")
			up.says(t, map[string]string{
				"gen_ai.tool.name": "read_text_file", "interlock.upstream": "files", "network.transport": "pipe",
				"mcp.protocol.version": "*", "server.address": "", "error.type": "",
			})
			up.within(t, root)
			policy.within(t, root)

			remember := j.trace(t, m.remember.trace, has("tools/call memory__read_graph", "tools/call read_graph"))
			root = remember.below(t, m.remember.span, serverSpan, "tools/call memory__read_graph")
			remember.below(t, root.SpanID, clientSpan, "tools/call read_graph").says(t, map[string]string{"interlock.upstream": "memory"})

			reach := j.trace(t, m.reach.trace, has("tools/call http__echo", "tools/call echo"))
			root = reach.below(t, m.reach.span, serverSpan, "tools/call http__echo")
			reach.below(t, root.SpanID, clientSpan, "tools/call echo").says(t, map[string]string{
				"interlock.upstream": "http", "network.transport": "tcp", "server.address": at.Hostname(), "server.port": at.Port(),
			})

			denied := j.trace(t, m.denied.trace, has("tools/call http__echo", "policy no-tokens"))
			if strings.Contains(denied.raw, secret) {
				t.Error("the secret is in the trace of the call that was refused for it")
			}
			root = denied.below(t, m.denied.span, serverSpan, "tools/call http__echo")
			root.says(t, map[string]string{"error.type": "denied"})
			denied.below(t, root.SpanID, internalSpan, "policy no-tokens").says(t, map[string]string{"interlock.policy.effect": "deny", "interlock.policy.reason": "*"})
			if len(denied.spans) != 2 {
				t.Errorf("a call that was refused has %d spans, want 2:\n%s", len(denied.spans), denied)
			}
		})
	}
}

// callIn calls a tool within a client's own trace.
func (c *client) callIn(o origin, name string, arguments fields) int {
	c.t.Helper()
	call := tool(name, arguments)
	call["params"] = o.meta(call["params"].(fields))
	return c.send("callTool", call)
}

// textIn is text within a client's own trace.
func (c *client) textIn(o origin, name string, arguments fields) string {
	c.t.Helper()
	raw, err := c.wait(c.callIn(o, name, arguments))
	if err != nil {
		c.t.Fatalf("%s: %v", name, err)
	}
	if strings.Contains(string(raw), `"isError":true`) {
		c.t.Fatalf("%s failed: %s", name, raw)
	}
	return string(raw)
}
