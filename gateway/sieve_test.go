package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// screened runs a gateway in front of one server whose tool does f, with a policy
// that looks at what servers send.
func screened(t *testing.T, received func(context.Context, *policy.ServerMessage) error, f func(ctx context.Context, r *upstream.Request) (json.RawMessage, error)) (*rig, *customs) {
	t.Helper()
	d := dialer("do")
	d.Server("a").OnRequest = askingTool(f)
	c := &customs{received: received}
	r := startWith(t, governed(settings(t, "a"), "customs"), Options{Dialer: d, makePolicies: these(step("customs", c))})
	r.dialer = d
	return r.running(), c
}

func progress(n int, text string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"p","progress":%d,"message":%q}}`, n, text)
}

// Of what a server says during a call the client gets what policies let pass, as
// they made it, in its order and before the answer.
func TestWhatServersSayIsDecidedOn(t *testing.T) {
	for _, modern := range []bool{false, true} {
		var seen []policy.ServerMessage
		r, _ := screened(t, func(ctx context.Context, m *policy.ServerMessage) error {
			seen = append(seen, *m)
			return censor(ctx, m)
		}, func(_ context.Context, q *upstream.Request) (json.RawMessage, error) {
			for n, text := range []string{"first", "forbidden", "foul"} {
				q.Peer.Notified(serverMessage(t, progress(n, text)))
			}
			q.Peer.Notified(serverMessage(t, `{"jsonrpc":"2.0","method":"vendor/said","params":{"text":"foul"}}`))
			return json.RawMessage(`{"content":[]}`), nil
		})
		c := r.connect(`{}`)
		var events <-chan jsonrpc.Event
		if modern {
			m := r.caller(`{}`)
			m.meta = `,"progressToken":"p"`
			events = c.events(t.Context(), m.ask(t.Context(), m.body("1", "tools/call", `{"name":"a__do","arguments":{}}`)))
		} else {
			events = c.events(t.Context(), c.request(t.Context(), "POST", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a__do","_meta":{"progressToken":"p"}}}`))
		}
		for _, want := range []string{progress(0, "first"), progress(2, "fine"), `{"jsonrpc":"2.0","method":"vendor/said","params":{"text":"fine"}}`} {
			if got := c.next(events); got != want {
				t.Errorf("modern %v: the client got %s, want %s", modern, got, want)
			}
		}
		if got := c.next(events); !strings.Contains(got, `"result"`) {
			t.Errorf("modern %v: then came %s", modern, got)
		}
		if len(seen) != 4 || seen[0].Call == nil || seen[0].Call.Target != "do" || seen[0].Upstream != "a" || seen[0].Principal == nil || (seen[0].Session == "") != modern {
			t.Errorf("modern %v: the policy saw %+v", modern, seen)
		}
		r.stop()
	}
}

