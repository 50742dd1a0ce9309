package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// F33: a session goes on after a restart of the gateway, and its client is told
// to look at the lists again.
func TestSessionOutlivesTheGateway(t *testing.T) {
	cfg := settings(t, "a")
	d := new(linktest.Dialer)
	d.Server("a").Tools = []string{"echo"}
	d.Server("a").OnRequest = echo
	before := start(t, cfg, d).running()
	c := before.connectAt("/mcp", "2025-06-18", `{"roots":{}}`)
	before.stop()

	after := start(t, cfg, d).running()
	c.r = after
	if got := c.post(calls("1", "a__echo", `{"after":true}`)); !strings.Contains(got.body, "after") {
		t.Fatalf("after a restart: %d %s", got.status, got.body)
	}
	s := after.sessions.find(c.session)
	if s.negotiated() != "2025-06-18" || !s.capabilities().roots {
		t.Errorf("the session came back as %s %s", s.negotiated(), s.capabilities().raw)
	}
	ctx, cancel := context.WithCancel(t.Context())
	events := c.listen(ctx)
	if got := c.next(events); !strings.Contains(got, "list_changed") {
		t.Errorf("the first word on the stream is %s", got)
	}
	cancel()
	// An answer that the old gateway took with it is told to be lost.
	lost := c.request(t.Context(), "GET", "")
	lost.Header.Set("Last-Event-ID", "rdeadbeef1-3"+suffixFor([]byte(`"x"`)))
	if got := c.do(lost); !strings.Contains(got.body, `"id":"x","error":{"code":-33002`) || !strings.Contains(got.body, `"executed":"unknown"`) {
		t.Errorf("a lost answer: %d %s", got.status, got.body)
	}
}

func TestDeletedSessionsStayDeleted(t *testing.T) {
	r := echoing(t, "a")
	c := r.connect(`{}`)
	if got := c.do(c.request(t.Context(), "DELETE", "")); got.status != http.StatusNoContent {
		t.Errorf("DELETE: %d", got.status)
	}
	for range 2 {
		if got := c.post(`{"jsonrpc":"2.0","id":1,"method":"ping"}`); got.status != http.StatusNotFound {
			t.Errorf("after DELETE: %d", got.status)
		}
	}
}

// At the cap the session that is idle longest makes room, and its own id brings
// it back; sessions that hold something stay.
func TestSessionCap(t *testing.T) {
	cfg := settings(t, "a")
	cfg.Server.MaxSessions = 3
	d := new(linktest.Dialer)
	r := start(t, cfg, d).running()
	first := r.connect(`{}`)
	for range 10 {
		r.connect(`{}`)
	}
	if n := len(r.sessions.all()); n > 3 {
		t.Errorf("%d sessions, want at most 3", n)
	}
	if got := first.post(`{"jsonrpc":"2.0","id":1,"method":"ping"}`); got.status != 200 {
		t.Errorf("an evicted session did not come back: %d", got.status)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range 3 {
		c := r.connect(`{}`)
		c.listen(ctx)
	}
	full := &client{r: r, path: "/mcp"}
	got := full.post(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}`)
	if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
		t.Errorf("a session too many: %d %s", got.status, got.body)
	}
}

// P2: 64 clients that all use the same ids get each their own answers.
func TestClientsWithTheSameIDs(t *testing.T) {
	r := echoing(t, "a", "b=http")
	var all sync.WaitGroup
	for n := range 64 {
		c := r.connect(`{}`)
		all.Go(func() {
			for i := range 20 {
				nonce := fmt.Sprintf("%d.%d", n, i)
				up := []string{"a", "b"}[i%2]
				got := c.post(calls(fmt.Sprint(i), up+"__echo", `{"nonce":"`+nonce+`"}`))
				if !strings.Contains(got.body, `\"nonce\":\"`+nonce+`\"`) || !strings.Contains(got.body, fmt.Sprintf(`"id":%d,`, i)) {
					t.Errorf("client %d call %d got %s", n, i, got.body)
				}
			}
		})
	}
	all.Wait()
	// A shared process has one link; a remote has one session for each client.
	if n := len(r.dialer.Server("a").Dials()); n != 1 {
		t.Errorf("the process was started %d times", n)
	}
	if n := len(r.dialer.Server("b").Dials()); n != 65 {
		t.Errorf("the remote has %d sessions, want one for each of 64 clients and the supervisor's", n)
	}
}

