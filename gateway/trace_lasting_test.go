package gateway

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-mcp/interlock/telemetry"
	"github.com/interlock-mcp/interlock/telemetry/telemetrytest"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// lived is what became of a gateway that lived for hours, in a bubble of time.
func lived(t *testing.T, d *linktest.Dialer, live func(r *rig)) *telemetrytest.Collector {
	t.Helper()
	c := telemetrytest.New(t)
	cfg := settings(t, "a")
	synctest.Test(t, func(t *testing.T) {
		tel, end := startTelemetry(t, c, nil)
		r := startWith(t, cfg, Options{Dialer: d, Telemetry: tel}).running()
		r.dialer = d
		live(r)
		synctest.Wait()
		r.stop()
		end()
	})
	for _, s := range c.Spans() {
		if took := s.Ended.Sub(s.Began); took > time.Minute {
			t.Errorf("%s %s was open for %v", s.Kind, s.Name, took)
		}
	}
	return c
}

// ends checks the span at the end of what lasted, which leads to the span at its
// beginning.
func ends(t *testing.T, c *telemetrytest.Collector, s, begin *telemetrytest.Span, how, lasted string) {
	t.Helper()
	l := s.Linked(telemetry.LinkOpened)
	if s.Parent != "" || s.Trace == begin.Trace || s.Kind != "INTERNAL" || len(l) != 1 || c.Linked(l[0]) != begin {
		t.Errorf("%s %+v does not lead to its beginning", s.Name, s)
	}
	if s.Attr(telemetry.AttrEnding) != how || s.Attr(telemetry.AttrLasted) != lasted {
		t.Errorf("%s is %s after %s ms, want %s after %s", s.Name, s.Attr(telemetry.AttrEnding), s.Attr(telemetry.AttrLasted), how, lasted)
	}
}

