package upstream

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	mcpgo "github.com/mark3labs/mcp-go/mcp"
	mcpgoserver "github.com/mark3labs/mcp-go/server"
	gosdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// peers are servers of other people. Each has a tool `work` that sends progress
// and, where asks is set, elicits, then says "done"; add makes another tool.
// heard is told when the client has the progress.
var peers = []struct {
	name      string
	transport Transport
	asks      bool
	silent    bool // JSON answers: nothing else can be sent during a call
	make      func(heard <-chan struct{}) (h http.Handler, add func())
}{
	{"go-sdk, streams", HTTP, true, false, func(<-chan struct{}) (http.Handler, func()) {
		s, add := goSDK()
		return gosdk.NewStreamableHTTPHandler(func(*http.Request) *gosdk.Server { return s },
			&gosdk.StreamableHTTPOptions{EventStore: gosdk.NewMemoryEventStore(nil)}), add
	}},
	{"go-sdk, JSON", HTTP, false, true, func(<-chan struct{}) (http.Handler, func()) {
		s, add := goSDK()
		return gosdk.NewStreamableHTTPHandler(func(*http.Request) *gosdk.Server { return s },
			&gosdk.StreamableHTTPOptions{JSONResponse: true}), add
	}},
	{"go-sdk, SSE", SSE, true, false, func(<-chan struct{}) (http.Handler, func()) {
		s, add := goSDK()
		return gosdk.NewSSEHandler(func(*http.Request) *gosdk.Server { return s }, nil), add
	}},
	{"mcp-go, streams", HTTP, false, false, func(heard <-chan struct{}) (http.Handler, func()) {
		s, add := mcpGo(heard)
		return mcpgoserver.NewStreamableHTTPServer(s, mcpgoserver.WithStateful(true)), add
	}},
	{"mcp-go, SSE", SSE, false, false, func(heard <-chan struct{}) (http.Handler, func()) {
		s, add := mcpGo(heard)
		return mcpgoserver.NewSSEServer(s), add
	}},
}

func goSDK() (*gosdk.Server, func()) {
	s := gosdk.NewServer(&gosdk.Implementation{Name: "peer", Version: "1"}, &gosdk.ServerOptions{PageSize: 2})
	schema := json.RawMessage(`{"type":"object"}`)
	work := func(ctx context.Context, r *gosdk.CallToolRequest) (*gosdk.CallToolResult, error) {
		if token := r.Params.GetProgressToken(); token != nil {
			// Answering in JSON it sends this on the GET stream, and fails if that is not open yet.
			_ = r.Session.NotifyProgress(ctx, &gosdk.ProgressNotificationParams{ProgressToken: token, Progress: 1})
		}
		text := "done"
		if strings.Contains(string(r.Params.Arguments), "ask") {
			a, err := r.Session.Elicit(ctx, &gosdk.ElicitParams{Message: "?", RequestedSchema: map[string]any{"type": "object", "properties": map[string]any{}}})
			if err != nil {
				return nil, err
			}
			text += ", " + a.Action
		}
		return &gosdk.CallToolResult{Content: []gosdk.Content{&gosdk.TextContent{Text: text}}}, nil
	}
	for _, name := range []string{"a", "b", "c", "d", "work"} {
		s.AddTool(&gosdk.Tool{Name: name, InputSchema: schema}, work)
	}
	return s, func() { s.AddTool(&gosdk.Tool{Name: "late", InputSchema: schema}, work) }
}

