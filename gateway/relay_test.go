package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// server makes a message of a server.
func serverMessage(t *testing.T, raw string) jsonrpc.Message {
	t.Helper()
	m, err := jsonrpc.ParseServer([]byte(raw))
	if err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return m
}

// tool runs a gateway in front of one server whose tool does f.
func tool(t *testing.T, f func(ctx context.Context, r *upstream.Request) (json.RawMessage, error)) *rig {
	t.Helper()
	return toolOver(t, "", f)
}

// toolOver is tool, with TLS if over is the protocol to choose then.
func toolOver(t *testing.T, over string, f func(ctx context.Context, r *upstream.Request) (json.RawMessage, error)) *rig {
	t.Helper()
	d := new(linktest.Dialer)
	s := d.Server("a")
	s.Tools = []string{"do"}
	s.OnRequest = func(ctx context.Context, _ *linktest.Link, method string, r *upstream.Request) (json.RawMessage, error) {
		if method != "tools/call" {
			return nil, nil
		}
		return f(ctx, r)
	}
	cfg := settings(t, "a")
	if over != "" {
		cfg.Server.TLS = newAuthority(t, "test").serves(t)
	}
	r := start(t, cfg, d).running()
	if over == "h2" {
		w := r.web.Transport.(*http.Transport)
		w.ForceAttemptHTTP2, w.HTTP2 = true, &http.HTTP2Config{MaxReceiveBufferPerStream: 64 << 10}
	}
	return r
}

// overs are the ways from a client to the gateway.
var overs = []string{"", "http/1.1", "h2"}

// asked is a question of a server, and the answers it got.
func asked(t *testing.T, raw string) (*upstream.Question, chan string) {
	t.Helper()
	got := make(chan string, 10)
	return &upstream.Question{
		Message: serverMessage(t, raw), Gone: make(chan struct{}),
		Answer: func(_ context.Context, b []byte) error { got <- string(b); return nil },
	}, got
}

