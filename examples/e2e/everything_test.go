package e2e

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// clients are the ways in which a client may be made: with the TypeScript SDK, and
// with its successor, which finds out or is told what to speak.
var clients = map[string]fields{
	"sdk":    {},
	"auto":   {"mode": "auto"},
	"pinned": {"mode": fields{"pin": modern.revision()}},
}

// capable is what a client that can do everything declares and answers.
func capable(url string) fields {
	return fields{
		"url": url,
		"capabilities": fields{
			"roots":       fields{"listChanged": true},
			"sampling":    fields{},
			"elicitation": fields{"form": fields{}, "url": fields{}},
		},
		"answers": fields{
			"roots/list":             fields{"roots": []fields{{"uri": "file:///tmp/e2e-root", "name": "e2e-root"}}},
			"sampling/createMessage": fields{"model": "e2e", "role": "assistant", "content": fields{"type": "text", "text": "forty-two"}},
			"elicitation/create":     fields{"action": "accept", "content": fields{"name": "Ada", "color": "green", "context": "e2e context", "ok": true}},
		},
	}
}

// TestEverything uses all that server-everything has, with the same checks
// against the server itself, where only the checks can be wrong, and through the
// gateway in front of a process and of a remote server, by clients of both eras.
func TestEverything(t *testing.T) {
	t.Parallel()
	for _, run := range []struct {
		name, client string
		server       func(ctx context.Context, t *testing.T, dir string) fields // nil for the server itself
	}{
		{"direct", "sdk", nil},
		{"stdio", "sdk", everythingProcess},
		{"stdio", "pinned", everythingProcess},
		{"http", "sdk", everythingOver("streamableHttp")},
		{"http", "auto", everythingOver("streamableHttp")},
		{"http", "pinned", everythingOver("streamableHttp")},
		{"sse", "sdk", everythingOver("sse")},
		{"session", "sdk", func(context.Context, *testing.T, string) fields {
			own := everythingStdio()
			own["isolation"] = "session"
			return own
		}},
	} {
		t.Run(run.name+"/"+run.client, func(t *testing.T) {
			t.Parallel()
			ctx, dir := deadline(t, 2*time.Minute), home(t)
			var url, prefix string
			if run.server == nil {
				url = everythingRemote(ctx, t, dir, "streamableHttp")
			} else {
				url, prefix = newGateway(ctx, t, dir, fields{"every": run.server(ctx, t, dir)}).url(), "every__"
			}
			f := capable(url)
			maps.Copy(f, clients[run.client])
			everything(ctx, t, dir, f, prefix)
			if run.name == "session" { // the process is the session's own, so its roots may be relayed
				c := newClient(ctx, t, dir)
				c.connect(capable(url))
				c.text("every__echo", fields{"message": "hi"})
				roots(c)
			}
		})
	}
}

func everythingProcess(context.Context, *testing.T, string) fields { return everythingStdio() }

func everythingOver(mode string) func(context.Context, *testing.T, string) fields {
	return func(ctx context.Context, t *testing.T, dir string) fields {
		t.Helper()
		return fields{"url": everythingRemote(ctx, t, dir, mode), "required": true}
	}
}

// everything is the whole of it; prefix goes before names of tools and prompts.
func everything(ctx context.Context, t *testing.T, dir string, connect fields, prefix string) {
	t.Helper()
	c := newClient(ctx, t, dir)
	c.connect(connect)
	lists(c, prefix)
	calls(c, prefix)
	questions(c, prefix)
	resources(c)
	progressAndCancel(c, prefix)
	c.must("terminate", nil, nil)
}

func lists(c *client, prefix string) {
	c.t.Helper()
	for _, l := range []struct {
		method, key string
		want        []string
	}{
		{"listTools", "tools", []string{prefix + "echo", prefix + "get-sum", prefix + "trigger-sampling-request", prefix + "trigger-elicitation-request"}},
		{"listPrompts", "prompts", []string{prefix + "simple-prompt", prefix + "args-prompt", prefix + "completable-prompt"}},
		{"listResources", "resources", []string{"architecture.md", "features.md"}},
		{"listResourceTemplates", "resourceTemplates", []string{"Dynamic Text Resource", "Dynamic Blob Resource"}},
	} {
		var got struct {
			Items []struct{ Name string }
			Pages int
		}
		c.must("listAll", fields{"method": l.method, "key": l.key}, &got)
		for _, want := range l.want {
			if !slices.ContainsFunc(got.Items, func(i struct{ Name string }) bool { return i.Name == want }) {
				c.t.Errorf("%s has no %q: %v", l.method, want, got.Items)
			}
		}
	}
}