func mcpGo(heard <-chan struct{}) (*mcpgoserver.MCPServer, func()) {
	s := mcpgoserver.NewMCPServer("peer", "1", mcpgoserver.WithToolCapabilities(true), mcpgoserver.WithPaginationLimit(2))
	work := func(ctx context.Context, r mcpgo.CallToolRequest) (*mcpgo.CallToolResult, error) {
		if r.Params.Meta != nil && r.Params.Meta.ProgressToken != nil {
			err := mcpgoserver.ServerFromContext(ctx).SendNotificationToClient(ctx, "notifications/progress",
				map[string]any{"progressToken": r.Params.Meta.ProgressToken, "progress": 1})
			if err != nil {
				return nil, err
			}
			select { // it loses what is sent just before the answer
			case <-heard:
			case <-ctx.Done():
			}
		}
		return mcpgo.NewToolResultText("done"), nil
	}
	for _, name := range []string{"a", "b", "c", "d", "work"} {
		s.AddTool(mcpgo.NewTool(name), work)
	}
	return s, func() { s.AddTool(mcpgo.NewTool("late"), work) }
}

func TestRemotePeers(t *testing.T) {
	for _, p := range peers {
		t.Run(p.name, func(t *testing.T) {
			heard := make(chan struct{}, 2) // for each call that work makes
			h, add := p.make(heard)
			srv := httptest.NewServer(h)
			t.Cleanup(srv.Close)
			path := "/mcp"
			if p.transport == SSE {
				path = "/sse"
			}
			d := dialFor(srv.URL + path)
			d.Config.Transport = p.transport
			d.Capabilities = json.RawMessage(`{"elicitation":{"form":{}}}`)
			l := connect(t, d)
			inv, err := learn(t.Context(), l, 0)
			if err != nil {
				t.Fatal(err)
			}
			if len(inv.Tools) != 5 || inv.Truncated != nil {
				t.Errorf("%d tools, truncated %v", len(inv.Tools), inv.Truncated)
			}
			work(t, l, heard, p.silent, false)
			if p.asks {
				work(t, l, heard, p.silent, true)
			}
			hears(t, d, add)
			ctx, stop := context.WithTimeout(t.Context(), patient)
			defer stop()
			if kind := l.Close(ctx); kind != Graceful || ctx.Err() != nil {
				t.Errorf("closed %s, %v", kind, ctx.Err())
			}
		})
	}
}

// work calls the tool and checks what comes of it.
func work(t *testing.T, l Link, heard chan<- struct{}, silent, ask bool) {
	t.Helper()
	arguments, want := `{}`, `"text":"done"`
	if ask {
		arguments, want = `{"ask":true}`, `"text":"done, accept"`
	}
	r := request(t, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"progressToken":"mine"},"name":"work","arguments":`+arguments+`}}`)
	peer := newRecorder()
	r.Peer, r.Owner = peer, "session 1"
	var client sync.WaitGroup
	defer client.Wait()
	ctx, stop := context.WithTimeout(t.Context(), patient)
	defer stop()
	if ask {
		client.Go(func() {
			select {
			case q := <-peer.asked:
				id := q.Message.ID.Of(q.Message.Raw)
				if err := q.Answer(t.Context(), jsonrpc.AppendResult(nil, id, []byte(`{"action":"accept","content":{}}`))); err != nil {
					t.Errorf("answer: %v", err)
				}
			case <-ctx.Done():
				t.Error("its client was not asked")
			}
		})
	}
	client.Go(func() {
		select {
		case <-peer.noted:
			heard <- struct{}{}
		case <-ctx.Done():
		}
	})
	m, err := l.Do(ctx, r)
	stop()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(m.Raw), want) {
		t.Errorf("answer %s, want %s", m.Raw, want)
	}
	notes := strings.Join(peer.all(), "\n")
	if !silent && !strings.Contains(notes, `"progressToken":"mine"`) {
		t.Errorf("no progress but %s", notes)
	}
}

// hears waits for list_changed on the link's own stream. A tool is added until
// it comes: the stream is opened beside the calls, and nothing says when.
func hears(t *testing.T, d *Dial, add func()) {
	t.Helper()
	deadline := time.After(patient)
	for {
		add()
		select {
		case n := <-d.Inbox.(*recorder).noted:
			if !strings.Contains(n, "notifications/tools/list_changed") {
				t.Errorf("noted %s", n)
			}
			return
		case <-time.After(100 * time.Millisecond):
		case <-deadline:
			t.Fatal("no list_changed")
		}
	}
}
