package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// A Last-Event-ID with a number that was never sent once made the gateway panic.
func TestResumeFromTheFuture(t *testing.T) {
	r := echoing(t, "a")
	c := r.connect(`{}`)
	s := r.sessions.find(c.session)
	req := c.request(t.Context(), "GET", "")
	req.Header.Set("Last-Event-ID", s.standing.eventID(1<<62))
	events := c.listen(t.Context())
	<-events
	events = c.events(t.Context(), req)
	s.tell([]byte(`{"jsonrpc":"2.0","method":"notifications/x"}`), needed)
	if got := c.next(events); !strings.Contains(got, "notifications/x") {
		t.Errorf("got %q", got)
	}
}

// A client may use a request's id again as soon as it has the answer, also one
// that came on a stream. Once the id was taken for a moment longer.
func TestIDsAreFreeWhenTheAnswerIsThere(t *testing.T) {
	r := tool(t, func(_ context.Context, q *upstream.Request) (json.RawMessage, error) {
		q.Peer.Notified(serverMessage(t, `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}`))
		return json.RawMessage(`{}`), nil
	})
	c := r.connect(`{}`)
	for range 300 {
		events := c.events(t.Context(), c.request(t.Context(), "POST", calls("1", "a__do", "{}")))
		c.next(events)
		if got := c.next(events); !strings.Contains(got, `"result":{}`) {
			t.Fatalf("answered %s", got)
		}
	}
	s := newSession(ticket{Nonce: "n"}, "")
	x := &exchange{session: s, msg: mustParse(t, calls("1", "x", "{}"))}
	if err := s.begin(x); err != nil {
		t.Fatal(err)
	}
	s.done(&exchange{session: s, msg: x.msg}) // another with the id, that was refused
	if err := s.begin(x); !errors.Is(err, errDuplicate) {
		t.Errorf("begin = %v", err)
	}
}

