package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

const formQuestion = `{"jsonrpc":"2.0","id":"srv-9007199254740993","method":"elicitation/create","params":{"message":"sure?","x":1.0,"requestedSchema":{"type":"object"}}}`

// asks has a server's tool ask the questions at once and answer with the answers.
func asks(t *testing.T, questions ...string) (f func(context.Context, *upstream.Request) (json.RawMessage, error), runs *atomic.Int32) {
	t.Helper()
	runs = new(atomic.Int32)
	return func(ctx context.Context, r *upstream.Request) (json.RawMessage, error) {
		runs.Add(1)
		var answers []chan string
		for _, raw := range questions {
			q, got := asked(t, raw)
			answers = append(answers, got)
			r.Peer.Asked(q)
		}
		var all []string
		for _, got := range answers {
			select {
			case a := <-got:
				all = append(all, a)
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		}
		return json.RawMessage(`{"content":[{"type":"text","text":` + string(jsonrpc.AppendString(nil, strings.Join(all, "\n"))) + `}]}`), nil
	}, runs
}

func TestParkedCall(t *testing.T) {
	f, runs := asks(t, formQuestion)
	r := tool(t, f)
	c := r.caller(`{"elicitation":{}}`)
	first := c.tool("a__do", "")
	if first.status != 200 || first.header.Get("Content-Type") != "application/json" {
		t.Errorf("%d %v", first.status, first.header)
	}
	questions, state := first.required(t)
	if d := questions["1"]; len(questions) != 1 || d != `{"method":"elicitation/create","params":{"message":"sure?","x":1.0,"requestedSchema":{"type":"object"}}}` {
		t.Errorf("asked %v", questions)
	}
	got := c.do(c.ask(t.Context(), c.body(`"other"`, "tools/call", `{"name":"a__do","arguments":{}`+retry(state, `{"1":{"action":"accept","content":{"n":9007199254740993}},"more":{}}`)+`}`)))
	has(t, "the answer", got.body, `"id":"other","result":{"resultType":"complete"`, `srv-9007199254740993\"`, `\"result\":{\"action\":\"accept\",\"content\":{\"n\":9007199254740993}}`)
	if n := runs.Load(); n != 1 {
		t.Errorf("the tool ran %d times", n)
	}
}

// Whatever is wrong with a state, the text is the same, the tool does not run again,
// and the right retry still finds its call.
func TestStatesThatAreRefused(t *testing.T) {
	f, runs := asks(t, formQuestion)
	r := tool(t, f)
	c := r.caller(`{"elicitation":{}}`)
	_, state := c.tool("a__do", "").required(t)
	_, other := c.tool("a__do", "").required(t)
	ran := runs.Load()
	yes := `{"1":{"action":"accept"}}`
	texts := make(map[string]bool)
	refused := func(name string, got reply) {
		t.Helper()
		if got.rpcCode() != -32602 || !strings.Contains(got.body, "requestState") {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
		texts[got.body] = true
	}
	change := func(i int) string {
		b := []byte(state)
		b[i] ^= 1
		return string(b)
	}
	refused("another byte at its start", c.tool("a__do", retry(change(0), yes)))
	refused("another byte in it", c.tool("a__do", retry(change(len(state)/2), yes)))
	refused("cut", c.tool("a__do", retry(state[:len(state)-8], yes)))
	refused("empty", c.tool("a__do", retry("", yes)))
	refused("nonsense", c.tool("a__do", retry("não", yes)))
	refused("a session's id", c.tool("a__do", retry(r.connect(`{}`).session, yes)))
	refused("other arguments", c.call("tools/call", `{"name":"a__do","arguments":{"x":1}`+retry(state, yes)+`}`))
	refused("another method", c.call("resources/read", `{"uri":"interlock://a/x","name":"a__do"`+retry(state, yes)+`}`))
	if len(texts) != 1 {
		t.Errorf("told apart: %v", texts)
	}
	for _, bad := range []string{`[]`, `{"1":true}`, `1`} {
		if got := c.tool("a__do", retry(state, bad)); got.rpcCode() != -32602 || !strings.Contains(got.body, "must be an object") {
			t.Errorf("responses %s: %s", bad, got.body)
		}
	}
	if n := runs.Load(); n != ran {
		t.Errorf("the tool ran %d times more", n-ran)
	}
	for name, change := range map[string]func(*requestState){
		"sealed for another principal": func(s *requestState) { s.principal = "x" },
		"sealed for another method":    func(s *requestState) { s.method = "prompts/get" },
		"sealed for another upstream":  func(s *requestState) { s.upstream = "b" },
		"sealed for another time":      func(s *requestState) { s.expires = time.Now() },
	} {
		s, err := r.seal.openState(state)
		if err != nil {
			t.Fatal(err)
		}
		change(&s)
		refused(name, c.tool("a__do", retry(r.seal.sealState(s), yes)))
	}
	// What is not answered is asked again, under a new state.
	_, state = c.tool("a__do", retry(state, `{}`)).required(t)
	// Members in another order, and white space, are still the same request.
	good := c.call("tools/call", `{ "inputResponses":`+yes+`,"requestState":"`+state+`","arguments": { },"name":"\u0061__do"}`)
	has(t, "the retry", good.body, `"resultType":"complete"`, `accept`)
	refused("replayed", c.tool("a__do", retry(state, yes)))
	stranger := r.caller(`{"elicitation":{}}`)
	stranger.path = "/mcp/u/a"
	refused("in another view", stranger.call("tools/call", `{"name":"do","arguments":{}`+retry(other, yes)+`}`))
	has(t, "the other", c.tool("a__do", retry(other, yes)).body, `"resultType":"complete"`)
}

// Questions that come together are one round; what is not answered is asked again;
// and a later question is another round.
func TestRounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := tool(t, func(ctx context.Context, q *upstream.Request) (json.RawMessage, error) {
			ask := func(raw string) chan string {
				question, got := asked(t, raw)
				q.Peer.Asked(question)
				return got
			}
			hear := func(got chan string) string {
				select {
				case a := <-got:
					return a
				case <-ctx.Done(): // of a test that failed
					return ""
				}
			}
			form := ask(formQuestion)
			sample := ask(`{"jsonrpc":"2.0","id":2,"method":"sampling/createMessage","params":{"messages":[],"maxTokens":1}}`)
			roots := ask(`{"jsonrpc":"2.0","id":3,"method":"roots/list"}`)
			all := hear(form) + hear(sample) + hear(roots)
			all += hear(ask(`{"jsonrpc":"2.0","id":4,"method":"elicitation/create","params":{"mode":"url","elicitationId":"e-1","url":"https://x"}}`))
			return json.RawMessage(`{"content":[{"type":"text","text":` + string(jsonrpc.AppendString(nil, all)) + `}]}`), nil
		})
		c := r.caller(`{"elicitation":{"form":{},"url":{}},"sampling":{},"roots":{}}`)
		questions, state := c.tool("a__do", "").required(t)
		if len(questions) != 3 || questions["2"] != `{"method":"sampling/createMessage","params":{"messages":[],"maxTokens":1}}` || questions["3"] != `{"method":"roots/list"}` {
			t.Errorf("first asked %v", questions)
		}
		questions, state = c.tool("a__do", retry(state, `{"1":{"action":"accept"},"3":{"roots":[]}}`)).required(t)
		if len(questions) != 1 || questions["2"] == "" {
			t.Errorf("what was not answered is asked as %v", questions)
		}
		questions, state = c.tool("a__do", retry(state, `{"2":{"role":"assistant"}}`)).required(t)
		if len(questions) != 1 || questions["4"] != `{"method":"elicitation/create","params":{"mode":"url","url":"https://x"}}` {
			t.Errorf("last asked %v", questions)
		}
		got := c.tool("a__do", retry(state, `{"4":{"action":"accept"}}`))
		has(t, "the answer", got.body, `\"id\":\"srv-9007199254740993\"`, `\"id\":2,\"result\":{\"role\"`, `\"id\":3,\"result\":{\"roots\"`, `\"id\":4`)
	})
}

