package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
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

// tracedTool is tool for a gateway that is traced.
func tracedTool(t *testing.T, change func(*telemetry.Config), f func(ctx context.Context, r *upstream.Request) (json.RawMessage, error)) *traced {
	t.Helper()
	d := dialer("do")
	d.Server("a").OnRequest = func(ctx context.Context, _ *linktest.Link, method string, r *upstream.Request) (json.RawMessage, error) {
		if method != "tools/call" {
			return nil, nil
		}
		return f(ctx, r)
	}
	r := traces(t, settings(t, "a"), Options{Dialer: d}, change)
	r.dialer = d
	return r
}

// What a server says during a call is counted in the CLIENT span, and told within
// bounds: never what was logged.
func TestTalkIsTold(t *testing.T) {
	const progress, messages = 50, 20
	r := tracedTool(t, nil, func(_ context.Context, q *upstream.Request) (json.RawMessage, error) {
		say := func(method, params string) {
			q.Peer.Notified(serverMessage(t, fmt.Sprintf(`{"jsonrpc":"2.0","method":%q,"params":%s}`, method, params)))
		}
		for i := range progress {
			say("notifications/progress", fmt.Sprintf(`{"progressToken":"p","progress":%d.50,"total":1e2,"message":"secret"}`, i))
		}
		for i := range messages {
			say("notifications/message", fmt.Sprintf(`{"level":"info","logger":"log%d%s","data":{"password":"secret"}}`, i, strings.Repeat("r", 100)))
		}
		say("notifications/message", `{"level":"secret","data":1}`)
		say("notifications/vendor/thing", `{"secret":1}`)
		say("notifications/progress", `{"progressToken":"p","progress":"secret","total":{"secret":1}}`)
		return json.RawMessage(`{"content":[]}`), nil
	})
	c := r.connect(`{}`)
	c.post(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a__do","_meta":{"progressToken":"p"}}}`)
	c.post(`{"jsonrpc":"2.0","id":2,"method":"ping"}`)
	r.end()
	span := r.One("CLIENT", "tools/call do")
	for name, want := range map[string]string{
		telemetry.AttrProgressCount: fmt.Sprint(progress + 1), telemetry.AttrMessagesCount: fmt.Sprint(messages + 1), telemetry.AttrNotificationsCount: "1",
	} {
		if got := span.Attr(name); got != want {
			t.Errorf("%s is %q, want %s", name, got, want)
		}
	}
	first := span.Event(telemetry.EventProgress)
	if len(first) != 2 || first[0].Attrs.Text(telemetry.AttrProgress) != "0.50" || first[0].Attrs.Text(telemetry.AttrProgressTotal) != "1e2" || len(first[1].Attrs) != 0 {
		t.Errorf("progress is told so: %v", first)
	}
	logged := span.Event(telemetry.EventMessage)
	if len(logged) != maxMessageEvents || logged[0].Attrs.Text(telemetry.AttrMessageLevel) != "info" || len(logged[0].Attrs.Text(telemetry.AttrMessageLogger)) != maxLogger {
		t.Errorf("messages are told so: %v", logged)
	}
	if all := fmt.Sprintf("%+v", r.Spans()); strings.Contains(all, "secret") {
		t.Errorf("it tells too much: %s", all)
	}
}

// A call that nobody watches keeps no account of what is said.
func TestTalkCostsNothingUnwatched(t *testing.T) {
	r := tracedTool(t, func(c *telemetry.Config) { c.Traces.Sample, c.Traces.Keep = 0, 0 }, func(_ context.Context, q *upstream.Request) (json.RawMessage, error) {
		q.Peer.Notified(serverMessage(t, `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"p","progress":1}}`))
		return nil, nil
	})
	c := r.connect(`{}`)
	s := r.sessions.all()[0]
	x := &exchange{session: s, out: nowhere{}}
	x.call.x, x.call.g = x, r.Gateway
	m := serverMessage(t, `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"p","progress":1}}`)
	x.call.route = nil
	if n := testing.AllocsPerRun(100, func() { x.call.Notified(m) }); n != 0 || x.call.talk.Load() != nil {
		t.Errorf("%v allocations", n)
	}
	c.post(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a__do"}}`)
	r.end()
	if n := len(r.Named("tools/call a__do")); n != 0 {
		t.Errorf("%d spans", n)
	}
}

// curious is a tool that asks one question and ends with its answer, or when it is let
// go.
type curious struct{ gone, release chan struct{} }

func (a *curious) reset() { a.gone, a.release = make(chan struct{}), make(chan struct{}) }

func (a *curious) call(t *testing.T, raw string) func(context.Context, *upstream.Request) (json.RawMessage, error) {
	t.Helper()
	a.reset()
	return func(ctx context.Context, r *upstream.Request) (json.RawMessage, error) {
		q, got := asked(t, raw)
		q.Gone = a.gone
		r.Peer.Asked(q)
		select {
		case <-got:
		case <-a.release:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		return json.RawMessage(`{"content":[]}`), nil
	}
}

const elicits = `{"jsonrpc":"2.0","id":7,"method":"elicitation/create","params":{"message":"sure?","_meta":{"z":1.0,"traceparent":"00-11111111111111111111111111111111-2222222222222222-01"}}}`

// A server's question is a CLIENT span below the call's until it is answered,
// refused or taken back, and carries its context to the client.
func TestQuestionsAreTraced(t *testing.T) {
	var a curious
	cancelled := func(c *client, events <-chan jsonrpc.Event) {
		if got := c.next(events); !strings.Contains(got, "notifications/cancelled") {
			c.r.t.Errorf("told %s", got)
		}
	}
	for _, c := range []struct {
		name, asked, answer, outcome, failure string
		act                                   func(c *client, events <-chan jsonrpc.Event)
	}{
		{"accepted", elicits, `"result":{"action":"accept","content":{}}`, "accept", "", nil},
		{"declined", elicits, `"result":{"action":"decline"}`, "decline", "", nil},
		{"dismissed", elicits, `"result":{"action":"cancel"}`, "cancel", "", nil},
		{"answered oddly", elicits, `"result":{"action":"secret"}`, "answered", "", nil},
		{"an error", elicits, `"error":{"code":-32042,"message":"secret"}`, "error", "-32042", nil},
		{"sampling", `{"jsonrpc":"2.0","id":"s","method":"sampling/createMessage","params":{"messages":[]}}`, `"result":{"role":"x"}`, "answered", "", nil},
		{"roots", `{"jsonrpc":"2.0","id":"r","method":"roots/list"}`, `"result":{"roots":[]}`, "answered", "", nil},
		{"taken back", elicits, "", "withdrawn", "cancelled", func(c *client, events <-chan jsonrpc.Event) {
			close(a.gone)
			cancelled(c, events)
			close(a.release)
		}},
		{"the call ended", elicits, "", "ended", "cancelled", func(c *client, events <-chan jsonrpc.Event) {
			close(a.release)
			cancelled(c, events)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := tracedTool(t, nil, a.call(t, c.asked))
			client := r.connect(`{"elicitation":{},"sampling":{},"roots":{}}`)
			events := client.events(t.Context(), client.request(t.Context(), http.MethodPost, calls("1", "a__do", `{}`)))
			put := client.next(events)
			m := serverMessage(t, put)
			if c.act != nil {
				c.act(client, events)
			} else {
				client.post(`{"jsonrpc":"2.0","id":` + string(m.ID.Of(m.Raw)) + `,` + c.answer + `}`)
			}
			if got := client.next(events); !strings.Contains(got, `"content":[]`) {
				t.Errorf("the call got %s", got)
			}
			r.end()
			method := m.MethodName()
			call := r.One("CLIENT", "tools/call do")
			span := r.Child(call, method)
			if span.Kind != "CLIENT" || span.Attr(telemetry.AttrQuestionOutcome) != c.outcome || span.Attr(telemetry.AttrErrorType) != c.failure || span.Failed != (c.failure != "") ||
				span.Attr(telemetry.AttrRequestID) != string(m.ID.Of(m.Raw)) || span.Attr(telemetry.AttrMethod) != method || span.Attr(telemetry.AttrUpstream) != "a" || span.Attr(telemetry.AttrTransport) != "tcp" || span.Attr(telemetry.AttrSessionID) == "" {
				t.Errorf("the question is told so: %+v", span)
			}
			if want := parentOf(call.Trace, span.ID, "01"); m.Text(m.TraceParent) != want || strings.Count(put, "traceparent") != 1 {
				t.Errorf("the client was asked %s, want traceparent %s", put, want)
			}
			if strings.Contains(c.asked, `"z":1.0`) && !strings.Contains(put, `"z":1.0`) {
				t.Errorf("the client was asked %s", put)
			}
			if all := fmt.Sprintf("%+v", span); strings.Contains(all, "secret") || strings.Contains(all, "sure?") {
				t.Errorf("it tells too much: %s", all)
			}
		})
	}
}

// A question that the client is not asked is an event of the call.
func TestQuestionsThatAreNotAsked(t *testing.T) {
	var a curious
	for _, era := range []string{"legacy", "modern", "modern that can be asked other things"} {
		r := tracedTool(t, nil, a.call(t, elicits))
		switch era {
		case "legacy":
			r.connect(`{"roots":{}}`).post(calls("1", "a__do", `{}`))
		case "modern":
			r.caller(`{}`).tool("a__do", "")
		default:
			r.caller(`{"roots":{}}`).tool("a__do", "")
		}
		r.end()
		got := r.One("CLIENT", "tools/call do").Event(telemetry.EventQuestionRefused)
		if len(got) != 1 || got[0].Attrs.Text(telemetry.AttrMethod) != "elicitation/create" || !strings.Contains(got[0].Attrs.Text(telemetry.AttrRefusal), "elicitation") {
			t.Errorf("%s: %v", era, got)
		}
		if n := len(r.Named("elicitation/create")); n != 0 {
			t.Errorf("%s: %d spans", era, n)
		}
	}
}

// A client that can no longer be reached is not asked, and neither is one without a
// stream; a question of no call has a trace of its own, or goes on with the server's.
func TestQuestionsOutsideOfCalls(t *testing.T) {
	const theirs = "11111111111111111111111111111111"
	for _, with := range []string{"", `,"_meta":{"traceparent":"00-` + theirs + `-2222222222222222-01"}`} {
		cfg := settings(t, "a")
		cfg.Upstreams[0].Isolation = upstream.PerSession
		d := dialer("do")
		r := traces(t, cfg, Options{Dialer: d}, nil)
		c := r.connect(`{"roots":{}}`)
		ctx, cancel := context.WithCancel(t.Context())
		events := c.listen(ctx)
		c.post(calls("1", "a__do", `{}`))
		q, got := asked(t, `{"jsonrpc":"2.0","id":"x","method":"roots/list","params":{"k":1`+with+`}}`)
		d.Server("a").Last().Dial.Inbox.Asked(q)
		m := serverMessage(t, c.next(events))
		c.post(`{"jsonrpc":"2.0","id":` + string(m.ID.Of(m.Raw)) + `,"result":{"roots":[]}}`)
		<-got
		cancel()
		r.end()
		around := r.One("SERVER", "roots/list")
		span := r.Child(around, "roots/list")
		if m.Text(m.TraceParent) != parentOf(span.Trace, span.ID, "01") || span.Kind != "CLIENT" || span.Attr(telemetry.AttrQuestionOutcome) != "answered" ||
			around.Attr(telemetry.AttrRequestID) != `"x"` || span.Attr(telemetry.AttrRequestID) != string(m.ID.Of(m.Raw)) {
			t.Errorf("asked %s; the trace is\n%s", m.Raw, r.Tree(span.Trace))
		}
		if (with != "") != (span.Trace == theirs) || (with != "") != (around.Parent != "") {
			t.Errorf("with %q it is in trace %s below %q", with, span.Trace, around.Parent)
		}
	}
}

// Without an exporter, with traces kept in memory alone, a question goes to the client
// as the server sent it.
func TestUntracedQuestionsPassAsTheyCame(t *testing.T) {
	var a curious
	r := tracedTool(t, func(c *telemetry.Config) { c.OTLP.Endpoint = "" }, a.call(t, elicits))
	client := r.connect(`{"elicitation":{}}`)
	events := client.events(t.Context(), client.request(t.Context(), http.MethodPost, calls("1", "a__do", `{}`)))
	put := client.next(events)
	_, want, _ := strings.Cut(elicits, `"method"`)
	if !strings.HasSuffix(put, want) {
		t.Errorf("asked %s", put)
	}
	close(a.release)
	for range events { // until the call is over
	}
	modern := r.caller(`{"elicitation":{}}`)
	a.reset()
	questions, state := modern.tool("a__do", "").required(t)
	if !strings.Contains(questions["1"], `"params":{"message":"sure?","_meta":{"z":1.0,"traceparent":"00-11111111111111111111111111111111-2222222222222222-01"}}`) {
		t.Errorf("asked %v", questions)
	}
	modern.tool("a__do", retry(state, `{"1":{"action":"accept"}}`))
}

// What a parked call is: one SERVER span for each request, the first of which ends
// with what is asked; a CLIENT span that lives on below it, with the question; and a
// link from the retry to the request that the call was made for.
func TestParkedCallsAreTraced(t *testing.T) {
	var a curious
	r := tracedTool(t, nil, a.call(t, elicits))
	c := r.caller(`{"elicitation":{}}`)
	c.meta = `,"traceparent":"` + parentOf("0af7651916cd43dd8448eb211c80319c", metaSpan, "01") + `"`
	questions, state := c.tool("a__do", "").required(t)
	c.meta = `,"traceparent":"` + parentOf("0bf7651916cd43dd8448eb211c80319c", metaSpan, "01") + `"`
	_, state = c.tool("a__do", retry(state, `{}`)).required(t) // nothing was answered
	c.meta = `,"traceparent":"` + parentOf("0cf7651916cd43dd8448eb211c80319c", metaSpan, "01") + `"`
	got := c.tool("a__do", retry(state, `{"1":{"action":"accept"}}`))
	has(t, "the answer", got.body, `"content":[]`)
	r.end()
	for trace, want := range map[string]string{
		"0af7651916cd43dd8448eb211c80319c": "SERVER tools/call a__do\n  CLIENT tools/call do\n    CLIENT elicitation/create\n",
		"0bf7651916cd43dd8448eb211c80319c": "SERVER tools/call a__do\n",
		"0cf7651916cd43dd8448eb211c80319c": "SERVER tools/call a__do\n",
	} {
		if tree := r.Tree(trace); tree != want {
			t.Errorf("the trace is\n%swant\n%s", tree, want)
		}
	}
	first := r.Trace("0af7651916cd43dd8448eb211c80319c")[0]
	call := r.One("CLIENT", "tools/call do")
	question := r.Child(call, "elicitation/create")
	if first.Attr(telemetry.AttrResultType) != "input_required" || !call.Ended.After(first.Ended) || question.Attr(telemetry.AttrQuestionOutcome) != "accept" {
		t.Errorf("the first is %+v, the call ended at %v, the question is %+v", first, call.Ended, question)
	}
	if !strings.Contains(questions["1"], parentOf(question.Trace, question.ID, "01")) || !strings.Contains(questions["1"], `"z":1.0`) {
		t.Errorf("the client was asked %v", questions)
	}
	for _, trace := range []string{"0bf7651916cd43dd8448eb211c80319c", "0cf7651916cd43dd8448eb211c80319c"} {
		again := r.Trace(trace)[0]
		if l := again.Linked(telemetry.LinkParked); len(l) != 1 || l[0].ID != first.ID || l[0].Trace != first.Trace {
			t.Errorf("the retry links to %v", again.Links)
		}
	}
	if again := r.Trace("0cf7651916cd43dd8448eb211c80319c")[0]; again.Attr(telemetry.AttrResultType) != "" {
		t.Errorf("the last is %+v", again)
	}
}

// A parked call that nobody comes back for ends in its time, and its spans with it.
func TestForgottenCallsEnd(t *testing.T) {
	collector := telemetrytest.New(t)
	cfg := settings(t, "a")
	synctest.Test(t, func(t *testing.T) {
		var a curious
		d := dialer("do")
		ask := a.call(t, `{"jsonrpc":"2.0","id":"r","method":"roots/list"}`)
		d.Server("a").OnRequest = func(ctx context.Context, _ *linktest.Link, method string, r *upstream.Request) (json.RawMessage, error) {
			if method != "tools/call" {
				return nil, nil
			}
			return ask(ctx, r)
		}
		tel, end := startTelemetry(t, collector, nil)
		r := startWith(t, cfg, Options{Dialer: d, Telemetry: tel}).running()
		questions, _ := r.caller(`{"roots":{}}`).tool("a__do", "").required(t)
		if !strings.Contains(questions["1"], `{"method":"roots/list","params":{"_meta":{"traceparent":"00-`) {
			t.Errorf("asked %v", questions)
		}
		time.Sleep(parkTTL + time.Second)
		r.stop()
		end()
	})
	call := collector.One("CLIENT", "tools/call do")
	if took := call.Ended.Sub(call.Began); took < parkTTL || took > parkTTL+time.Second || call.Attr(telemetry.AttrErrorType) != "timeout" {
		t.Errorf("it took %v: %+v", took, call)
	}
	if q := collector.Child(call, "roots/list"); q.Attr(telemetry.AttrQuestionOutcome) != "ended" {
		t.Errorf("%+v", q)
	}
	if s := collector.One("SERVER", "tools/call a__do"); s.Ended.Sub(s.Began) > time.Second {
		t.Errorf("the first request took %v", s.Ended.Sub(s.Began))
	}
}

// What a server of 2026-07-28 requires of a client of the same revision goes through,
// and the retry links to the request before; a state without a span is as good.
func TestPassedInputIsTraced(t *testing.T) {
	d := new(linktest.Dialer)
	n := 0
	now(d, "a", `{}`, func(string, jsonrpc.Message, *upstream.Request) (json.RawMessage, error) {
		if n++; n%2 == 1 {
			return json.RawMessage(`{"resultType":"input_required","inputRequests":{"q":{"method":"elicitation/create","params":{}}},"requestState":"theirs"}`), nil
		}
		return json.RawMessage(`{"resultType":"complete","content":[]}`), nil
	})
	r := traces(t, settings(t, "a"), Options{Dialer: d}, nil)
	c := r.caller(`{"elicitation":{}}`)
	_, state := c.tool("a__do", "").required(t)
	plain, err := r.seal.openState(state)
	if err != nil || plain.made.IsZero() || string(plain.inner) != `"theirs"` {
		t.Fatalf("the state is %+v, %v", plain, err)
	}
	has(t, "the answer", c.tool("a__do", retry(state, `{"q":{"action":"accept"}}`)).body, `"content":[]`)
	_, state = c.tool("a__do", "").required(t)
	plain, err = r.seal.openState(state)
	if err != nil {
		t.Fatal(err)
	}
	plain.made = telemetry.Ref{} // as an older gateway, or one that is not traced, seals it
	has(t, "without a span", c.tool("a__do", retry(r.seal.sealState(plain), `{"q":{"action":"accept"}}`)).body, `"content":[]`)
	for _, bad := range []string{"." + r.seal.sealState(plain), state[1:], state[:40], "."} {
		if _, err := r.seal.openState(bad); err == nil {
			t.Errorf("%.20q is taken for a state", bad)
		}
	}
	r.end()
	spans := r.Named("tools/call a__do")
	if len(spans) != 4 || spans[0].Attr(telemetry.AttrResultType) != "input_required" {
		t.Fatalf("%d spans: %s", len(spans), r.All())
	}
	if l := spans[1].Linked(telemetry.LinkParked); len(l) != 1 || l[0].ID != spans[0].ID || len(spans[3].Links) != 0 {
		t.Errorf("links %v, and without a span in the state %v", spans[1].Links, spans[3].Links)
	}
}

// What is asked of a task links to the call that made it.
func TestTasksAreTraced(t *testing.T) {
	d := new(linktest.Dialer)
	now(d, "a", `{"io.modelcontextprotocol/tasks":{}}`, func(method string, _ jsonrpc.Message, _ *upstream.Request) (json.RawMessage, error) {
		if method == "tools/call" {
			return json.RawMessage(`{"resultType":"task","taskId":"t1"}`), nil
		}
		return json.RawMessage(`{"resultType":"complete","status":"working"}`), nil
	})
	r := traces(t, settings(t, "a"), Options{Dialer: d}, nil)
	c := r.caller(`{}`)
	c.tool("a__do", "")
	c.call("tasks/get", `{"taskId":"t1"}`)
	c.call("tasks/cancel", `{"taskId":"t1"}`)
	c.call("tasks/get", `{"taskId":"t2"}`)
	r.end()
	made := r.One("SERVER", "tools/call a__do")
	if made.Attr(telemetry.AttrResultType) != "task" {
		t.Errorf("%+v", made)
	}
	for _, name := range []string{"tasks/get", "tasks/cancel"} {
		for i, s := range r.Named(name) {
			if s.Kind != "SERVER" {
				continue
			}
			l := s.Linked(telemetry.LinkTask)
			if known := i < 2; known != (len(l) == 1 && l[0].ID == made.ID) {
				t.Errorf("%s %d links to %v", name, i, s.Links)
			}
		}
	}
}