// A session's initialize and its end are spans, with its id; nothing is open between.
func TestSessionsAreTraced(t *testing.T) {
	var key string
	c := lived(t, dialer("do"), func(r *rig) {
		client := r.connect(`{}`)
		key = r.sessions.all()[0].key
		time.Sleep(30 * time.Minute)
		client.do(client.request(r.t.Context(), http.MethodDelete, ""))
	})
	begin, end := c.One("SERVER", "initialize"), c.One("INTERNAL", telemetry.SpanSessionEnd)
	ends(t, c, end, begin, telemetry.EndingDeleted, "1800000")
	for _, s := range []*telemetrytest.Span{begin, end} {
		if s.Attr(telemetry.AttrSessionID) != key || s.Attr(telemetry.AttrProtocolVersion) != "2025-11-25" || s.Attr(telemetry.AttrTransport) != "tcp" {
			t.Errorf("%+v", s)
		}
	}
	c = lived(t, dialer("do"), func(r *rig) {
		in, out := io.Pipe()
		go func() {
			_, _ = io.WriteString(out, `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":7}}`+"\n")
			_, _ = io.WriteString(out, `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","_meta":{"traceparent":"`+
				parentOf("0af7651916cd43dd8448eb211c80319c", metaSpan, "01")+`"}}}`+"\n")
			time.Sleep(time.Hour)
			out.Close()
		}()
		if err := r.ServeStdio(r.t.Context(), in, io.Discard); err != nil {
			r.t.Error(err)
		}
	})
	all := c.Named("initialize")
	if len(all) != 2 || all[0].Failed || all[0].Attr(telemetry.AttrStatusCode) != "-32602" || all[0].Attr(telemetry.AttrTransport) != "pipe" {
		t.Fatalf("%+v", all)
	}
	ends(t, c, c.One("INTERNAL", telemetry.SpanSessionEnd), all[1], telemetry.EndingClosed, "3600000")
	if all[1].Parent != metaSpan || all[1].Attr(telemetry.AttrSessionID) == "" {
		t.Errorf("%+v", all[1])
	}
	// What is not sampled at its beginning is not at its end.
	c = lived(t, dialer("do"), func(r *rig) {
		client := &client{r: r, path: "/mcp"}
		got := client.post(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","_meta":{"traceparent":"` +
			parentOf("0af7651916cd43dd8448eb211c80319c", metaSpan, "00") + `"}}}`)
		client.session, client.version = got.header.Get("Mcp-Session-Id"), "2025-11-25"
		client.do(client.request(r.t.Context(), http.MethodDelete, ""))
	})
	if n := len(c.Named("initialize")) + len(c.Named(telemetry.SpanSessionEnd)); n != 0 {
		t.Errorf("%d spans of a session that is not sampled", n)
	}
}

// A GET stream is a span until it is there and another at its end, and so is that of
// the older transport.
func TestStreamsAreTraced(t *testing.T) {
	c := lived(t, dialer("do"), func(r *rig) {
		client := r.connect(`{}`)
		ctx, cancel := context.WithCancel(r.t.Context())
		req := client.request(ctx, http.MethodGet, "")
		req.Header.Set("Traceparent", parentOf("0af7651916cd43dd8448eb211c80319c", headerSpan, "01"))
		events := client.events(ctx, req)
		time.Sleep(2 * time.Hour)
		r.sessions.all()[0].tell([]byte(`{"jsonrpc":"2.0","method":"x"}`), needed)
		client.next(events)
		cancel()
		time.Sleep(time.Second)
		ctx, cancel = context.WithCancel(r.t.Context())
		client.listen(ctx)
		time.Sleep(time.Second)
		again := client.listen(r.t.Context())
		time.Sleep(time.Second)
		client.do(client.request(r.t.Context(), http.MethodDelete, ""))
		for range again {
		}
		cancel()
	})
	opened, ended := c.Named(telemetry.SpanStreamOpen), c.Named(telemetry.SpanStreamEnd)
	if len(opened) != 3 || len(ended) != 3 {
		t.Fatalf("the traces are\n%s", c.All())
	}
	if opened[0].Kind != "SERVER" || opened[0].Parent != headerSpan || opened[0].Attr(telemetry.AttrStream) != "get" || opened[0].Attr(telemetry.AttrSessionID) == "" {
		t.Errorf("%+v", opened[0])
	}
	ends(t, c, ended[0], opened[0], telemetry.EndingClosed, "7200000")
	if got := ended[0].Attr(telemetry.AttrStreamEvents); got != "1" {
		t.Errorf("%s events", got)
	}
	ends(t, c, ended[1], opened[1], telemetry.EndingReplaced, "1000")
	ends(t, c, ended[2], opened[2], telemetry.EndingSession, "1000")

	c = lived(t, dialer("do"), func(r *rig) {
		ctx, cancel := context.WithCancel(r.t.Context())
		client := &client{r: r, path: "/sse"}
		events := client.events(ctx, client.request(ctx, http.MethodGet, ""))
		client.path = client.next(events)
		client.do(client.request(r.t.Context(), http.MethodPost, `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{}}}`))
		client.next(events)
		time.Sleep(time.Hour)
		cancel()
	})
	open := c.One("SERVER", telemetry.SpanStreamOpen)
	ends(t, c, c.One("INTERNAL", telemetry.SpanStreamEnd), open, telemetry.EndingClosed, "3600000")
	ends(t, c, c.One("INTERNAL", telemetry.SpanSessionEnd), c.One("SERVER", "initialize"), telemetry.EndingClosed, "3600000")
	if open.Attr(telemetry.AttrStream) != "sse" || c.One("SERVER", "initialize").Attr(telemetry.AttrTransport) != "tcp" {
		t.Errorf("%+v", open)
	}
}

// A client that comes back for an answer opens a stream that leads to the request.
func TestResumedStreamsAreTraced(t *testing.T) {
	release := make(chan struct{})
	r := tracedTool(t, nil, func(_ context.Context, q *upstream.Request) (json.RawMessage, error) {
		q.Peer.Notified(serverMessage(t, `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}`))
		<-release
		return nil, nil
	})
	c := r.connect(`{}`)
	ctx, cancel := context.WithCancel(t.Context())
	events := c.events(ctx, c.request(ctx, http.MethodPost, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a__do","_meta":{"progressToken":1}}}`))
	var id string
	for e := range events {
		if id = e.ID; len(e.Data) > 0 {
			break
		}
	}
	cancel()
	for range events {
	}
	req := c.request(t.Context(), http.MethodGet, "")
	req.Header.Set("Last-Event-Id", id)
	events = c.events(t.Context(), req)
	close(release)
	for range events {
	}
	r.end()
	open := r.One("SERVER", telemetry.SpanStreamOpen)
	l := open.Linked(telemetry.LinkResumed)
	if len(l) != 1 || r.Linked(l[0]) != r.One("SERVER", "tools/call a__do") || open.Attr(telemetry.AttrResumed) != "true" {
		t.Errorf("%+v", open)
	}
	end := r.One("INTERNAL", telemetry.SpanStreamEnd)
	if end.Attr(telemetry.AttrEnding) != telemetry.EndingComplete {
		t.Errorf("%+v", end)
	}
}

// A subscriptions/listen is a span until it is acknowledged, with what upstreams were
// asked below it, and another at its end.
func TestListenersAreTraced(t *testing.T) {
	d := dialer("do")
	var sent []string
	d.Server("a").OnRequest = func(_ context.Context, _ *linktest.Link, method string, r *upstream.Request) (json.RawMessage, error) {
		if strings.HasPrefix(method, "resources/") && strings.HasSuffix(method, "subscribe") {
			m, _ := jsonrpc.ParseServer(r.Edits.Apply(nil, r.Message.Raw))
			sent = append(sent, method+" "+m.Text(m.TraceParent)+" "+r.TraceParent)
		}
		return nil, nil
	}
	c := lived(t, d, func(r *rig) {
		m := r.caller(`{}`)
		ctx, cancel := context.WithCancel(r.t.Context())
		m.meta = `,"traceparent":"` + parentOf("0af7651916cd43dd8448eb211c80319c", metaSpan, "01") + `"`
		const filter = `{"notifications":{"toolsListChanged":true,"resourceSubscriptions":["interlock://a/file%3A%2F%2F%2Fx"]}}`
		events := m.events(ctx, m.ask(ctx, m.body("1", "subscriptions/listen", filter)))
		m.next(events)
		time.Sleep(5 * time.Hour)
		r.dialer.Server("a").Script(func(s *linktest.Server) { s.Tools = []string{"do", "more"} })
		r.dialer.Server("a").Last().Say("notifications/tools/list_changed")
		m.next(events)
		cancel()
		synctest.Wait()
		m.call("subscriptions/listen", `{"notifications":7}`)
		m.call("subscriptions/listen", `{"notifications":{}}`)
		events = m.events(r.t.Context(), m.ask(r.t.Context(), m.body("1", "subscriptions/listen", filter)))
		m.next(events)
		time.Sleep(time.Hour)
		go r.Drain(r.t.Context())
		for range events {
		}
	})
	listens := c.Named("subscriptions/listen")
	ended := c.Named(telemetry.SpanStreamEnd)
	if len(listens) != 4 || len(ended) != 2 {
		t.Fatalf("the traces are\n%s", c.All())
	}
	slices.SortFunc(listens, func(a, b *telemetrytest.Span) int { return a.Began.Compare(b.Began) })
	ends(t, c, ended[0], listens[0], telemetry.EndingClosed, "18000000")
	ends(t, c, ended[1], listens[3], telemetry.EndingShutdown, "3600000")
	if ended[0].Attr(telemetry.AttrStream) != "listen" || ended[0].Attr(telemetry.AttrStreamEvents) != "1" || listens[0].Parent != metaSpan {
		t.Errorf("%+v\n%+v", ended[0], listens[0])
	}
	asked := c.Child(listens[0], "resources/subscribe")
	if asked.Kind != "CLIENT" || asked.Attr(telemetry.AttrUpstream) != "a" || asked.Attr(telemetry.AttrURI) != "file:///x" {
		t.Errorf("%+v", asked)
	}
	parent := parentOf(asked.Trace, asked.ID, "01")
	if len(sent) < 1 || sent[0] != "resources/subscribe "+parent+" "+parent {
		t.Errorf("the server was sent %v, want %s", sent, parent)
	}
	if bad := listens[1]; bad.Failed || bad.Attr(telemetry.AttrStatusCode) != "-32602" {
		t.Errorf("%+v", bad)
	}
}

// What a legacy client subscribes to is asked below its request, once for all.
func TestSubscriptionsAreTraced(t *testing.T) {
	d := dialer("do")
	r := traces(t, settings(t, "a"), Options{Dialer: d}, nil)
	one, two := r.connect(`{}`), r.connect(`{}`)
	const params = `"params":{"uri":"interlock://a/file%3A%2F%2F%2Fx"}}`
	one.post(`{"jsonrpc":"2.0","id":1,"method":"resources/subscribe",` + params)
	two.post(`{"jsonrpc":"2.0","id":1,"method":"resources/subscribe",` + params)
	d.Server("a").Script(func(s *linktest.Server) {
		s.OnRequest = func(context.Context, *linktest.Link, string, *upstream.Request) (json.RawMessage, error) {
			return nil, &upstream.ServerError{Code: -32099, Message: "no"}
		}
	})
	one.post(`{"jsonrpc":"2.0","id":1,"method":"resources/unsubscribe",` + params)
	two.post(`{"jsonrpc":"2.0","id":1,"method":"resources/unsubscribe",` + params)
	r.end()
	var all []string
	for _, id := range r.Traces() {
		if tree := r.Tree(id); strings.Contains(tree, "subscribe") {
			all = append(all, tree)
		}
	}
	want := []string{
		"SERVER resources/subscribe\n  CLIENT resources/subscribe\n", "SERVER resources/subscribe\n",
		"SERVER resources/unsubscribe\n", "SERVER resources/unsubscribe\n  CLIENT resources/unsubscribe !-32099\n",
	}
	if !slices.Equal(all, want) {
		t.Errorf("the traces are\n%s", strings.Join(all, "\n"))
	}
}

func TestNoPasswordOfURIsIsTold(t *testing.T) {
	for uri, want := range map[string]string{
		"postgres://me:hunter2@db:5432/x":                      "postgres://me:xxxxx@db:5432/x",
		"x://:hunt@er2@h":                                      "x://:xxxxx@h",
		"interlock://a/postgres%3A%2F%2Fme%3Ahunter2%40db%2Fx": "interlock://a/postgres%3A%2F%2Fme%3Axxxxx%40db%2Fx",
		"postgres://me@db/x":                                   "postgres://me@db/x",
		"http://h:80/a:b@c?d=e:f@g":                            "http://h:80/a:b@c?d=e:f@g",
		"mailto:a@b":                                           "mailto:a@b",
		"":                                                     "",
		"x://y/" + strings.Repeat("@", 5000):                   "x://y/" + strings.Repeat("@", 506),
	} {
		if got := toldURI(uri); got != want {
			t.Errorf("%.99s: got %.99s", uri, got)
		}
	}
}