func calls(c *client, prefix string) {
	c.t.Helper()
	if got := c.text(prefix+"echo", fields{"message": "grüße 🚂"}); got != "Echo: grüße 🚂" {
		c.t.Errorf("echo answered %q", got)
	}
	if got := c.text(prefix+"get-sum", fields{"a": 2, "b": 40}); !strings.Contains(got, "42") {
		c.t.Errorf("get-sum answered %q", got)
	}
	// The SDK validates it against the tool's outputSchema.
	var weather struct {
		StructuredContent struct{ Temperature float64 }
	}
	c.must("callTool", tool(prefix+"get-structured-content", fields{"location": "Chicago"}), &weather)
	if weather.StructuredContent.Temperature == 0 {
		c.t.Error("get-structured-content has no structured content")
	}
	var image struct {
		Content []struct{ Type, MimeType, Data string }
	}
	c.must("callTool", tool(prefix+"get-tiny-image", nil), &image)
	if !slices.ContainsFunc(image.Content, func(i struct{ Type, MimeType, Data string }) bool {
		return i.Type == "image" && i.MimeType == "image/png" && len(i.Data) > 1000
	}) {
		c.t.Errorf("get-tiny-image has no image: %.200v", image)
	}
	var prompt struct {
		Messages []struct{ Content struct{ Text string } }
	}
	c.must("getPrompt", fields{"params": fields{"name": prefix + "args-prompt", "arguments": fields{"city": "Ulm"}}}, &prompt)
	if len(prompt.Messages) == 0 || !strings.Contains(prompt.Messages[0].Content.Text, "Ulm") {
		c.t.Errorf("args-prompt is %v", prompt)
	}
	var complete struct{ Completion struct{ Values []string } }
	c.must("complete", fields{"params": fields{
		"ref":      fields{"type": "ref/prompt", "name": prefix + "completable-prompt"},
		"argument": fields{"name": "department", "value": "S"},
	}}, &complete)
	if want := []string{"Sales", "Support"}; !slices.Equal(complete.Completion.Values, want) {
		c.t.Errorf("completion is %v, want %v", complete.Completion.Values, want)
	}
	c.must("complete", fields{"params": fields{
		"ref":      fields{"type": "ref/resource", "uri": "demo://resource/dynamic/text/{resourceId}"},
		"argument": fields{"name": "resourceId", "value": "7"},
	}}, &complete)
	if want := []string{"7"}; !slices.Equal(complete.Completion.Values, want) {
		c.t.Errorf("completion of a template is %v, want %v", complete.Completion.Values, want)
	}
	if !c.modern {
		c.must("ping", nil, nil)
	}
}

// questions are what the server asks of the client in the middle of a call.
func questions(c *client, prefix string) {
	c.t.Helper()
	if got := c.text(prefix+"trigger-sampling-request", fields{"prompt": "6*7", "maxTokens": 10}); !strings.Contains(got, "forty-two") {
		c.t.Errorf("sampling answered %q", got)
	}
	asked := c.seen("request", "sampling", func(e event) bool { return e.Method == "sampling/createMessage" })
	if !strings.Contains(string(asked.Params), "6*7") {
		c.t.Errorf("sampling was asked %s", asked.Params)
	}
	if got := c.text(prefix+"trigger-elicitation-request", nil); !strings.Contains(got, "Name: Ada") {
		c.t.Errorf("elicitation answered %q", got)
	}
	if got := c.text(prefix+"trigger-url-elicitation", fields{"url": "https://example.com/sign-in", "message": "Sign in"}); !strings.Contains(got, "https://example.com/sign-in") {
		c.t.Errorf("elicitation by URL answered %q", got)
	}
}