func TestProgressArrivesBeforeTheAnswer(t *testing.T) {
	r := tool(t, func(_ context.Context, q *upstream.Request) (json.RawMessage, error) {
		for i := range 3 {
			q.Peer.Notified(serverMessage(t, fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"p","progress":%d}}`, i)))
		}
		return json.RawMessage(`{"content":[]}`), nil
	})
	c := r.connect(`{}`)
	events := c.events(t.Context(), c.request(t.Context(), "POST", `{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"name":"a__do","_meta":{"progressToken":"p"}}}`))
	for i := range 3 {
		if got := c.next(events); !strings.Contains(got, fmt.Sprintf(`"progress":%d`, i)) {
			t.Errorf("message %d is %s", i, got)
		}
	}
	if got := c.next(events); got != `{"jsonrpc":"2.0","id":"x","result":{"content":[]}}` {
		t.Errorf("the answer is %s", got)
	}
	if got := c.next(events); got != "" {
		t.Errorf("after the answer came %s", got)
	}
}

func TestQuestionsGoToTheClientAndBack(t *testing.T) {
	r := tool(t, func(ctx context.Context, q *upstream.Request) (json.RawMessage, error) {
		ask, got := asked(t, `{"jsonrpc":"2.0","id":"srv-9007199254740993","method":"elicitation/create","params":{"message":"sure?","x":1.0}}`)
		q.Peer.Asked(ask)
		select {
		case a := <-got:
			return json.RawMessage(`{"content":[{"type":"text","text":` + string(jsonrpc.AppendString(nil, a)) + `}]}`), nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	})
	c := r.connect(`{"elicitation":{}}`)
	events := c.events(t.Context(), c.request(t.Context(), "POST", calls("1", "a__do", "{}")))
	question := c.next(events)
	if want := `{"jsonrpc":"2.0","id":1,"method":"elicitation/create","params":{"message":"sure?","x":1.0}}`; question != want {
		t.Fatalf("asked %s, want %s", question, want)
	}
	// Another client's answer to the same id goes nowhere.
	other := r.connect(`{"elicitation":{}}`)
	other.post(`{"jsonrpc":"2.0","id":1,"result":{"action":"stolen"}}`)
	if got := c.post(`{"jsonrpc":"2.0","id":1,"result":{"action":"accept","n":2.50}}`); got.status != http.StatusAccepted {
		t.Errorf("the answer was taken with %d", got.status)
	}
	want := `{\"jsonrpc\":\"2.0\",\"id\":\"srv-9007199254740993\",\"result\":{\"action\":\"accept\",\"n\":2.50}}`
	if got := c.next(events); !strings.Contains(got, want) {
		t.Errorf("the server got %s, want %s", got, want)
	}
}

func TestQuestionsTheClientCannotAnswer(t *testing.T) {
	for method, caps := range map[string]string{
		"sampling/createMessage": `{"elicitation":{},"roots":{}}`,
		"elicitation/create":     `{"sampling":{},"roots":{}}`,
		"roots/list":             `{"sampling":{},"elicitation":{}}`,
		"vendor/ask":             `{"sampling":{},"elicitation":{},"roots":{}}`,
	} {
		answers := make(chan string, 1)
		r := tool(t, func(ctx context.Context, q *upstream.Request) (json.RawMessage, error) {
			ask, got := asked(t, `{"jsonrpc":"2.0","id":5,"method":"`+method+`"}`)
			q.Peer.Asked(ask)
			answers <- <-got
			return json.RawMessage(`{}`), nil
		})
		got := r.connect(caps).post(calls("1", "a__do", "{}"))
		if got.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: the client heard of it: %s", method, got.body)
		}
		if a := <-answers; !strings.Contains(a, `"id":5,"error":{"code":-32601`) {
			t.Errorf("%s: the server was told %s", method, a)
		}
	}
}

// A question that the server takes back, and one whose call ends, are taken
// back from the client.
func TestQuestionsAreWithdrawn(t *testing.T) {
	for _, gone := range []bool{true, false} {
		answers := make(chan chan string, 1)
		r := tool(t, func(ctx context.Context, q *upstream.Request) (json.RawMessage, error) {
			ask, got := asked(t, `{"jsonrpc":"2.0","id":5,"method":"elicitation/create"}`)
			answers <- got
			over := make(chan struct{})
			ask.Gone = over
			q.Peer.Asked(ask)
			if gone {
				close(over)
				<-ctx.Done()
				return nil, context.Cause(ctx)
			}
			return json.RawMessage(`{}`), nil
		})
		c := r.connect(`{"elicitation":{}}`)
		events := c.events(t.Context(), c.request(t.Context(), "POST", calls("1", "a__do", "{}")))
		if got := c.next(events); !strings.Contains(got, `"elicitation/create"`) {
			t.Fatalf("asked %s", got)
		}
		if got := c.next(events); !strings.Contains(got, `"method":"notifications/cancelled","params":{"requestId":1,`) {
			t.Errorf("gone %v: not withdrawn but %s", gone, got)
		}
		if gone {
			c.post(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`)
		}
		for range events {
		}
		if got := <-answers; !gone {
			if a := <-got; !strings.Contains(a, `"id":5,"error":`) {
				t.Errorf("the server whose call ended was told %s", a)
			}
		}
	}
}

// A server of one session asks for roots as soon as it is up, while the call that
// it was started for is under way. The answer once went nowhere when that call was
// quicker than the client.
func TestRootsOutliveTheCallTheyAreAskedIn(t *testing.T) {
	answers := make(chan chan string, 1)
	r := tool(t, func(_ context.Context, q *upstream.Request) (json.RawMessage, error) {
		ask, got := asked(t, `{"jsonrpc":"2.0","id":0,"method":"roots/list"}`)
		answers <- got
		q.Peer.Asked(ask)
		return json.RawMessage(`{"content":[]}`), nil
	})
	c := r.connect(`{"roots":{}}`)
	events := c.events(t.Context(), c.request(t.Context(), "POST", calls("1", "a__do", "{}")))
	if got := c.next(events); !strings.Contains(got, `"roots/list"`) {
		t.Fatalf("asked %s", got)
	}
	if got := c.next(events); !strings.Contains(got, `"id":1,"result":{"content":[]}`) {
		t.Fatalf("the call was answered %s", got)
	}
	c.post(`{"jsonrpc":"2.0","id":1,"result":{"roots":[{"uri":"file:///a"}]}}`)
	if got, want := <-<-answers, `{"jsonrpc":"2.0","id":0,"result":{"roots":[{"uri":"file:///a"}]}}`; got != want {
		t.Errorf("the server got %s, want %s", got, want)
	}
}

// A defect met by one request ends neither the process nor the session.
func TestPanicIsAnswered(t *testing.T) {
	r := tool(t, func(context.Context, *upstream.Request) (json.RawMessage, error) { panic("boom") })
	c := r.connect(`{}`)
	if got := c.post(calls("1", "a__do", "{}")); got.rpcCode() != -32603 || strings.Contains(got.body, "boom") {
		t.Errorf("got %d %s", got.status, got.body)
	}
	if got := c.post(`{"jsonrpc":"2.0","id":1,"method":"ping"}`); got.status != 200 || got.rpcCode() != 0 {
		t.Errorf("afterwards: %d %s", got.status, got.body)
	}
}

// F21: a cancel reaches that one upstream request, and the client gets no
// answer to it.
func TestCancel(t *testing.T) {
	causes := make(chan error, 1)
	began := make(chan struct{}, 1)
	r := tool(t, func(ctx context.Context, q *upstream.Request) (json.RawMessage, error) {
		began <- struct{}{}
		<-ctx.Done()
		causes <- context.Cause(ctx)
		return nil, context.Cause(ctx)
	})
	c := r.connect(`{}`)
	other := r.connect(`{}`)
	got := make(chan reply, 1)
	go func() { got <- c.post(calls(`"same"`, "a__do", "{}")) }()
	<-began
	other.post(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"same"}}`)
	c.post(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"other"}}`)
	select {
	case err := <-causes:
		t.Fatalf("another's cancel ended the call: %v", err)
	default:
	}
	c.post(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"same"}}`)
	if err := <-causes; !errors.Is(err, errCancelled) {
		t.Errorf("the upstream's request ended with %v", err)
	}
	if a := <-got; a.body != "" {
		t.Errorf("a cancelled call was answered: %s", a.body)
	}
}

func TestTheSameIDTwiceInFlight(t *testing.T) {
	release := make(chan struct{})
	began := make(chan struct{}, 2)
	r := tool(t, func(ctx context.Context, q *upstream.Request) (json.RawMessage, error) {
		began <- struct{}{}
		<-release
		return json.RawMessage(`{"first":true}`), nil
	})
	c := r.connect(`{}`)
	got := make(chan reply, 1)
	go func() { got <- c.post(calls("7", "a__do", "{}")) }()
	<-began
	if second := c.post(calls("7", "a__do", "{}")); second.rpcCode() != -32600 {
		t.Errorf("the second got %s", second.body)
	}
	close(release)
	if first := <-got; first.result(t)["first"] != true {
		t.Errorf("the first got %s", first.body)
	}
	if again := c.post(calls("7", "a__do", "{}")); again.result(t)["first"] != true {
		t.Errorf("the id is not free again: %s", again.body)
	}
}

// F22: a client that lost its connection before anything was sent is not waited
// for.
func TestClientGone(t *testing.T) {
	causes := make(chan error, 1)
	began := make(chan struct{}, 1)
	r := tool(t, func(ctx context.Context, q *upstream.Request) (json.RawMessage, error) {
		began <- struct{}{}
		<-ctx.Done()
		causes <- context.Cause(ctx)
		return nil, context.Cause(ctx)
	})
	c := r.connect(`{}`)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		resp, err := r.web.Do(c.request(ctx, "POST", calls("1", "a__do", "{}")))
		if err == nil {
			resp.Body.Close()
		}
	}()
	<-began
	cancel()
	if err := <-causes; !errors.Is(err, errClientGone) {
		t.Errorf("the call ended with %v", err)
	}
}

// A client that lost the stream of its answer comes back for it.
func TestResume(t *testing.T) {
	release := make(chan struct{})
	r := tool(t, func(ctx context.Context, q *upstream.Request) (json.RawMessage, error) {
		q.Peer.Notified(serverMessage(t, `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}`))
		select {
		case <-release:
			return json.RawMessage(`{"late":true}`), nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	})
	c := r.connect(`{}`)
	ctx, cancel := context.WithCancel(t.Context())
	events := c.events(ctx, c.request(ctx, "POST", `{"jsonrpc":"2.0","id":"r","method":"tools/call","params":{"name":"a__do","_meta":{"progressToken":1}}}`))
	var last string
	for e := range events {
		last = e.ID
		if len(e.Data) > 0 {
			break
		}
	}
	cancel()
	for range events {
	}
	again := c.request(t.Context(), "GET", "")
	again.Header.Set("Last-Event-ID", last)
	resumed := c.events(t.Context(), again)
	close(release)
	if got := c.next(resumed); got != `{"jsonrpc":"2.0","id":"r","result":{"late":true}}` {
		t.Errorf("resumed with %s", got)
	}
}
