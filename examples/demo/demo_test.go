package demo

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"
	"go.uber.org/goleak"
)

// The test binary is also the server, as a process of its own.
func TestMain(m *testing.M) {
	if name := os.Getenv("DEMO_SERVER"); name != "" {
		if err := Serve(name, os.Getenv("DEMO_NOTES"), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// answers is a person who says yes or no.
type answers struct{ action mcp.ElicitationResponseAction }

func (a answers) Elicit(_ context.Context, r mcp.ElicitationRequest) (*mcp.ElicitationResult, error) {
	return &mcp.ElicitationResult{ElicitationResponse: mcp.ElicitationResponse{
		Action: a.action, Content: map[string]any{"confirm": true},
	}}, nil
}

// connect starts a server as a process and shakes hands with mcp-go's client.
func connect(t *testing.T, name, notesFile string, options ...client.ClientOption) (*client.Client, *mcp.InitializeResult) {
	t.Helper()
	stdio := transport.NewStdio(os.Args[0], []string{"DEMO_SERVER=" + name, "DEMO_NOTES=" + notesFile})
	c := client.NewClient(stdio, append(options, client.WithLegacyProtocolOnly())...)
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	var r mcp.InitializeRequest
	r.Params.ProtocolVersion = "2025-11-25"
	r.Params.ClientInfo = mcp.Implementation{Name: "test", Version: "0"}
	hello, err := c.Initialize(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return c, hello
}

// use calls a tool and returns its text and whether it is an error.
func use(t *testing.T, c *client.Client, tool string, arguments map[string]any) (string, bool) {
	t.Helper()
	var r mcp.CallToolRequest
	r.Params.Name, r.Params.Arguments = tool, arguments
	r.Params.Meta = &mcp.Meta{ProgressToken: "p-" + tool}
	got, err := c.CallTool(t.Context(), r)
	if err != nil {
		t.Fatalf("%s: %v", tool, err)
	}
	if len(got.Content) != 1 {
		t.Fatalf("%s: %d blocks, want 1", tool, len(got.Content))
	}
	block, ok := got.Content[0].(mcp.TextContent)
	if !ok {
		t.Fatalf("%s: content %T", tool, got.Content[0])
	}
	return block.Text, got.IsError
}

func TestClock(t *testing.T) {
	c, hello := connect(t, "clock", "")
	if hello.ServerInfo.Name != "clock" || hello.ProtocolVersion != "2025-11-25" || hello.Instructions == "" {
		t.Errorf("hello %+v", hello)
	}
	if hello.Capabilities.Tools == nil || hello.Capabilities.Resources != nil || hello.Capabilities.Prompts != nil {
		t.Errorf("capabilities %+v", hello.Capabilities)
	}
	tools, err := c.ListTools(t.Context(), mcp.ListToolsRequest{})
	if err != nil || len(tools.Tools) != 3 {
		t.Fatalf("tools %v, %v", tools, err)
	}
	for _, tt := range []struct {
		tool      string
		arguments map[string]any
		has       string
		isError   bool
	}{
		{"convert", map[string]any{"time": "2026-11-22T18:30:00Z", "timezone": "Asia/Tokyo"}, "Monday, 23 November 2026, 03:30:00 JST (Asia/Tokyo)", false},
		{"convert", map[string]any{"time": "tomorrow", "timezone": "Asia/Tokyo"}, `"tomorrow" is not in the form`, true},
		{"now", map[string]any{}, "(UTC)", false},
		{"now", map[string]any{"timezone": "Europe/Paris"}, "(Europe/Paris)", false},
		{"now", map[string]any{"timezone": "Mars/Olympus"}, `"Mars/Olympus" is no time zone`, true},
		{"now", map[string]any{"zone": "UTC"}, `unknown field "zone"`, true},
		{"timezones", map[string]any{"filter": "tokyo"}, "+09:00 Asia/Tokyo", false},
		{"timezones", map[string]any{"filter": "atlantis"}, "no common time zone", true},
	} {
		got, isError := use(t, c, tt.tool, tt.arguments)
		if !strings.Contains(got, tt.has) || isError != tt.isError {
			t.Errorf("%s %v: %q, error %v", tt.tool, tt.arguments, got, isError)
		}
	}
	var r mcp.CallToolRequest
	r.Params.Name = "nope"
	if _, err := c.CallTool(t.Context(), r); err == nil {
		t.Error("an unknown tool was called")
	}
}

func TestNotes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "notes.json")
	c, _ := connect(t, "notes", file)
	changes := make(chan string, 10)
	c.OnNotification(func(n mcp.JSONRPCNotification) { changes <- n.Method })

	var sub mcp.SubscribeRequest
	sub.Params.URI = allNotes
	if err := c.Subscribe(t.Context(), sub); err != nil {
		t.Fatal(err)
	}
	if got, _ := use(t, c, "add", map[string]any{"text": "Oil the levers.", "tags": []string{"railway"}}); got != "Kept as note 4." {
		t.Errorf("add: %q", got)
	}
	for _, want := range []string{"notifications/resources/list_changed", "notifications/resources/updated"} {
		if got := <-changes; got != want {
			t.Errorf("notification %s, want %s", got, want)
		}
	}
	if got, _ := use(t, c, "list", map[string]any{"tag": "Railway"}); strings.Count(got, "\n") != 2 {
		t.Errorf("list: %q, want three notes", got)
	}
	if got, _ := use(t, c, "search", map[string]any{"query": "LEVERS oil"}); got != "4. Oil the levers. #railway" {
		t.Errorf("search: %q", got)
	}
	if got, isError := use(t, c, "remove", map[string]any{"id": 9}); !isError || got != "there is no note 9" {
		t.Errorf("remove: %q, %v", got, isError)
	}
	if got, isError := use(t, c, "add", map[string]any{"text": " "}); !isError {
		t.Errorf("an empty note: %q", got)
	}
	if got, _ := use(t, c, "remove", map[string]any{"id": 1}); got != "Note 1 is gone." {
		t.Errorf("remove: %q", got)
	}

	resources, err := c.ListResources(t.Context(), mcp.ListResourcesRequest{})
	if err != nil || len(resources.Resources) != 4 {
		t.Errorf("resources %v, %v: want all notes and three", resources, err)
	}
	templates, err := c.ListResourceTemplates(t.Context(), mcp.ListResourceTemplatesRequest{})
	if err != nil || len(templates.ResourceTemplates) != 1 {
		t.Errorf("templates %v, %v", templates, err)
	}
	var read mcp.ReadResourceRequest
	read.Params.URI = "notes://note/4"
	if got, err := c.ReadResource(t.Context(), read); err != nil || got.Contents[0].(mcp.TextResourceContents).Text != "Oil the levers." {
		t.Errorf("read: %v, %v", got, err)
	}
	read.Params.URI = "notes://note/1"
	if _, err := c.ReadResource(t.Context(), read); err == nil {
		t.Error("a removed note was read")
	}

	var get mcp.GetPromptRequest
	get.Params.Name, get.Params.Arguments = "summarise", map[string]string{"tag": "work"}
	if got, err := c.GetPrompt(t.Context(), get); err != nil || !strings.Contains(got.Messages[0].Content.(mcp.TextContent).Text, "night train") {
		t.Errorf("prompt: %v, %v", got, err)
	}
	get.Params.Arguments = nil
	if _, err := c.GetPrompt(t.Context(), get); err == nil {
		t.Error("a prompt without its argument was given")
	}
	var complete mcp.CompleteRequest
	complete.Params.Ref = mcp.PromptReference{Type: "ref/prompt", Name: "summarise"}
	complete.Params.Argument = mcp.CompleteArgument{Name: "tag", Value: "R"}
	if got, err := c.Complete(t.Context(), complete); err != nil || !slices.Equal(got.Completion.Values, []string{"railway"}) {
		t.Errorf("completion: %v, %v", got, err)
	}

	// Another process finds what this one kept.
	_ = c.Close()
	c, _ = connect(t, "notes", file)
	if got, _ := use(t, c, "list", nil); !strings.HasPrefix(got, "2. ") || !strings.Contains(got, "4. Oil") {
		t.Errorf("after a restart: %q", got)
	}
}

func TestReport(t *testing.T) {
	file := filepath.Join(t.TempDir(), "notes.json")
	c, _ := connect(t, "report", file, client.WithElicitationHandler(answers{mcp.ElicitationResponseActionAccept}))
	progress := make(chan string, 20)
	c.OnNotification(func(n mcp.JSONRPCNotification) {
		if n.Method == "notifications/progress" {
			progress <- fmt.Sprint(n.Params.AdditionalFields["progressToken"], " ", n.Params.AdditionalFields["progress"])
		}
	})
	if got, isError := use(t, c, "publish", nil); !isError || !strings.Contains(got, "call write first") {
		t.Errorf("publish before write: %q", got)
	}
	if got, isError := use(t, c, "write", map[string]any{"seconds": 0}); !isError || !strings.Contains(got, "no such file") {
		t.Errorf("write without notes: %q", got)
	}
	if _, err := notes(file); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		<-progress
	}
	got, isError := use(t, c, "write", map[string]any{"title": "Week 47", "seconds": 0})
	if isError || !strings.HasPrefix(got, "# Week 47\n\n3 notes, 26 words, 3 tags.") {
		t.Errorf("write: %q", got)
	}
	for i := range 5 {
		if got, want := <-progress, fmt.Sprint("p-write ", i); got != want {
			t.Errorf("progress %q, want %q", got, want)
		}
	}
	if got, isError := use(t, c, "publish", nil); isError || got != `Published "Week 47".` {
		t.Errorf("publish: %q", got)
	}
}

func TestPublishAsks(t *testing.T) {
	file := filepath.Join(t.TempDir(), "notes.json")
	if _, err := notes(file); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name    string
		options []client.ClientOption
		has     string
		isError bool
	}{
		{"no", []client.ClientOption{client.WithElicitationHandler(answers{mcp.ElicitationResponseActionDecline})}, "the answer was no", false},
		{"cannot ask", nil, "the client cannot ask", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, _ := connect(t, "report", file, tt.options...)
			use(t, c, "write", map[string]any{"seconds": 0})
			if got, isError := use(t, c, "publish", nil); !strings.Contains(got, tt.has) || isError != tt.isError {
				t.Errorf("publish: %q, error %v", got, isError)
			}
		})
	}
}