// A question that is refused is answered with the refusal, and the client does not
// hear of it; one that is changed is put as it was changed.
func TestQuestionsAreDecidedOn(t *testing.T) {
	question := func(text string) string {
		return `{"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{"message":"` + text + `","requestedSchema":{"type":"object"}}}`
	}
	for _, modern := range []bool{false, true} {
		answers := make(chan string, 2)
		r, _ := screened(t, censor, func(ctx context.Context, q *upstream.Request) (json.RawMessage, error) {
			ask, got := asked(t, question("forbidden"))
			q.Peer.Asked(ask)
			answers <- <-got
			ask, got = asked(t, question("foul"))
			q.Peer.Asked(ask)
			select {
			case answers <- <-got:
				return json.RawMessage(`{"content":[]}`), nil
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		})
		var put string
		if modern {
			c := r.caller(`{"elicitation":{}}`)
			all, state := c.tool("a__do", "").required(t)
			put = all["1"]
			if len(all) != 1 {
				t.Errorf("asked %v", all)
			}
			has(t, "the answer", c.tool("a__do", retry(state, `{"1":{"action":"accept"}}`)).body, `"content":[]`)
		} else {
			c := r.connect(`{"elicitation":{}}`)
			events := c.events(t.Context(), c.request(t.Context(), "POST", calls("1", "a__do", "{}")))
			put = c.next(events)
			c.post(`{"jsonrpc":"2.0","id":1,"result":{"action":"accept"}}`)
			if got := c.next(events); !strings.Contains(got, `"content":[]`) {
				t.Errorf("the answer is %s", got)
			}
		}
		if !strings.Contains(put, `"message":"fine"`) {
			t.Errorf("modern %v: the client was asked %s", modern, put)
		}
		if got := <-answers; !strings.Contains(got, `"id":"q","error":{"code":-33003`) || !strings.Contains(got, "it has a word that is not spoken here") {
			t.Errorf("modern %v: the server was told %s", modern, got)
		}
		<-answers
		r.stop()
	}
}

// What a server of 2026-07-28 asks for in its answer is decided on like any
// question. One that is refused ends the call: there is no other way to refuse it.
func TestInputRequestsAreDecidedOn(t *testing.T) {
	d := new(linktest.Dialer)
	text := "foul"
	now(d, "a", `{}`, func(string, jsonrpc.Message, *upstream.Request) (json.RawMessage, error) {
		return json.RawMessage(`{"resultType":"input_required","x":1.0,"inputRequests":{"q":{"method":"elicitation/create","params":{"message":"` + text + `"}},"r":{"method":"roots/list"}},"requestState":"s"}`), nil
	})
	r := startWith(t, governed(settings(t, "a"), "customs"), Options{Dialer: d, makePolicies: these(step("customs", &customs{received: censor}))}).running()
	c := r.caller(`{"elicitation":{},"roots":{}}`)
	has(t, "changed", c.tool("a__do", "").body, `"x":1.0,"inputRequests":{"q":{"method":"elicitation/create","params":{"message":"fine"}},"r":{"method":"roots/list"}},"requestState":"`)
	text = "forbidden"
	got := c.tool("a__do", "").body
	has(t, "refused", got, "it has a word that is not spoken here", "UNKNOWN whether the request was executed", `"executed":"unknown"`)
	if strings.Contains(got, "input_required") {
		t.Errorf("the client is asked all the same: %s", got)
	}
}

// What belongs to no call is decided on as well, for whom it is.
func TestStraysAreDecidedOn(t *testing.T) {
	d := dialer("do")
	var seen []policy.ServerMessage
	seal := make(chan struct{}, 10)
	c := &customs{received: func(ctx context.Context, m *policy.ServerMessage) error {
		seen = append(seen, *m)
		defer func() { seal <- struct{}{} }()
		return censor(ctx, m)
	}}
	cfg := settings(t, "a=http")
	r := startWith(t, governed(cfg, "customs"), Options{Dialer: d, makePolicies: these(step("customs", c))}).running()
	client := r.connect(`{"elicitation":{}}`)
	events := client.listen(t.Context())
	client.post(calls("1", "a__do", "{}")) // makes the session's own link
	var own *linktest.Link
	for _, l := range d.Server("a").Links() {
		if l.Dial.Exclusive {
			own = l
		}
	}
	if own == nil {
		t.Fatal("the session has no link of its own")
	}
	say := func(raw string) { own.Dial.Inbox.Notified(serverMessage(t, raw)); <-seal }
	say(`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"error","data":"forbidden"}}`)
	say(`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"error","data":"foul"}}`)
	if got := client.next(events); got != `{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"error","data":"fine"}}` {
		t.Errorf("the client got %s", got)
	}
	if seen[0].Session == "" || seen[0].Principal == nil || seen[0].Call != nil {
		t.Errorf("the policy saw %+v", seen[0])
	}
	q, got := asked(t, `{"jsonrpc":"2.0","id":3,"method":"elicitation/create","params":{"message":"forbidden"}}`)
	own.Dial.Inbox.Asked(q)
	if a := <-got; !strings.Contains(a, `"id":3,"error":{"code":-33003`) {
		t.Errorf("the server was told %s", a)
	}
	q, got = asked(t, `{"jsonrpc":"2.0","id":4,"method":"elicitation/create","params":{"message":"foul"}}`)
	own.Dial.Inbox.Asked(q)
	if a := client.next(events); !strings.Contains(a, `"message":"fine"`) {
		t.Errorf("the client was asked %s", a)
	}
	client.post(`{"jsonrpc":"2.0","id":1,"result":{"action":"accept"}}`)
	if a := <-got; !strings.Contains(a, `"id":4,"result":{"action":"accept"}`) {
		t.Errorf("the server was told %s", a)
	}
}

// A policy that takes its time keeps the server's reader, and so other calls,
// waiting for nothing; what comes too fast is dropped and counted.
func TestSlowPoliciesHoldUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release, began := make(chan struct{}), make(chan struct{}, 2*maxSifted)
		r, _ := screened(t, func(ctx context.Context, _ *policy.ServerMessage) error {
			began <- struct{}{}
			select {
			case <-release:
			case <-ctx.Done():
			}
			return nil
		}, func(_ context.Context, q *upstream.Request) (json.RawMessage, error) {
			if strings.Contains(string(q.Message.Raw), "quick") {
				return json.RawMessage(`{"content":[]}`), nil
			}
			for n := range maxSifted + 11 { // one is with the policy
				q.Peer.Notified(serverMessage(t, progress(n, "x")))
				if n == 0 {
					<-began
				}
			}
			return json.RawMessage(`{"content":[]}`), nil
		})
		c := r.connect(`{}`)
		answered := make(chan string, 1)
		go func() { answered <- c.post(calls("1", "a__do", `{}`)).body }()
		synctest.Wait()
		if got := r.connect(`{}`).post(calls("2", "a__do", `{"quick":1}`)).body; !strings.Contains(got, `"content":[]`) {
			t.Errorf("another call: %s", got)
		}
		select {
		case got := <-answered:
			t.Errorf("the answer comes before what the server said: %s", got)
		default:
		}
		close(release)
		if got := <-answered; !strings.Contains(got, `"content":[]`) {
			t.Errorf("the answer is %s", got)
		}
		if n := r.messagesDropped.Load(); n != 10 {
			t.Errorf("%d dropped, want 10", n)
		}
	})
}