// What a client cannot do it is not asked, the server hears so at once, and the
// client learns what it would have had to declare.
func TestUndeclaredCapabilities(t *testing.T) {
	for _, c := range []struct{ caps, question, needs string }{
		{`{}`, formQuestion, `{"elicitation":{"form":{}}}`},
		{`{"roots":{}}`, formQuestion, `{"elicitation":{"form":{}}}`},
		{`{"elicitation":{"url":{}}}`, formQuestion, `{"elicitation":{"form":{}}}`},
		{`{"elicitation":{}}`, `{"jsonrpc":"2.0","id":1,"method":"elicitation/create","params":{"mode":"url","url":"x:y"}}`, `{"elicitation":{"url":{}}}`},
		{`{"elicitation":{}}`, `{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage","params":{}}`, `{"sampling":{}}`},
		{`{"sampling":{}}`, `{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage","params":{"tools":[]}}`, `{"sampling":{"tools":{}}}`},
		{`{"sampling":{}}`, `{"jsonrpc":"2.0","id":1,"method":"roots/list"}`, `{"roots":{}}`},
	} {
		for _, honest := range []bool{true, false} {
			r := tool(t, func(ctx context.Context, q *upstream.Request) (json.RawMessage, error) {
				question, got := asked(t, c.question)
				q.Peer.Asked(question)
				if a := <-got; !strings.Contains(a, `"error":{"code":-32601`) {
					t.Errorf("%s with %s: the server got %s", c.question, c.caps, a)
				}
				if honest {
					return json.RawMessage(`{"content":[{"type":"text","text":"no way"}],"isError":true}`), nil
				}
				return json.RawMessage(`{"content":[]}`), nil
			})
			got := r.caller(c.caps).tool("a__do", "")
			if !honest { // it did without
				has(t, c.caps, got.body, `"resultType":"complete"`)
				r.stop()
				continue
			}
			if got.status != 400 || got.rpcCode() != -32021 {
				t.Errorf("%s with %s: %d %s", c.question, c.caps, got.status, got.body)
			}
			has(t, c.caps, got.body, `"requiredCapabilities":`+c.needs, "no way")
			r.stop()
		}
	}
}