// A cancelled call ends at once and is not answered; the next one is.
func TestCancel(t *testing.T) {
	in, feed := io.Pipe()
	lines, out := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- Serve("report", "none", in, out)
		_ = out.Close()
	}()
	read := make(chan string)
	go func() {
		defer close(read)
		all, _ := io.ReadAll(lines)
		read <- string(bytes.TrimSpace(all))
	}()
	for _, m := range []string{
		`{"jsonrpc":"2.0","id":"slow","method":"tools/call","params":{"name":"write","arguments":{"seconds":600}}}`,
		`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"slow"}}`,
		`not json`,
		`{"jsonrpc":"2.0","id":90071992547409931234,"method":"ping"}`,
		`{"jsonrpc":"2.0","id":2,"method":"server/discover"}`,
	} {
		if _, err := io.WriteString(feed, m+"\n"); err != nil {
			t.Fatal(err)
		}
	}
	_ = feed.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
	got := <-read
	for _, want := range []string{
		`{"jsonrpc":"2.0","id":null,"error":{"code":-32700,`,
		`{"jsonrpc":"2.0","id":90071992547409931234,"result":{}}`,
		`{"jsonrpc":"2.0","id":2,"error":{"code":-32601,`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("answers %s\nlack %s", got, want)
		}
	}
	if strings.Contains(got, `"slow"`) {
		t.Errorf("the cancelled call was answered: %s", got)
	}
}

func TestServeRefuses(t *testing.T) {
	if err := Serve("cloq", "", strings.NewReader(""), io.Discard); err == nil || !strings.Contains(err.Error(), "clock, notes, report") {
		t.Errorf("an unknown server: %v", err)
	}
	file := filepath.Join(t.TempDir(), "notes.json")
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Serve("notes", file, strings.NewReader(""), io.Discard); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a broken file: %v", err)
	}
}