func mustParse(t *testing.T, raw string) jsonrpc.Message {
	t.Helper()
	m, err := jsonrpc.Parse([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// A session that has to make room takes its upstream sessions with it, and makes
// new ones when it comes back. They were once kept for ever.
func TestEvictedSessionsHoldNothing(t *testing.T) {
	d := dialer("echo")
	d.Server("a").OnRequest = echo
	cfg := settings(t, "a=http")
	cfg.Server.MaxSessions = 1
	r := start(t, cfg, d).running()
	one := r.connect(`{}`)
	one.post(calls("1", "a__echo", `{}`))
	link := d.Server("a").Last()
	two := r.connect(`{}`)
	<-link.Lost()
	if got := one.post(calls("2", "a__echo", `{"x":1}`)).body; !strings.Contains(got, `\"x\":1`) {
		t.Errorf("back again: %s", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	<-one.listen(ctx) // in use: nobody may take its place
	if got := two.post(`{"jsonrpc":"2.0","id":1,"method":"ping"}`); got.status != 503 || got.header.Get("Retry-After") == "" {
		t.Errorf("no room to come back: %d %s", got.status, got.body)
	}
	late := r.sessions.find(one.session)
	if late.asked == 0 {
		t.Error("a session that came back asks under the ids of before")
	}
}

// A batch that is refused does nothing; in one that is taken, notifications take
// effect where they stand.
func TestBatchNotifications(t *testing.T) {
	began := make(chan struct{}, 1)
	r := tool(t, func(ctx context.Context, _ *upstream.Request) (json.RawMessage, error) {
		began <- struct{}{}
		<-ctx.Done()
		return nil, context.Cause(ctx)
	})
	c := r.connectAt("/mcp", "2025-03-26", `{}`)
	got := make(chan reply, 1)
	go func() { got <- c.post(calls("1", "a__do", "{}")) }()
	<-began
	const cancel1 = `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`
	if bad := c.post(`[` + cancel1 + `,{"jsonrpc":"2.0","id":2}]`); bad.status != 400 {
		t.Errorf("a bad batch: %d", bad.status)
	}
	select {
	case a := <-got:
		t.Fatalf("a refused batch cancelled the call: %s", a.body)
	default:
	}
	batch := `[` + calls("3", "a__do", "{}") + `,` + cancel1 + `,{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":3}},{"jsonrpc":"2.0","id":4,"method":"ping"}]`
	if good := c.post(batch); strings.Count(good.body, `"jsonrpc"`) != 1 || !strings.Contains(good.body, `"id":4,"result":{}`) {
		t.Errorf("the batch was answered %s", good.body)
	}
	if a := <-got; a.body != "" {
		t.Errorf("the cancelled call was answered %s", a.body)
	}
	if only := c.post(`[` + cancel1 + `]`); only.status != 202 {
		t.Errorf("a batch of notifications: %d", only.status)
	}
	if twice := c.post(`[{"jsonrpc":"2.0","id":5,"method":"ping"},{"jsonrpc":"2.0","id":"5","method":"ping"}]`); strings.Count(twice.body, `"result"`) != 2 {
		t.Errorf("two ids: %s", twice.body)
	}
}

// Batches of 2025-03-26 over the two transports whose answers go one way.
func TestBatchOnStdio(t *testing.T) {
	r := echoing(t, "a")
	initialize := func(v string) string {
		return `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"` + v + `","capabilities":{}}}` + "\n"
	}
	batch := `[{"jsonrpc":"2.0","id":1,"method":"ping"},7,[{"jsonrpc":"2.0","id":2,"method":"ping"}]]` + "\n"
	for v, want := range map[string][]string{
		"2025-03-26": {`"id":1,"result":{}`, `"code":-32600`, `"code":-32600`},
		"2025-06-18": {`"code":-32600`},
	} {
		var out strings.Builder
		if err := r.ServeStdio(t.Context(), strings.NewReader(initialize(v)+batch+"[]\n"), &out); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(out.String(), "\n"); n != 2+len(want) {
			t.Errorf("%s: %d answers, want %d: %s", v, n, 2+len(want), out.String())
		}
		for _, w := range want {
			if !strings.Contains(out.String(), w) {
				t.Errorf("%s: no %s in %s", v, w, out.String())
			}
		}
		if strings.Contains(out.String(), `"id":2,"result"`) {
			t.Errorf("%s: a batch in a batch was served", v)
		}
	}
}

func TestBatchOnSSE(t *testing.T) {
	r := echoing(t, "a")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := &client{r: r, path: "/sse"}
	events := c.events(ctx, c.request(ctx, "GET", ""))
	c.path = string((<-events).Data)
	c.post(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-03-26","capabilities":{}}}`)
	c.next(events)
	if got := c.post(`[{"jsonrpc":"2.0","id":1,"method":"ping"}]`); got.status != 202 {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := c.next(events); got != `{"jsonrpc":"2.0","id":1,"result":{}}` {
		t.Errorf("answered %s", got)
	}
	if got := c.post(`[]`); got.status != 400 {
		t.Errorf("an empty batch: %d", got.status)
	}
	s := r.sessions.named(strings.TrimPrefix(c.path, ssePost+"?session="))
	if s.home.(*stream).kept() != 0 {
		t.Error("answers are kept that nobody can ask for")
	}
}

// A client on stdio that reads nothing does not hold up the end.
func TestStdioClientThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := echoing(t, "a")
		_, out := io.Pipe()
		defer out.Close()
		begun := time.Now()
		err := r.ServeStdio(t.Context(), strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"ping"}`+"\n"), out)
		if !errors.Is(err, errStuck) || time.Since(begun) > flushTimeout {
			t.Errorf("ServeStdio = %v after %v", err, time.Since(begun))
		}
	})
}

// What came on a call's own stream is for its client, also what the gateway does
// not know.
func TestNotificationsOfACall(t *testing.T) {
	notes := []string{
		`{"jsonrpc":"2.0","method":"notifications/elicitation/complete","params":{"elicitationId":"e"}}`,
		`{"jsonrpc":"2.0","method":"notifications/vendor/thing","params":{"n":1.0}}`,
		`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"error","data":"x"}}`,
	}
	r := tool(t, func(_ context.Context, q *upstream.Request) (json.RawMessage, error) {
		q.Peer.Notified(serverMessage(t, `{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"too mild"}}`))
		for _, n := range notes {
			q.Peer.Notified(serverMessage(t, n))
		}
		return json.RawMessage(`{}`), nil
	})
	c := r.connect(`{}`)
	c.post(`{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"warning"}}`)
	events := c.events(t.Context(), c.request(t.Context(), "POST", calls("1", "a__do", "{}")))
	for _, want := range notes {
		if got := c.next(events); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// A shared server is asked for the mildest level that any client wants; each sees
// its own. A server of one session is told that session's, also one made later.
func TestLogLevels(t *testing.T) {
	d := dialer("do")
	d.Server("b").Tools = []string{"do"}
	var told []string
	level := func(_ context.Context, l *linktest.Link, method string, r *upstream.Request) (json.RawMessage, error) {
		if method == "logging/setLevel" {
			told = append(told, r.Message.Text(r.Message.Level))
		}
		return nil, nil
	}
	d.Server("a").OnRequest = level
	r := start(t, settings(t, "a", "b=http"), d).running()
	one, two := r.connect(`{}`), r.connect(`{}`)
	set := func(c *client, l string) {
		c.post(`{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"` + l + `"}}`)
	}
	set(one, "debug")
	set(two, "error")
	if !slices.Equal(told, []string{"debug", "debug"}) {
		t.Errorf("the shared server was told %q", told)
	}
	if got := two.post(`{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"loud"}}`); got.rpcCode() != -32602 {
		t.Errorf("a level that is none: %s", got.body)
	}
	two.post(calls("1", "b__do", "{}"))
	for d.Server("b").Asked("logging/setLevel") == 0 { // told beside the call
		if t.Context().Err() != nil {
			t.Fatal("the session's own link was not told")
		}
	}
	events := two.listen(t.Context())
	say := func(level string) {
		d.Server("b").Last().Dial.Inbox.Notified(serverMessage(t, `{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"`+level+`"}}`))
	}
	<-events
	say("warning")
	say("critical")
	if got := two.next(events); !strings.Contains(got, "critical") {
		t.Errorf("two was told %s", got)
	}
}

// What upstreams that never listed are asked for is not unknown. That it was not
// executed is said once.
func TestNeverListed(t *testing.T) {
	d := new(linktest.Dialer)
	cfg := settings(t, "a", "b")
	empty := ""
	cfg.Upstreams[1].Prefix = &empty
	cfg.Server.ListWait = 0
	refuse := func(context.Context, int, *upstream.Dial) error {
		return &upstream.StartError{Stage: "spawn", Err: errors.New("no such file")}
	}
	d.Server("a").OnDial, d.Server("b").OnDial = refuse, refuse
	r := start(t, cfg, d)
	for _, u := range r.set.Upstreams() {
		for u.Status().State != upstream.Errored {
			<-r.Changed()
		}
	}
	c := r.connect(`{}`)
	for request, up := range map[string]string{
		calls("1", "a__x", "{}"): "a", calls("1", "x", "{}"): "b",
		`{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"a__p"}}`:                                                                     "a",
		`{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"p"},"argument":{"name":"n","value":""}}}`: "b",
	} {
		got := c.post(request).body
		if !strings.Contains(got, `"upstream":"`+up+`","executed":"no"`) || !strings.Contains(got, "no such file") || strings.Count(got, "NOT executed") != 1 {
			t.Errorf("%s\n\tgot %s", request, got)
		}
	}
	view := r.connectAt("/mcp/u/a", "2025-11-25", `{}`)
	if got := view.post(calls("1", "x", "{}")).body; !strings.Contains(got, `"upstream":"a"`) {
		t.Errorf("in its own view: %s", got)
	}
}

// A view whose upstream is removed has nothing left, and says so; the upstream's
// name is not unknown to a call that is under way.
func TestRemovedUpstream(t *testing.T) {
	r := echoing(t, "a", "b")
	c, view := r.connect(`{}`), r.connectAt("/mcp/u/a", "2025-11-25", `{}`)
	events := view.listen(t.Context())
	<-events
	cfg := *r.cfg.Load()
	cfg.Upstreams = cfg.Upstreams[1:]
	if _, err := r.Reload(&cfg); err != nil {
		t.Fatal(err)
	}
	if got := view.next(events); !strings.Contains(got, "list_changed") {
		t.Errorf("the view's client was told %s", got)
	}
	if got := view.post(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`); got.status != 404 {
		t.Errorf("the view: %d %s", got.status, got.body)
	}
	if got := c.post(calls("1", "a__echo", "{}")); got.rpcCode() != -32602 {
		t.Errorf("its tool: %s", got.body)
	}
	if got := c.post(calls("1", "b__echo", `{"x":1}`)).body; !strings.Contains(got, `\"x\":1`) {
		t.Errorf("the other's tool: %s", got)
	}
}