func resources(c *client) {
	c.t.Helper()
	const uri = "demo://resource/dynamic/text/7"
	var read struct{ Contents []struct{ URI, Text string } }
	c.must("readResource", fields{"params": fields{"uri": uri}}, &read)
	if len(read.Contents) != 1 || read.Contents[0].URI != uri || !strings.Contains(read.Contents[0].Text, "Resource 7") {
		c.t.Errorf("%s is %v", uri, read.Contents)
	}
	c.must("readResource", fields{"params": fields{"uri": "demo://resource/static/document/features.md"}}, &read)
	if len(read.Contents) != 1 || len(read.Contents[0].Text) < 100 {
		c.t.Errorf("features.md is %.200v", read.Contents)
	}
	if c.modern {
		c.listens(fields{"resourceSubscriptions": []string{uri}})
		return
	}
	c.must("setLoggingLevel", fields{"params": "debug"}, nil)
	c.must("subscribeResource", fields{"params": fields{"uri": uri}}, nil)
}

// updates has the server send updates of what resources subscribed to.
func updates(c *client, prefix string) {
	c.t.Helper()
	c.text(prefix+"toggle-subscriber-updates", nil)
	c.seen("notification", "of an update", func(e event) bool {
		return e.Method == "notifications/resources/updated" && strings.Contains(string(e.Params), "demo://resource/dynamic/text/7")
	})
	c.text(prefix+"toggle-subscriber-updates", nil) // off again
	if c.modern {
		c.must("unlisten", fields{"of": c.listen}, nil)
		return
	}
	c.must("unsubscribeResource", fields{"params": fields{"uri": "demo://resource/dynamic/text/7"}}, nil)
}

// listens opens the client's stream of changes, which must grant all it asks for.
func (c *client) listens(filter fields) {
	c.t.Helper()
	c.listen = c.send("listen", fields{"params": filter})
	got, err := c.wait(c.listen)
	if err != nil {
		c.t.Fatalf("listen: %v", err)
	}
	want, err := json.Marshal(filter)
	if err != nil {
		c.t.Fatal(err)
	}
	var g, w any
	if json.Unmarshal(got, &g) != nil || json.Unmarshal(want, &w) != nil || !cmp.Equal(g, w) {
		c.t.Errorf("listening to %s, want %s", got, want)
	}
}

func progressAndCancel(c *client, prefix string) {
	c.t.Helper()
	updates(c, prefix)
	name := prefix + "trigger-long-running-operation"
	f := tool(name, fields{"duration": 0.5, "steps": 5})
	f["progress"] = true
	mark := c.mark()
	id := c.send("callTool", f)
	if _, err := c.wait(id); err != nil {
		c.t.Fatalf("long operation: %v", err)
	}
	if n := c.progressed(mark); n != 5 {
		c.t.Errorf("%d progress notifications came before the answer, want 5:%s", n, c.history())
	}

	f = tool(name, fields{"duration": 30, "steps": 300})
	f["progress"] = true
	id = c.send("callTool", f)
	c.seen("progress", "of the call to cancel", func(e event) bool { return e.Of == id })
	c.send("cancel", fields{"of": id})
	if _, err := c.wait(id); err == nil {
		c.t.Error("a cancelled call succeeded")
	}
	// The session is unharmed, and the call's place is free.
	if got := c.text(prefix+"echo", fields{"message": "after"}); got != "Echo: after" {
		c.t.Errorf("echo after a cancel answered %q", got)
	}
}

// roots checks that the server asked for the client's roots and got them.
func roots(c *client) {
	c.t.Helper()
	c.seen("request", "for roots", func(e event) bool { return e.Method == "roots/list" })
	c.seen("notification", "that roots arrived", func(e event) bool {
		return e.Method == "notifications/message" && strings.Contains(string(e.Params), "1 root(s) received")
	})
}

// tool is the command of a tools/call.
func tool(name string, arguments fields) fields {
	if arguments == nil {
		arguments = fields{}
	}
	return fields{"params": fields{"name": name, "arguments": arguments}}
}

// text calls a tool and returns the text of its result, joined.
func (c *client) text(name string, arguments fields) string {
	c.t.Helper()
	text, isError := c.call(name, arguments)
	if isError {
		c.t.Fatalf("%s failed: %s", name, text)
	}
	return text
}

// call calls a tool and returns the text of its result and whether that is an
// error.
func (c *client) call(name string, arguments fields) (text string, isError bool) {
	c.t.Helper()
	var r struct {
		Content []struct{ Text string }
		IsError bool
		Meta    json.RawMessage `json:"_meta"`
	}
	c.must("callTool", tool(name, arguments), &r)
	var parts []string
	for _, p := range r.Content {
		parts = append(parts, p.Text)
	}
	return strings.Join(parts, "\n"), r.IsError
}