// The links of a remote declare exactly what their session's client can do.
func TestRemoteSessionsHaveTheClientsCapabilities(t *testing.T) {
	r := echoing(t, "b=http")
	caps := `{"roots":{"listChanged":true},"x-vendor":{"n":1.0}}`
	c := r.connect(caps)
	c.post(calls("1", "b__echo", `{}`))
	last := r.dialer.Server("b").Last()
	if string(last.Dial.Capabilities) != caps || !last.Dial.Exclusive {
		t.Errorf("declared %s, exclusive %v", last.Dial.Capabilities, last.Dial.Exclusive)
	}
	c.post(`{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}`)
	if got := last.Notifications(); !slices.Contains(got, `{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}`) {
		t.Errorf("the server was told %q", got)
	}
	c.do(c.request(t.Context(), "DELETE", ""))
	<-last.Lost() // released with its session
}

func TestSubscriptions(t *testing.T) {
	d := new(linktest.Dialer)
	s := d.Server("a")
	s.OnRequest = func(_ context.Context, _ *linktest.Link, method string, _ *upstream.Request) (json.RawMessage, error) {
		if method == "resources/list" {
			return json.RawMessage(`{"resources":[{"uri":"file:///x","name":"x"}]}`), nil
		}
		return nil, nil
	}
	r := start(t, settings(t, "a"), d).running()
	one, two := r.connect(`{}`), r.connect(`{}`)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	first, second := one.listen(ctx), two.listen(ctx)
	one.post(`{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"file:///x"}}`)
	one.post(`{"jsonrpc":"2.0","id":2,"method":"resources/subscribe","params":{"uri":"file:///x"}}`)
	two.post(`{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"interlock://a/file:%2F%2F%2Fx"}}`)
	if n := s.Asked("resources/subscribe"); n != 1 {
		t.Errorf("the server was asked %d times", n)
	}
	update := func() {
		s.Last().Dial.Inbox.Notified(serverMessage(t, `{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"file:///x","n":1.0}}`))
	}
	update()
	if got := one.next(first); got != `{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"file:///x","n":1.0}}` {
		t.Errorf("the first was told %s", got)
	}
	if got := two.next(second); !strings.Contains(got, `"uri":"interlock://a/file:%2F%2F%2Fx","n":1.0`) {
		t.Errorf("the second was told %s", got)
	}
	one.post(`{"jsonrpc":"2.0","id":3,"method":"resources/unsubscribe","params":{"uri":"file:///x"}}`)
	update()
	two.next(second)
	one.post(`{"jsonrpc":"2.0","id":4,"method":"resources/subscribe","params":{"uri":"file:///x"}}`)
	if n := s.Asked("resources/unsubscribe"); n != 0 {
		t.Errorf("the server was told to stop while one still listens")
	}
	two.post(`{"jsonrpc":"2.0","id":2,"method":"resources/unsubscribe","params":{"uri":"interlock://a/file:%2F%2F%2Fx"}}`)
	one.post(`{"jsonrpc":"2.0","id":5,"method":"resources/unsubscribe","params":{"uri":"file:///x"}}`)
	if n := s.Asked("resources/unsubscribe"); n != 1 {
		t.Errorf("the server was told to stop %d times", n)
	}
	if got := one.post(`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"interlock://none/x"}}`); got.rpcCode() != -32002 {
		t.Errorf("an unknown resource: %s", got.body)
	}
}

