package upstream

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	mcpgoserver "github.com/mark3labs/mcp-go/server"
	gosdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// testPeer makes the test binary a server of the go-sdk over stdio.
const testPeer = "INTERLOCK_TEST_PEER"

// modernPeer is a server of the go-sdk with a tool for everything, and what adds
// a tool and what updates a resource.
func modernPeer() (s *gosdk.Server, add, update func()) {
	nothing := func(context.Context, *gosdk.SubscribeRequest) error { return nil }
	s = gosdk.NewServer(&gosdk.Implementation{Name: "peer", Version: "1"}, &gosdk.ServerOptions{
		PageSize: 2, Instructions: "a peer",
		SubscribeHandler:   nothing,
		UnsubscribeHandler: func(context.Context, *gosdk.UnsubscribeRequest) error { return nil },
	})
	schema := json.RawMessage(`{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"},"n":{"type":"integer","x-mcp-header":"N"}}}`)
	s.AddTool(&gosdk.Tool{Name: "work", InputSchema: schema}, func(ctx context.Context, r *gosdk.CallToolRequest) (*gosdk.CallToolResult, error) {
		if token := r.Params.GetProgressToken(); token != nil {
			_ = r.Session.NotifyProgress(ctx, &gosdk.ProgressNotificationParams{ProgressToken: token, Progress: 1})
		}
		return text("done"), nil
	})
	s.AddTool(&gosdk.Tool{Name: "ask", InputSchema: json.RawMessage(`{"type":"object"}`)}, func(_ context.Context, r *gosdk.CallToolRequest) (*gosdk.CallToolResult, error) {
		switch r.Params.RequestState {
		case "":
			return &gosdk.CallToolResult{RequestState: "one", InputRequests: gosdk.InputRequestMap{
				"who": &gosdk.ElicitParams{Message: "who?", RequestedSchema: json.RawMessage(`{"type":"object","properties":{"name":{"type":"string"}}}`)},
				"llm": &gosdk.CreateMessageWithToolsParams{MaxTokens: 1}, //nolint:staticcheck // deprecated, and in use
			}}, nil
		case "one":
			return &gosdk.CallToolResult{RequestState: "two", InputRequests: gosdk.InputRequestMap{
				"where": &gosdk.ElicitParams{Mode: "url", Message: "go there", URL: "https://example.com/"},
			}}, nil
		}
		e, _ := r.Params.InputResponses["where"].(*gosdk.ElicitResult)
		return text(fmt.Sprintf("%s, %s", r.Params.RequestState, e.Action)), nil
	})
	for _, name := range []string{"a", "b", "c"} {
		s.AddTool(&gosdk.Tool{Name: name, InputSchema: schema}, nil)
	}
	s.AddResource(&gosdk.Resource{URI: "test://r", Name: "r"}, nil)
	add = func() { s.AddTool(&gosdk.Tool{Name: "late", InputSchema: schema}, nil) }
	update = func() {
		_ = s.ResourceUpdated(context.Background(), &gosdk.ResourceUpdatedNotificationParams{URI: "test://r"})
	}
	return s, add, update
}

func text(t string) *gosdk.CallToolResult {
	return &gosdk.CallToolResult{Content: []gosdk.Content{&gosdk.TextContent{Text: t}}}
}

// peerMain serves over stdio. Its tool trigger changes the tools and a resource.
func peerMain(kind string) int {
	if kind == oddPeer || kind == latePeer {
		return oddMain()
	}
	s, add, update := modernPeer()
	s.AddTool(&gosdk.Tool{Name: "trigger", InputSchema: json.RawMessage(`{"type":"object"}`)}, func(context.Context, *gosdk.CallToolRequest) (*gosdk.CallToolResult, error) {
		add()
		update()
		return text("done"), nil
	})
	if err := s.Run(context.Background(), &gosdk.StdioTransport{}); err != nil {
		return 1
	}
	return 0
}

func TestModernPeers(t *testing.T) {
	t.Run("stdio", func(t *testing.T) {
		d := fakeDial(t, "")
		d.Config.Env = map[string]string{testPeer: "1", "GORACE": "atexit_sleep_ms=0"}
		d.Config.Protocol = AutoProtocol
		d.Inbox = newRecorder()
		d.Era = new(Era)
		ctx, stop := context.WithTimeout(t.Context(), patient)
		defer stop()
		l, err := dialStdio(ctx, d, testReaper())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close(context.Background()) })
		trigger := func() {
			if _, err := l.Do(ctx, toolCall(t, "trigger", "{}", "")); err != nil {
				t.Error(err)
			}
		}
		checkModern(t, l, d, trigger)
	})
	t.Run("HTTP", func(t *testing.T) {
		s, add, update := modernPeer()
		h := gosdk.NewStreamableHTTPHandler(func(*http.Request) *gosdk.Server { return s }, &gosdk.StreamableHTTPOptions{Stateless: true})
		srv := httptest.NewServer(h)
		t.Cleanup(srv.Close)
		d := dialFor(srv.URL)
		d.Config.Protocol = AutoProtocol
		d.Era = new(Era)
		checkModern(t, connect(t, d), d, func() { add(); update() })
	})
}

