package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
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
	x := &exchange{session: s, msg: new(mustParse(t, calls("1", "x", "{}")))}
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
// Batches of 2025-03-26 over the two transports whose answers go one way.
// A client on stdio that reads nothing does not hold up the end.
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
	limit, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	for d.Server("b").Asked("logging/setLevel") == 0 { // told beside the call
		if limit.Err() != nil {
			t.Fatal("the session's own link was not told")
		}
		runtime.Gosched()
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
	for i := range cfg.Upstreams { // while one is tried again there is no failure to tell of
		cfg.Upstreams[i].Restart.Policy = upstream.Never
	}
	r := start(t, cfg, d)
	r.until(r.errored("a")).until(r.errored("b"))
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
	if _, err := r.Apply(t.Context(), &cfg); err != nil {
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
// What an operator sees of an upstream comes from the running server.
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

// One that changes at the moment that a stream is opened was once told when another
// changed, and not before: the stream was neither open yet nor to be.
func TestListChangesWhileAStreamOpens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := echoing(t, "a")
		c := r.connect(`{}`)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		w := &opening{httptest.NewRecorder(), func() { r.sessions.find(c.session).listsChanged(listTools) }}
		served := make(chan struct{})
		go func() { r.Handler().ServeHTTP(w, c.request(ctx, http.MethodGet, "")); close(served) }()
		synctest.Wait()
		cancel()
		<-served
		if got := w.Body.String(); strings.Count(got, "tools/list_changed") != 1 {
			t.Errorf("the client was told %q", got)
		}
	})
}

// opening is a response during whose beginning something happens.
type opening struct {
	*httptest.ResponseRecorder
	happens func()
}

func (o *opening) WriteHeader(status int) {
	o.happens()
	o.ResponseRecorder.WriteHeader(status)
}

// A shutdown that is out of time answers all of a batch.

// A question that is registered at the moment its call ends is taken back.
func TestQuestionAtTheEndOfItsCall(t *testing.T) {
	s := newSession(ticket{Nonce: "n", Version: "2025-11-25", Capabilities: json.RawMessage(`{"sampling":{}}`)}, "x").useStreams()
	c := &call{x: &exchange{session: s, out: s.standing}}
	c.end()
	q, got := asked(t, `{"jsonrpc":"2.0","id":5,"method":"sampling/createMessage"}`)
	new(Gateway).putTo(s, q, s.standing, c, "a")
	if a := <-got; !strings.Contains(a, "has ended") {
		t.Errorf("the server was told %s", a)
	}
	if c.Waiting() || len(s.questions) != 0 {
		t.Error("it is still waited for")
	}
}