// Lists that change are told once, to those who listen and to those who come
// later.
func TestListChanged(t *testing.T) {
	r := echoing(t, "a")
	c := r.connect(`{}`)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	events := c.listen(ctx)
	late := r.connect(`{}`)
	r.dialer.Server("a").Script(func(s *linktest.Server) { s.Tools = []string{"echo", "more"} })
	r.dialer.Server("a").Last().Say("notifications/tools/list_changed")
	if got := c.next(events); got != `{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}` {
		t.Errorf("told %s", got)
	}
	if got := c.post(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`).body; !strings.Contains(got, "a__more") {
		t.Errorf("listed %s", got)
	}
	if got := late.next(late.listen(ctx)); got != `{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}` {
		t.Errorf("one who came later was told %s", got)
	}
}

// The older transport: one stream, answers on it, and the session ends with it.
func TestHTTPWithSSE(t *testing.T) {
	r := echoing(t, "a")
	ctx, cancel := context.WithCancel(t.Context())
	c := &client{r: r, path: "/sse"}
	events := c.events(ctx, c.request(ctx, "GET", ""))
	endpoint := <-events
	if endpoint.Type != "endpoint" {
		t.Fatalf("the first event is %+v", endpoint)
	}
	c.path = string(endpoint.Data)
	send := func(body string) {
		if got := c.post(body); got.status != http.StatusAccepted {
			t.Errorf("POST: %d %s", got.status, got.body)
		}
	}
	send(`{"jsonrpc":"2.0","id":0,"method":"tools/list"}`)
	if got := c.next(events); !strings.Contains(got, "initialize first") {
		t.Errorf("before initialize: %s", got)
	}
	send(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2024-11-05","capabilities":{}}}`)
	if got := c.next(events); !strings.Contains(got, `"protocolVersion":"2024-11-05"`) {
		t.Errorf("initialize: %s", got)
	}
	send(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	send(calls("2", "a__echo", `{"x":1}`))
	if got := c.next(events); !strings.Contains(got, `\"x\":1`) {
		t.Errorf("call: %s", got)
	}
	cancel()
	for range events {
	}
	for c.post(`{"jsonrpc":"2.0","id":3,"method":"ping"}`).status == http.StatusAccepted {
		// until the gateway has seen the stream end
	}
	if got := c.do(c.request(t.Context(), "GET", "")); got.status != http.StatusMethodNotAllowed {
		t.Errorf("GET on the POST address: %d", got.status)
	}
}

func TestStdio(t *testing.T) {
	r := echoing(t, "a")
	in, send := io.Pipe()
	recv, out := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- r.ServeStdio(t.Context(), in, out); out.Close() }()
	lines := linesOf(t, recv)
	say := func(s string) { _, _ = io.WriteString(send, s+"\n") }
	hear := func() string { lines.Scan(); return lines.Text() }
	for _, x := range []struct{ say, want string }{
		{`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, `initialize first`},
		{`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{}}}`, `"protocolVersion":"2025-06-18"`},
		{`{"jsonrpc":"2.0","method":"notifications/initialized"}` + "\r\n\n" + calls("2", "a__echo", `{"y":2}`), `\"y\":2`},
		{`nonsense`, `"id":null,"error":{"code":-32700`},
		{`[{"jsonrpc":"2.0","id":1,"method":"ping"}]`, `"code":-32600`},
		{`{"jsonrpc":"2.0","id":1.5,"method":"ping"}`, `"code":-32600`},
		{`{"jsonrpc":"2.0","id":3,"method":"ping","params":{"x":"` + strings.Repeat("z", 5<<20) + `"}}`, `"id":3,"error":{"code":-32600`},
		{`{"jsonrpc":"2.0","id":4,"method":"initialize","params":{"protocolVersion":"2025-06-18"}}`, `"id":4,"error":{"code":-32600`},
		{`{"jsonrpc":"2.0","id":5,"method":"ping"}`, `{"jsonrpc":"2.0","id":5,"result":{}}`},
	} {
		say(x.say)
		if got := hear(); !strings.Contains(got, x.want) {
			t.Errorf("said %.100s: heard %s, want %s", x.say, got, x.want)
		}
	}
	send.Close()
	if err := <-done; err != nil {
		t.Errorf("ServeStdio: %v", err)
	}
}

// A client that was piped in has its answers, though its input has ended.
func TestStdioAnswersWhatWasPipedIn(t *testing.T) {
	r := tool(t, func(ctx context.Context, _ *upstream.Request) (json.RawMessage, error) {
		return json.RawMessage(`{"late":1}`), linktest.Sleep(ctx, 50*time.Millisecond)
	})
	in := strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18"}}` + "\n" + calls("2", "a__do", "{}") + "\n")
	var out bytes.Buffer
	if err := r.ServeStdio(t.Context(), in, &out); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), `{"jsonrpc":"2.0","id":2,"result":{"late":1}}`) {
		t.Errorf("got %s", out.String())
	}
}