// Requests that come while their session is ended are told that it is gone.
func TestEndedSession(t *testing.T) {
	r := echoing(t, "a")
	c := r.connect(`{}`)
	s := r.sessions.find(c.session)
	s.end() // and not yet out of the table
	if got := c.post(`{"jsonrpc":"2.0","id":1,"method":"ping"}`); got.status != 404 {
		t.Errorf("%d %s", got.status, got.body)
	}
	if s.newStream(nil, nil).send([]byte("{}"), answering) {
		t.Error("a stream of an ended session takes messages")
	}
}

// Paths that the other routes have are served all the same.
func TestOddPaths(t *testing.T) {
	for _, path := range []string{"/", "/sse", "/messages", "/a/b"} {
		cfg := settings(t, "a")
		cfg.Server.Path = path
		d := dialer("do")
		r := start(t, cfg, d).running()
		c := r.connectAt(path, "2025-11-25", `{}`)
		if got := c.post(calls("1", "a__do", "{}")); got.status != 200 {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
		view := r.connectAt(strings.TrimSuffix(path, "/")+"/u/a", "2025-11-25", `{}`)
		if got := view.post(calls("1", "do", "{}")); got.status != 200 {
			t.Errorf("%s view: %d %s", path, got.status, got.body)
		}
		c.path = "/nowhere"
		if got := c.post(`{}`); got.status != 404 {
			t.Errorf("%s: elsewhere: %d", path, got.status)
		}
		r.stop()
	}
}

// Complete answers are kept for a while in case that the client lost them, within
// bounds.
func TestCompleteAnswersAreBounded(t *testing.T) {
	for _, c := range []struct{ size, want int }{{10, maxRetired}, {100 << 10, 10}, {3 << 20, 1}} {
		s := newSession(ticket{Nonce: "n"}, "")
		for range 200 {
			st := s.newStream([]byte("1"), nil)
			st.finish([]byte(`{"x":"` + strings.Repeat("y", c.size) + `"}`))
			s.retire(st)
		}
		if n := len(s.streams); n != c.want || len(s.retired) != n {
			t.Errorf("of %d bytes each: %d are kept, want %d", c.size, n, c.want)
		}
		s.sweep(time.Now())
		if len(s.streams) == 0 {
			t.Error("forgotten at once")
		}
		s.sweep(time.Now().Add(resumeWindow + time.Second))
		if len(s.streams) != 0 || s.busy() && s.id != "" {
			t.Errorf("%d are never forgotten", len(s.streams))
		}
	}
}

func TestEndedSessionsAreForgottenInTheEnd(t *testing.T) {
	table := newSessions()
	for n := range maxTombstones + 10 {
		s := &session{id: "i", key: fmt.Sprint(n)}
		table.remove(s)
	}
	if n := len(table.ended); n != maxTombstones || len(table.order) != n {
		t.Errorf("%d are remembered", n)
	}
	if _, _, err := table.add(&session{id: "i", key: fmt.Sprint(maxTombstones)}, 10); !errors.Is(err, errTicket) {
		t.Errorf("a recent one is let in again: %v", err)
	}
	table.bury(time.Now().Add(tombstone + time.Minute))
	if len(table.ended)+len(table.order) != 0 {
		t.Error("never forgotten")
	}
}

// An operator's call takes the way of a client's, on links of its own that end
// with it, and can be asked nothing.
func TestOperatorsCall(t *testing.T) {
	answers := make(chan string, 1)
	d := dialer("do")
	d.Server("a").OnRequest = func(ctx context.Context, _ *linktest.Link, method string, q *upstream.Request) (json.RawMessage, error) {
		if method != "tools/call" {
			return nil, nil
		}
		ask, got := asked(t, `{"jsonrpc":"2.0","id":5,"method":"sampling/createMessage"}`)
		q.Peer.Asked(ask)
		answers <- <-got
		return json.RawMessage(`{"content":[],"n":1.0}`), nil
	}
	r := start(t, settings(t, "a=http"), d).running()
	got, err := r.State().Call(t.Context(), "a__do", nil)
	if err != nil || string(got) != `{"content":[],"n":1.0}` {
		t.Errorf("Call = %s, %v", got, err)
	}
	if a := <-answers; !strings.Contains(a, "-32601") {
		t.Errorf("the server was answered %s", a)
	}
	<-d.Server("a").Last().Lost()
	if n := len(r.sessions.all()); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
	if _, err := r.State().Call(t.Context(), "a__none", nil); err == nil || !strings.Contains(err.Error(), "unknown tool") {
		t.Errorf("an unknown tool: %v", err)
	}
}

// A shared server says that a URL elicitation is complete by its id alone: the
// client that was asked hears of it, and no other.
func TestElicitationComplete(t *testing.T) {
	r := tool(t, func(ctx context.Context, q *upstream.Request) (json.RawMessage, error) {
		ask, got := asked(t, `{"jsonrpc":"2.0","id":5,"method":"elicitation/create","params":{"mode":"url","elicitationId":"e-1","url":"http://x"}}`)
		q.Peer.Asked(ask)
		<-got
		return json.RawMessage(`{}`), nil
	})
	one, two := r.connect(`{"elicitation":{"url":{}}}`), r.connect(`{"elicitation":{"url":{}}}`)
	first, second := one.listen(t.Context()), two.listen(t.Context())
	<-first
	<-second
	call := one.events(t.Context(), one.request(t.Context(), "POST", calls("1", "a__do", "{}")))
	one.next(call)
	one.post(`{"jsonrpc":"2.0","id":1,"result":{"action":"accept"}}`)
	one.next(call)
	say := func(id string) string {
		raw := `{"jsonrpc":"2.0","method":"notifications/elicitation/complete","params":{"elicitationId":"` + id + `"}}`
		r.dialer.Server("a").Last().Dial.Inbox.Notified(serverMessage(t, raw))
		return raw
	}
	say("e-2")
	want := say("e-1")
	if got := one.next(first); got != want {
		t.Errorf("the client heard %s", got)
	}
	r.sessions.find(two.session).tell([]byte(`{"jsonrpc":"2.0","method":"end"}`), needed)
	if got := two.next(second); !strings.Contains(got, "end") {
		t.Errorf("another client heard %s", got)
	}
}

// A shutdown that is out of time ends an operator's call with an answer, as it
// does a client's.
func TestOperatorsCallAtShutdown(t *testing.T) {
	began := make(chan struct{})
	r := tool(t, func(ctx context.Context, _ *upstream.Request) (json.RawMessage, error) {
		close(began)
		<-ctx.Done()
		return nil, context.Cause(ctx)
	})
	got := make(chan string, 1)
	go func() {
		b, err := r.State().Call(context.WithoutCancel(t.Context()), "a__do", nil)
		got <- fmt.Sprint(string(b), err)
	}()
	<-began
	r.Drain(done0())
	if a := <-got; !strings.Contains(a, `"reason":"shutdown"`) || !strings.Contains(a, `"executed":"unknown"`) {
		t.Errorf("answered %s", a)
	}
	if _, err := r.State().Call(t.Context(), "a__do", nil); err == nil || !strings.Contains(err.Error(), "shutting down") {
		t.Errorf("after it: %v", err)
	}
}

// What an operator sees of an upstream comes from the running server.
func TestUpstreamsAsTheOperatorSeesThem(t *testing.T) {
	r := echoing(t, "a")
	all := r.State().Upstreams()
	if len(all) != 1 || all[0].Server == nil || all[0].Server.Name != "fake" || all[0].Protocol != "2025-11-25" || all[0].Tools != 1 || all[0].State != "running" {
		t.Errorf("%+v", all)
	}
	if tools := r.State().Tools(); len(tools) != 1 || tools[0].Name != "a__echo" || string(tools[0].InputSchema) != `{"type":"object"}` || !tools[0].Listed {
		t.Errorf("%+v", tools)
	}
	if ok, waiting := r.State().Ready(); !ok || len(waiting) != 0 {
		t.Errorf("ready %v %v", ok, waiting)
	}
}

// A client's progress on what it was asked goes to the server that asked, under the
// server's token.
func TestProgressOnAQuestion(t *testing.T) {
	r := tool(t, func(ctx context.Context, q *upstream.Request) (json.RawMessage, error) {
		ask, got := asked(t, `{"jsonrpc":"2.0","id":5,"method":"sampling/createMessage","params":{"_meta":{"progressToken":"té"}}}`)
		q.Peer.Asked(ask)
		<-got
		return json.RawMessage(`{}`), nil
	})
	c := r.connect(`{"sampling":{}}`)
	call := c.events(t.Context(), c.request(t.Context(), "POST", calls("1", "a__do", "{}")))
	c.next(call)
	progress := func(token string) string {
		return `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":` + token + `,"progress":1}}`
	}
	c.post(progress(`"other"`))
	c.post(progress(`"té"`))
	c.post(`{"jsonrpc":"2.0","method":"notifications/progress","params":{}}`)
	if got := r.dialer.Server("a").Last().Notifications(); !slices.Equal(got, []string{progress(`"té"`)}) {
		t.Errorf("the server was told %q", got)
	}
	c.post(`{"jsonrpc":"2.0","id":1,"result":{}}`)
	for range call {
	}
	c.post(progress(`"té"`)) // after the answer: for nobody
	c.post(`{"jsonrpc":"2.0","id":1,"result":{}}`)
	c.post(`{"jsonrpc":"2.0","id":"x","result":{}}`)
	if got := r.dialer.Server("a").Last().Notifications(); len(got) != 1 {
		t.Errorf("the server was told %q", got)
	}
}

func TestBadInitialize(t *testing.T) {
	r := echoing(t, "a")
	c := &client{r: r, path: "/mcp"}
	for _, params := range []string{`{}`, `{"protocolVersion":1}`, `{"protocolVersion":"2025-06-18","capabilities":[]}`} {
		got := c.post(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":` + params + `}`)
		if got.rpcCode() != -32602 || got.header.Get(headerSession) != "" {
			t.Errorf("%s: %s", params, got.body)
		}
	}
	if got := c.post(`{"jsonrpc":"2.0","id":1,"method":"initialize"}`); got.rpcCode() != -32602 {
		t.Errorf("without params: %s", got.body)
	}
	huge := `{"x":"` + strings.Repeat("y", 8<<10) + `"}`
	if got := c.post(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":` + huge + `}}`); got.rpcCode() != -32602 {
		t.Errorf("capabilities that no header can carry: %s", got.body)
	}
}

// Health may be asked for by any Host, but who waits for what is for those who may
// use the gateway.
func TestReadyForStrangers(t *testing.T) {
	d := new(linktest.Dialer)
	d.Server("secret").OnDial = func(ctx context.Context, _ int, _ *upstream.Dial) error { <-ctx.Done(); return context.Cause(ctx) }
	cfg := settings(t, "secret")
	cfg.Upstreams[0].Required = true
	r := start(t, cfg, d)
	for host, names := range map[string]bool{"": true, "10.0.0.7:80": false} {
		c := &client{r: r, path: "/readyz"}
		req := c.request(t.Context(), "GET", "")
		if host != "" {
			req.Host = host
		}
		if got := c.do(req); got.status != 503 || strings.Contains(got.body, "secret") != names {
			t.Errorf("Host %q: %d %s", host, got.status, got.body)
		}
	}
	c := &client{r: r, path: "/livez"}
	if got := c.do(c.request(t.Context(), "GET", "")); got.status != 200 {
		t.Errorf("livez: %d", got.status)
	}
}

// A session keeps no complete answer for longer than somebody may come back for it.
func TestAnswersAreForgotten(t *testing.T) {
	r := tool(t, func(_ context.Context, q *upstream.Request) (json.RawMessage, error) {
		q.Peer.Notified(serverMessage(t, `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}`))
		return json.RawMessage(`{}`), nil
	})
	c := r.connectAt("/mcp", "2025-03-26", `{}`)
	c.post(calls("1", "a__do", "{}"))
	c.post(`[` + calls("2", "a__do", "{}") + `]`)
	s := r.sessions.find(c.session)
	held := func() int { s.mu.Lock(); defer s.mu.Unlock(); return len(s.streams) }
	if n := held(); n != 2 {
		t.Errorf("%d answers can be resumed", n)
	}
	s.sweep(time.Now().Add(resumeWindow + time.Second))
	if n := held(); n != 0 {
		t.Errorf("%d answers are kept", n)
	}
}

// A change of a list is told once, also to one that opens its stream again.
func TestListChangedIsToldOnce(t *testing.T) {
	s := newSession(ticket{Nonce: "n", Version: "2025-11-25"}, "x").useStreams()
	s.listsChanged(listTools)
	s.listsChanged(listTools | listPrompts)
	for range 3 {
		s.mu.Lock()
		s.catchUp()
		s.mu.Unlock()
	}
	if n := len(s.standing.events); n != 2 || s.stale != 0 {
		t.Errorf("told %d times, still stale: %b", n, s.stale)
	}
}

// A shutdown that is out of time answers all of a batch.
func TestBatchAtShutdown(t *testing.T) {
	began := make(chan struct{}, 2)
	r := tool(t, func(ctx context.Context, _ *upstream.Request) (json.RawMessage, error) {
		began <- struct{}{}
		<-ctx.Done()
		return nil, context.Cause(ctx)
	})
	c := r.connectAt("/mcp", "2025-03-26", `{}`)
	got := make(chan reply, 1)
	go func() { got <- c.post(`[` + calls("1", "a__do", "{}") + `,` + calls("2", "a__do", "{}") + `]`) }()
	<-began
	<-began
	r.Drain(done0())
	if a := <-got; strings.Count(a.body, `"reason":"shutdown"`) != 2 {
		t.Errorf("answered %s", a.body)
	}
}