// After the retry the server's progress goes to the retry, under its token, and a
// retry whose connection is closed cancels the call.
func TestParkedCallGoesOnWithTheRetry(t *testing.T) {
	ended := make(chan error, 1)
	r := tool(t, func(ctx context.Context, q *upstream.Request) (json.RawMessage, error) {
		question, got := asked(t, formQuestion)
		q.Peer.Asked(question)
		<-got
		q.Peer.Notified(serverMessage(t, `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"old","progress":7}}`))
		<-ctx.Done()
		ended <- context.Cause(ctx)
		return nil, context.Cause(ctx)
	})
	c := r.caller(`{"elicitation":{}}`)
	c.meta = `,"progressToken":"old"`
	_, state := c.tool("a__do", "").required(t)
	c.meta = `,"progressToken":"new"`
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req := c.ask(ctx, c.body("2", "tools/call", `{"name":"a__do","arguments":{}`+retry(state, `{"1":{"action":"decline"}}`)+`}`))
	events := c.events(ctx, req)
	if got := c.next(events); got != `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"new","progress":7}}` {
		t.Errorf("progress %s", got)
	}
	cancel()
	if err := <-ended; !errors.Is(err, errClientGone) {
		t.Errorf("ended with %v", err)
	}
}

// A client that never comes back costs its upstream five minutes, and no more.
func TestParkedCallExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		f, _ := asks(t, formQuestion)
		r := tool(t, func(ctx context.Context, q *upstream.Request) (json.RawMessage, error) {
			res, err := f(ctx, q)
			ended <- err
			return res, err
		})
		c := r.caller(`{"elicitation":{}}`)
		begun := time.Now()
		_, state := c.tool("a__do", "").required(t)
		if err := <-ended; !errors.Is(err, errParkTime) {
			t.Errorf("ended with %v", err)
		}
		if took := time.Since(begun).Round(time.Second); took != parkTTL {
			t.Errorf("after %v", took)
		}
		if got := c.tool("a__do", retry(state, `{"1":{"action":"accept"}}`)); got.rpcCode() != -32602 {
			t.Errorf("too late: %s", got.body)
		}
		_, state = c.tool("a__do", "").required(t)
		time.Sleep(parkTTL - time.Second)
		has(t, "in time", c.tool("a__do", retry(state, `{"1":{"action":"accept"}}`)).body, `"resultType":"complete"`)
		<-ended
	})
}