// A call to an upstream that is down is answered at once, and honestly.
func TestUpstreamDown(t *testing.T) {
	cfg := settings(t, "a")
	cfg.Upstreams[0].Restart.Policy = upstream.Never
	d := new(linktest.Dialer)
	d.Server("a").Tools = []string{"echo"}
	r := start(t, cfg, d).running()
	c := r.connect(`{}`)
	d.Server("a").Last().Lose()
	r.until(r.errored("a"))
	if got := c.post(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`).body; !strings.Contains(got, "a__echo") {
		t.Errorf("the tools of an upstream that failed are gone: %s", got)
	}
	res := c.post(calls("1", "a__echo", `{}`)).result(t)
	if res["isError"] != true {
		t.Fatalf("no error: %v", res)
	}
	text := res["content"].([]any)[0].(map[string]any)["text"].(string)
	if !strings.Contains(text, `"a"`) || !strings.Contains(text, "NOT executed") {
		t.Errorf("the model reads %q", text)
	}
	meta := res["_meta"].(map[string]any)["interlock/error"].(map[string]any)
	if meta["source"] != "gateway" || meta["upstream"] != "a" || meta["executed"] != "no" || meta["reason"] == "" {
		t.Errorf("data %v", meta)
	}
}

// What was in flight when its server died is `unknown`, and is not sent again.
func TestUpstreamDiesDuringACall(t *testing.T) {
	var once sync.Once
	var d *linktest.Dialer
	r := tool(t, func(ctx context.Context, q *upstream.Request) (json.RawMessage, error) {
		once.Do(func() { d.Server("a").Last().Lose() })
		<-ctx.Done()
		return nil, context.Cause(ctx)
	})
	d = r.dialer
	got := r.connect(`{}`).post(calls("1", "a__do", "{}"))
	if !strings.Contains(got.body, `"executed":"unknown"`) || !strings.Contains(got.body, "UNKNOWN") {
		t.Errorf("got %s", got.body)
	}
	if n := d.Server("a").Asked("tools/call"); n != 1 {
		t.Errorf("sent %d times", n)
	}
}

// Draining answers what is in flight and lets nothing in.
func TestDrain(t *testing.T) {
	began, release := make(chan struct{}), make(chan struct{})
	r := tool(t, func(ctx context.Context, q *upstream.Request) (json.RawMessage, error) {
		close(began)
		<-release
		return json.RawMessage(`{"done":true}`), nil
	})
	c := r.connect(`{}`)
	got := make(chan reply, 1)
	go func() { got <- c.post(calls("1", "a__do", "{}")) }()
	<-began
	drained := make(chan struct{})
	go func() { r.Drain(context.Background()); close(drained) }()
	for c.post(`{"jsonrpc":"2.0","id":2,"method":"ping"}`).status == 200 {
		// until the gateway drains
	}
	if ready := c.do(&http.Request{Method: http.MethodGet, URL: mustURL(t, r.url+"/readyz"), Header: http.Header{}}); ready.status != http.StatusServiceUnavailable {
		t.Errorf("/readyz while draining: %d", ready.status)
	}
	if late := c.post(calls("3", "a__do", "{}")); !strings.Contains(late.body, `"code":-33006`) || !strings.Contains(late.body, `"executed":"no"`) {
		t.Errorf("a late call got %s", late.body)
	}
	close(release)
	if a := <-got; a.result(t)["done"] != true {
		t.Errorf("the call in flight got %s", a.body)
	}
	<-drained
}

// A drain that is out of time still answers.
func TestDrainOutOfTime(t *testing.T) {
	began := make(chan struct{})
	r := tool(t, func(ctx context.Context, q *upstream.Request) (json.RawMessage, error) {
		close(began)
		<-ctx.Done()
		return nil, context.Cause(ctx)
	})
	c := r.connect(`{}`)
	got := make(chan reply, 1)
	go func() { got <- c.post(calls("1", "a__do", "{}")) }()
	<-began
	r.Drain(done0())
	if a := <-got; !strings.Contains(a.body, `"reason":"shutdown"`) || !strings.Contains(a.body, `"executed":"unknown"`) {
		t.Errorf("got %s", a.body)
	}
}

// F31: a reload leaves what did not change alone, and an invalid one changes
// nothing.
func TestReloadUnderLoad(t *testing.T) {
	cfg := settings(t, "a", "b")
	d := new(linktest.Dialer)
	for _, n := range []string{"a", "b", "c"} {
		d.Server(n).Tools, d.Server(n).OnRequest = []string{"echo"}, echo
	}
	r := start(t, cfg, d).running()
	stop := make(chan struct{})
	var load sync.WaitGroup
	for range 4 {
		c := r.connect(`{}`)
		load.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if got := c.post(calls(fmt.Sprint(i), "a__echo", `{}`)); strings.Contains(got.body, "isError") || got.status != 200 {
					t.Errorf("during reloads: %d %s", got.status, got.body)
					return
				}
			}
		})
	}
	for i := range 100 {
		next := *cfg
		next.Upstreams = slices.Clone(cfg.Upstreams)
		switch i % 4 {
		case 0:
			next.Upstreams[1].Args = []string{fmt.Sprint(i)} // restarts b
		case 1:
			next.Upstreams[0].DependsOn = []upstream.Dependency{{On: "none", Condition: upstream.ConditionRunning}}
			if _, err := r.Apply(t.Context(), &next); err == nil {
				t.Error("an unknown dependency was accepted")
			}
			continue
		case 2:
			next.Upstreams = append(next.Upstreams, next.Upstreams[1])
			next.Upstreams[2].Name = "c"
		case 3:
			next.Upstreams = next.Upstreams[:1]
			next.Upstreams[0].CallTimeout++ // applies live
		}
		if _, err := r.Apply(t.Context(), &next); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	load.Wait()
	if n := len(d.Server("a").Dials()); n != 1 {
		t.Errorf("the unchanged upstream was started %d times", n)
	}
}

func mustURL(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
