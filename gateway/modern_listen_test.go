package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// listening opens a stream of changes.
func (c *caller) listening(ctx context.Context, id, notifications string) <-chan jsonrpc.Event {
	c.r.t.Helper()
	return c.events(ctx, c.ask(ctx, c.body(id, "subscriptions/listen", `{"notifications":`+notifications+`}`)))
}

// updates makes the server say that a resource changed.
func updates(t *testing.T, l *linktest.Link, uri string) {
	t.Helper()
	l.Dial.Inbox.Notified(serverMessage(t, fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":%q,"x":1.0}}`, uri)))
}

func TestListen(t *testing.T) {
	d := dialer("do")
	d.Server("b").Tools = []string{"other"}
	r := start(t, settings(t, "a", "b"), d).running()
	c := r.caller(`{}`)
	both := c.listening(t.Context(), `"L-9007199254740993"`, `{"toolsListChanged":true,"promptsListChanged":false,"resourceSubscriptions":["interlock://a/x%3A1","nope:2","interlock://a/x%3A1"],"more":1}`)
	has(t, "acknowledgement", c.next(both), `"method":"notifications/subscriptions/acknowledged"`,
		`"params":{"_meta":{"io.modelcontextprotocol/subscriptionId":"L-9007199254740993"},"notifications":{"toolsListChanged":true,"resourceSubscriptions":["interlock://a/x%3A1"]}}`)
	prompts := c.listening(t.Context(), "2", `{"promptsListChanged":true}`)
	has(t, "acknowledgement", c.next(prompts), `"notifications":{"promptsListChanged":true}`)

	updates(t, d.Server("a").Last(), "x:1")
	if got, want := c.next(both), `{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":"L-9007199254740993"},"uri":"interlock://a/x%3A1","x":1.0}}`; got != want {
		t.Errorf("updated:\n%s, want\n%s", got, want)
	}
	updates(t, d.Server("b").Last(), "x:1") // another upstream's
	updates(t, d.Server("a").Last(), "x:2") // another resource
	d.Server("a").Script(func(s *linktest.Server) { s.Tools = []string{"do", "more"} })
	d.Server("a").Last().Say("notifications/tools/list_changed")
	if got, want := c.next(both), `{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":"L-9007199254740993"}}}`; got != want {
		t.Errorf("changed: %s", got)
	}
	if tools := c.call("tools/list", `{}`).body; !strings.Contains(tools, "a__more") {
		t.Errorf("when told of it, the list is %s", tools)
	}
	go r.Drain(t.Context())
	has(t, "the end", c.next(both), `"id":"L-9007199254740993","result":{"resultType":"complete","_meta":{`, `"io.modelcontextprotocol/subscriptionId":"L-9007199254740993"`)
	has(t, "the end of one that was told nothing", c.next(prompts), `"id":2,"result":{"resultType":"complete"`)
	if got := c.next(both); got != "" {
		t.Errorf("after the end: %s", got)
	}
}

// What nobody can tell of is not acknowledged, and a subscription to nothing ends.
func TestListenToWhatCannotBe(t *testing.T) {
	d := dialer("do")
	d.Server("a").OnRequest = func(_ context.Context, _ *linktest.Link, method string, _ *upstream.Request) (json.RawMessage, error) {
		if method == "resources/subscribe" {
			return nil, &upstream.ServerError{Code: -32601, Message: "no"}
		}
		return nil, nil
	}
	r := start(t, settings(t, "a"), d).running()
	c := r.caller(`{}`)
	for _, filter := range []string{`{}`, `{"resourceSubscriptions":["x:1"]}`, `{"toolsListChanged":false}`} {
		events := c.listening(t.Context(), "1", filter)
		has(t, filter, c.next(events), `"notifications":{}`)
		has(t, filter, c.next(events), `"result":{"resultType":"complete"`)
	}
}

// Several listen for one resource: the server is asked once, and told when the
// last one leaves.
func TestListenersShareASubscription(t *testing.T) {
	d := dialer("do")
	told := make(chan string, 10)
	d.Server("a").OnRequest = func(_ context.Context, _ *linktest.Link, method string, r *upstream.Request) (json.RawMessage, error) {
		if strings.HasPrefix(method, "resources/") && strings.HasSuffix(method, "subscribe") {
			told <- method + " " + r.Message.Text(r.Message.URI)
		}
		return nil, nil
	}
	r := start(t, settings(t, "a"), d).running()
	var stops []context.CancelFunc
	var streams []<-chan jsonrpc.Event
	for range 3 {
		ctx, stop := context.WithCancel(t.Context())
		c := r.caller(`{}`)
		events := c.listening(ctx, "1", `{"resourceSubscriptions":["x:1"]}`)
		has(t, "acknowledgement", c.next(events), `"resourceSubscriptions":["x:1"]`)
		stops, streams = append(stops, stop), append(streams, events)
	}
	updates(t, d.Server("a").Last(), "x:1")
	c := r.caller(`{}`)
	for _, s := range streams {
		has(t, "update", c.next(s), `"uri":"x:1"`, `"io.modelcontextprotocol/subscriptionId":1`)
	}
	if got := <-told; got != "resources/subscribe x:1" || len(told) > 0 {
		t.Errorf("the server was told %s and %d times more", got, len(told))
	}
	for _, stop := range stops {
		stop()
	}
	if got := <-told; got != "resources/unsubscribe x:1" {
		t.Errorf("at the end the server was told %s", got)
	}
}

// A server that has sessions tells each of what that session changed.
func TestListenOnALinkOfItsOwn(t *testing.T) {
	d := dialer("do")
	r := start(t, settings(t, "a=http"), d).running()
	c := r.caller(`{"roots":{}}`)
	events := c.listening(t.Context(), "1", `{"resourceSubscriptions":["x:1"]}`)
	has(t, "acknowledgement", c.next(events), `"resourceSubscriptions":["x:1"]`)
	links := d.Server("a").Links()
	if len(links) != 2 || string(links[1].Dial.Capabilities) != `{"roots":{}}` {
		t.Fatalf("%d links", len(links))
	}
	updates(t, links[0], "x:1") // the supervisor's
	links[1].Dial.Inbox.Notified(serverMessage(t, `{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"x:1","own":true}}`))
	has(t, "update", c.next(events), `"own":true`)
}

// A client that does not read is not told everything, and knows it: its stream ends.
func TestListenerThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dialer("do")
		r := start(t, settings(t, "a"), d).running()
		c := r.caller(`{}`)
		resp, err := r.web.Do(c.ask(t.Context(), c.body("1", "subscriptions/listen", `{"resourceSubscriptions":[]}`)))
		if err == nil {
			resp.Body.Close() // malformed: it only shows that the client works
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		resp, err = r.web.Do(c.ask(ctx, c.body("1", "subscriptions/listen", `{"notifications":{"resourceSubscriptions":["x:1"]}}`)))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		time.Sleep(time.Second)
		for range 20_000 {
			updates(t, d.Server("a").Last(), "x:1")
		}
		synctest.Wait()
		r.listeners.mu.Lock()
		n := len(r.listeners.all)
		r.listeners.mu.Unlock()
		if n != 0 {
			t.Errorf("%d still listen", n)
		}
	})
}

// A silent stream says that it lives.
func TestListenKeepsAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, settings(t, "a"), dialer("do")).running()
		c := r.caller(`{}`)
		resp, err := r.web.Do(c.ask(t.Context(), c.body("1", "subscriptions/listen", `{"notifications":{"toolsListChanged":true}}`)))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		begun, buf, comments := time.Now(), make([]byte, 4096), 0
		for comments < 3 {
			n, err := resp.Body.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			comments += strings.Count(string(buf[:n]), ": keep-alive")
		}
		if took := time.Since(begun).Round(time.Second); took != 3*keepAlive {
			t.Errorf("three comments in %v", took)
		}
	})
}