// An answer that comes while nobody waits is kept for the retry: the server may
// have given up its question.
func TestAnswerWhileParked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := tool(t, func(_ context.Context, q *upstream.Request) (json.RawMessage, error) {
			gone := make(chan struct{})
			question, _ := asked(t, formQuestion)
			question.Gone = gone
			q.Peer.Asked(question)
			time.AfterFunc(10*gather, func() { close(gone) })
			<-gone
			return json.RawMessage(`{"content":[],"late":true}`), nil
		})
		c := r.caller(`{"elicitation":{}}`)
		_, state := c.tool("a__do", "").required(t)
		time.Sleep(20 * gather)
		has(t, "the answer", c.tool("a__do", retry(state, `{"1":{"action":"accept"}}`)).body, `"late":true`)
	})
}

// A question that the server takes back at once is put to nobody.
func TestQuestionTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := tool(t, func(_ context.Context, q *upstream.Request) (json.RawMessage, error) {
			gone := make(chan struct{})
			close(gone)
			question, _ := asked(t, formQuestion)
			question.Gone = gone
			q.Peer.Asked(question)
			over := make(chan struct{})
			time.AfterFunc(5*gather, func() { close(over) })
			<-over
			return json.RawMessage(`{"content":[]}`), nil
		})
		has(t, "the answer", r.caller(`{"elicitation":{}}`).tool("a__do", "").body, `"resultType":"complete"`)
	})
}

// Parked calls are bounded, and end when the gateway drains: no retry can come.
func TestParkedCallsAreBoundedAndDrained(t *testing.T) {
	ended := make(chan error, 1)
	f, _ := asks(t, formQuestion)
	r := tool(t, func(ctx context.Context, q *upstream.Request) (json.RawMessage, error) {
		res, err := f(ctx, q)
		if err != nil {
			ended <- err
		}
		return res, err
	})
	c := r.caller(`{"elicitation":{}}`)
	c.tool("a__do", "").required(t)
	r.parks.mu.Lock()
	for i := range maxParked - 1 {
		r.parks.byName[fmt.Sprint(i)] = &parked{cancel: func(error) {}}
	}
	r.parks.mu.Unlock()
	has(t, "one too many", c.tool("a__do", "").body, `"resultType":"complete"`, "too many calls wait")
	r.Drain(t.Context())
	if err := <-ended; !errors.Is(err, errDraining) {
		t.Errorf("ended with %v", err)
	}
}

// -32042 of an older server is a page to visit before the call is made again.
func TestURLElicitationRequired(t *testing.T) {
	var calls atomic.Int32
	r := tool(t, func(_ context.Context, q *upstream.Request) (json.RawMessage, error) {
		sent := string(q.Edits.Apply(nil, q.Message.Raw))
		if strings.Contains(sent, "requestState") || strings.Contains(sent, "inputResponses") {
			t.Errorf("the server is sent %s", sent)
		}
		if calls.Add(1) == 1 {
			return nil, &upstream.ServerError{Code: -32042, Raw: json.RawMessage(
				`{"code":-32042,"message":"sign in","data":{"elicitations":[{"mode":"url","elicitationId":"e","url":"https://x","message":"sign in"}]}}`)}
		}
		return json.RawMessage(`{"content":[]}`), nil
	})
	plain := r.caller(`{"elicitation":{}}`).tool("a__do", "")
	if plain.status != 400 || plain.rpcCode() != -32021 || !strings.Contains(plain.body, `{"elicitation":{"url":{}}}`) {
		t.Errorf("without url: %d %s", plain.status, plain.body)
	}
	calls.Store(0)
	c := r.caller(`{"elicitation":{"url":{}}}`)
	questions, state := c.tool("a__do", "").required(t)
	if questions["1"] != `{"method":"elicitation/create","params":{"mode":"url","url":"https://x","message":"sign in"}}` {
		t.Errorf("asked %v", questions)
	}
	no := c.tool("a__do", retry(state, `{"1":{"action":"decline"}}`))
	has(t, "declined", no.body, `"isError":true`, `"reason":"declined"`, `"executed":"no"`)
	if n := calls.Load(); n != 1 {
		t.Errorf("%d calls", n)
	}
	has(t, "accepted", c.tool("a__do", retry(state, `{"1":{"action":"accept"}}`)).body, `"resultType":"complete"`)
}