// TestModernMCPGo: the library serves both eras at one endpoint.
func TestModernMCPGo(t *testing.T) {
	heard := make(chan struct{}, 2)
	s, add := mcpGo(heard)
	srv := httptest.NewServer(mcpgoserver.NewStreamableHTTPServer(s))
	t.Cleanup(srv.Close)
	d := dialFor(srv.URL)
	d.Config.Protocol = AutoProtocol
	l := connect(t, d)
	inv, err := learn(t.Context(), l, 0)
	if err != nil || !l.Hello().Modern() || len(inv.Tools) != 5 {
		t.Fatalf("%+v, %+v, %v", l.Hello(), inv, err)
	}
	work(t, l, heard, false, false)
	hears(t, d, add)
}

func checkModern(t *testing.T, l Link, d *Dial, trigger func()) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), patient)
	defer stop()
	if h := l.Hello(); !h.Modern() || h.Instructions != "a peer" || !strings.Contains(string(h.ServerInfo), `"peer"`) || d.Era.known.Load() != modernEra {
		t.Fatalf("hello %+v", h)
	}
	inv, err := learn(ctx, l, 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(inv.Tools) < 5 || len(inv.Resources) != 1 {
		t.Errorf("%d tools, %d resources", len(inv.Tools), len(inv.Resources))
	}
	r := request(t, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"progressToken":"mine"},"name":"work","arguments":{"region":"Zürich","n":42.0}}}`)
	p := newRecorder()
	r.Peer, r.Owner = p, "session 1"
	m, err := l.Do(ctx, r)
	if err != nil || !strings.Contains(string(m.Raw), `"text":"done"`) {
		t.Errorf("work: %s, %v", m.Raw, err)
	}
	select {
	case <-p.noted:
	case <-ctx.Done():
		t.Fatal("no progress")
	}
	if notes := strings.Join(p.all(), "\n"); !strings.Contains(notes, `"progressToken":"mine"`) {
		t.Errorf("no progress but %s", notes)
	}
	r = request(t, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"ask","arguments":{}}}`)
	r.Client.Capabilities = json.RawMessage(`{"elicitation":{"form":{},"url":{}},"sampling":{}}`)
	r.Peer, r.Owner = answering(ctx, t), "session 1"
	if m, err = l.Do(ctx, r); err != nil || !strings.Contains(string(m.Raw), `"text":"two, accept"`) {
		t.Errorf("ask: %s, %v", m.Raw, err)
	}
	if m, err = l.Do(ctx, newRequest("resources/subscribe", uriParams("test://r"))); err != nil || string(m.Result.Of(m.Raw)) != "{}" {
		t.Errorf("subscribe: %s, %v", m.Raw, err)
	}
	if _, err = l.Do(ctx, newRequest("ping", nil)); err != nil {
		t.Errorf("ping: %v", err)
	}
	inbox := d.Inbox.(*recorder)
	// What changes again before the library has told of it puts that off.
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	trigger()
	for {
		notes := strings.Join(inbox.all(), "\n")
		if strings.Contains(notes, "tools/list_changed") && strings.Contains(notes, "resources/updated") {
			if strings.Contains(notes, "subscriptionId") {
				t.Errorf("a subscription's id was handed on: %s", notes)
			}
			break
		}
		select {
		case <-inbox.noted:
		case <-again.C:
			trigger()
		case <-ctx.Done():
			t.Fatalf("told only %s", notes)
		}
	}
}

// answering is a client that accepts and fulfils all it is asked for.
func answering(ctx context.Context, t *testing.T) Peer {
	t.Helper()
	return peerFunc(func(q *Question) {
		id, result := q.Message.ID.Of(q.Message.Raw), `{"action":"accept","content":{"name":"n"}}`
		if q.Message.MethodName() == "sampling/createMessage" {
			result = `{"role":"assistant","model":"m","content":{"type":"text","text":"hi"}}`
		}
		if raw := string(q.Message.Raw); strings.Contains(raw, `"url"`) != strings.Contains(raw, `"elicitationId"`) {
			t.Errorf("asked %s", raw)
		}
		go func() { _ = q.Answer(ctx, []byte(`{"jsonrpc":"2.0","id":`+string(id)+`,"result":`+result+`}`)) }()
	})
}

// peerFunc is a client that is asked, and told nothing.
type peerFunc func(q *Question)

func (f peerFunc) Notified(jsonrpc.Message) {}
func (f peerFunc) Asked(q *Question)        { f(q) }
