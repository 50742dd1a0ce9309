package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestInspector uses the MCP Inspector's command line, which checks tools'
// schemas as it lists them, in each of the ways in which it chooses an era, with a
// server of each.
func TestInspector(t *testing.T) {
	t.Parallel()
	ctx, dir := deadline(t, 8*time.Minute), home(t)
	g := newGateway(ctx, t, dir, fields{"every": everythingStdio(), "ref": referenceHTTP(ctx, t, dir, modern)})
	for _, speaks := range []string{"legacy", "auto", "modern"} {
		t.Run(speaks, func(t *testing.T) { // in turn: the deadline is for the work, not for waiting behind other tests
			dir := home(t)
			inspect := func(out any, args ...string) {
				t.Helper()
				command := append([]string{module("@modelcontextprotocol/inspector/clients/launcher/build/index.js"), "--cli"}, g.url(), "--transport", "http", "--protocol-era", speaks)
				raw := output(ctx, t, dir, "node", append(command, args...)...)
				if err := json.Unmarshal(raw, out); err != nil {
					t.Fatalf("inspector %v: %v in %s", args, err, raw)
				}
			}
			var tools struct{ Tools []struct{ Name string } }
			inspect(&tools, "--method", "tools/list")
			for _, want := range []string{"every__echo", "ref__test_simple_text"} {
				if !slices.ContainsFunc(tools.Tools, func(i struct{ Name string }) bool { return i.Name == want }) {
					t.Errorf("no %s in %v", want, tools)
				}
			}
			var result struct{ Content []struct{ Text string } }
			inspect(&result, "--method", "tools/call", "--tool-name", "every__echo", "--tool-arg", "message=hi")
			if len(result.Content) != 1 || result.Content[0].Text != "Echo: hi" {
				t.Errorf("every__echo answered %v", result)
			}
			inspect(&result, "--method", "tools/call", "--tool-name", "ref__test_x_mcp_header", "--tool-arg", "region=Ulm")
			if len(result.Content) != 1 || result.Content[0].Text != "region=Ulm" {
				t.Errorf("ref__test_x_mcp_header answered %v", result)
			}
			var read struct{ Contents []struct{ Text string } }
			inspect(&read, "--method", "resources/read", "--uri", "demo://resource/dynamic/text/3")
			if len(read.Contents) != 1 || !strings.Contains(read.Contents[0].Text, "Resource 3") {
				t.Errorf("the resource is %v", read)
			}
			var prompt struct{ Messages []json.RawMessage }
			inspect(&prompt, "--method", "prompts/get", "--prompt-name", "every__simple-prompt")
			if len(prompt.Messages) != 1 {
				t.Errorf("the prompt is %v", prompt)
			}
		})
	}
}

// TestStdioFace is for clients that only start processes: everything works over
// stdin and stdout as it does over HTTP.
func TestStdioFace(t *testing.T) {
	t.Parallel()
	for name, made := range clients {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, dir := deadline(t, 2*time.Minute), home(t)
			g := configure(ctx, t, dir, fields{"every": everythingStdio()})
			f := capable("")
			maps.Copy(f, made)
			f["command"], f["args"] = interlock, []string{"serve", "--stdio", "-c", g.config}
			f["env"] = fields{"HOME": dir, "GORACE": brief}
			face(ctx, t, dir, f)
		})
	}
}

// TestSSEFace is for clients of before streamable HTTP.
func TestSSEFace(t *testing.T) {
	t.Parallel()
	ctx, dir := deadline(t, 2*time.Minute), home(t)
	g := newGateway(ctx, t, dir, fields{"every": everythingStdio()})
	f := capable("http://" + g.addr + "/sse")
	f["sse"] = true
	face(ctx, t, dir, f)
}

// face does everything over a connection that is not streamable HTTP.
func face(ctx context.Context, t *testing.T, dir string, connect fields) {
	t.Helper()
	c := newClient(ctx, t, dir)
	c.connect(connect)
	lists(c, "every__")
	calls(c, "every__")
	questions(c, "every__")
	resources(c)
	progressAndCancel(c, "every__")
	c.must("close", nil, nil)
}

// TestClaudeCode asks Claude Code, which starts with the protocol of 2026-07-28
// and needs no login for this, whether it can connect.
func TestClaudeCode(t *testing.T) {
	t.Parallel()
	ctx, dir := deadline(t, 2*time.Minute), home(t)
	claude, err := filepath.Abs("node_modules/.bin/claude")
	if err != nil {
		t.Fatal(err)
	}
	g := newGateway(ctx, t, dir, fields{"every": everythingStdio(), "ref": referenceHTTP(ctx, t, dir, modern)})
	output(ctx, t, dir, claude, "mcp", "add", "--transport", "http", "-s", "user", "interlock", g.url())
	alone := home(t) // a state folder of its own
	stdio := configure(ctx, t, alone, fields{"every": everythingStdio()})
	output(ctx, t, dir, claude, "mcp", "add", "-s", "user", "interlock-stdio", "--", interlock, "serve", "--stdio", "-c", stdio.config)
	output(ctx, t, dir, claude, "mcp", "add", "-s", "user", "interlock-shared", "--", interlock, "stdio", "-c", g.config)
	got := string(output(ctx, t, dir, claude, "mcp", "list"))
	for _, name := range []string{"interlock: ", "interlock-stdio: ", "interlock-shared: "} {
		line := ""
		for l := range strings.Lines(got) {
			if strings.HasPrefix(l, name) {
				line = l
			}
		}
		if !strings.Contains(line, "✔ Connected") {
			t.Errorf("claude mcp list has no connected %q:\n%s", name, got)
		}
	}
}

// output runs a program in dir's environment and returns what it printed on
// stdout; it must succeed.
func output(ctx context.Context, t *testing.T, dir, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env, cmd.Dir = environ(dir), dir
	cmd.WaitDelay = 5 * time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s%s", filepath.Base(name), args, err, out, &stderr)
	}
	return out
}
