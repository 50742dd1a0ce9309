package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// stocked is a server of the older revisions with one of everything.
func stocked(d *linktest.Dialer, name string) *linktest.Server {
	s := d.Server(name)
	s.Capabilities = json.RawMessage(`{"tools":{},"prompts":{},"resources":{"subscribe":true},"logging":{},"completions":{},"experimental":{"vendor":{}}}`)
	s.OnRequest = func(_ context.Context, _ *linktest.Link, method string, _ *upstream.Request) (json.RawMessage, error) {
		switch method {
		case "tools/list":
			return json.RawMessage(`{"tools":[{"name":"do","inputSchema":{"type":"object"}}]}`), nil
		case "prompts/list":
			return json.RawMessage(`{"prompts":[{"name":"greet"}]}`), nil
		case "resources/list":
			return json.RawMessage(`{"resources":[{"uri":"file:///x","name":"x"}]}`), nil
		case "resources/templates/list":
			return json.RawMessage(`{"resourceTemplates":[{"uriTemplate":"db://{t}","name":"t"}]}`), nil
		}
		return nil, nil
	}
	return s
}

// requests are all that a client can send to an upstream, as an older client and as
// one of 2026-07-28 does: the method and its params, and what a policy is to see of
// it.
var requests = []struct {
	method, params         string
	target, exposed, about string // about is the definition's name
	modern, legacy         bool
}{
	{"tools/call", `{"name":"a__do","arguments":{}}`, "do", "a__do", "do", true, true},
	{"prompts/get", `{"name":"a__greet"}`, "greet", "a__greet", "greet", true, true},
	{"resources/read", `{"uri":"file:///x"}`, "file:///x", "file:///x", "file:///x", true, true},
	{"resources/read", `{"uri":"interlock://a/file%3A%2F%2F%2Fx"}`, "file:///x", "interlock://a/file%3A%2F%2F%2Fx", "file:///x", true, true},
	{"resources/read", `{"uri":"db://7"}`, "db://7", "db://7", "", true, true},
	{"completion/complete", `{"ref":{"type":"ref/prompt","name":"a__greet"},"argument":{"name":"n","value":"v"}}`, "greet", "a__greet", "greet", true, true},
	{"completion/complete", `{"ref":{"type":"ref/resource","uri":"db://{t}"},"argument":{"name":"t","value":"v"}}`, "db://{t}", "db://{t}", "db://{t}", true, true},
	{"resources/subscribe", `{"uri":"file:///x"}`, "file:///x", "file:///x", "file:///x", false, true},
	{"logging/setLevel", `{"level":"debug"}`, "", "", "", false, true},
	{"vendor/do", `{}`, "vendor/do", "vendor/do", "", true, true},
}

// Every request that goes to an upstream is decided on, and what is refused does not
// reach it.
func TestEveryRequestIsDecidedOn(t *testing.T) {
	for _, modern := range []bool{false, true} {
		d := new(linktest.Dialer)
		stocked(d, "a")
		rule := new(ruler)
		cfg := settings(t, "a")
		cfg.Upstreams[0].Tags = []string{"egress"}
		r := startWith(t, governed(cfg, "rule"), Options{Dialer: d, makePolicies: these(step("rule", rule))}).running()
		send := func(method, params string) reply {
			if modern {
				return r.caller(`{}`).call(method, params)
			}
			return r.connect(`{}`).post(fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q,"params":%s}`, method, params))
		}
		for _, q := range requests {
			if modern && !q.modern || !modern && !q.legacy {
				continue
			}
			name := fmt.Sprintf("modern %v: %s %s", modern, q.method, q.params)
			rule.before = nil
			before := d.Server("a").Asked(q.method)
			if got := send(q.method, q.params); got.rpcCode() != 0 {
				t.Errorf("%s: %s", name, got.body)
			}
			if d.Server("a").Asked(q.method) == before {
				t.Errorf("%s does not reach the upstream when it may", name)
			}
			c := rule.last()
			got := []string{c.Method, c.Upstream, c.Target, c.Exposed, strings.Join(c.Tags, ",")}
			if diff := cmp.Diff([]string{q.method, "a", q.target, q.exposed, "egress"}, got); diff != "" {
				t.Errorf("%s: the policy saw (-want +got)\n%s", name, diff)
			}
			if about := c.Definition; (about == nil) != (q.about == "") || about != nil && about.Name != q.about {
				t.Errorf("%s: its definition is %+v, want of %q", name, about, q.about)
			}
			if c.Principal == nil || (c.Session == "") != modern {
				t.Errorf("%s: principal %v, session %q", name, c.Principal, c.Session)
			}
			rule.before = denies
			before = d.Server("a").Asked(q.method)
			denied := send(q.method, q.params)
			has(t, name, denied.body, "not on my watch", `"reason":"denied"`, `"executed":"no"`)
			if code := denied.rpcCode(); q.method != "tools/call" && code != codeDenied {
				t.Errorf("%s: refused with code %d", name, code)
			}
			if d.Server("a").Asked(q.method) != before {
				t.Errorf("%s reaches the upstream though it is refused", name)
			}
		}
		if asked, done := rule.asked.Load(), rule.done.Load(); asked != done || asked == 0 {
			t.Errorf("asked %d times, told %d times that it is over", asked, done)
		}
		r.stop()
		if n := rule.closed.Load(); n != 1 {
			t.Errorf("closed %d times at the end", n)
		}
	}
}

// A subscription that may not end does not, and one of those that a client of
// 2026-07-28 asks for is left out.
func TestSubscriptionsAreDecidedOn(t *testing.T) {
	d := new(linktest.Dialer)
	s := stocked(d, "a")
	script := s.OnRequest
	s.OnRequest = func(ctx context.Context, l *linktest.Link, method string, r *upstream.Request) (json.RawMessage, error) {
		if method == "resources/list" {
			return json.RawMessage(`{"resources":[{"uri":"file:///x","name":"x"},{"uri":"file:///y","name":"y"}]}`), nil
		}
		return script(ctx, l, method, r)
	}
	rule := new(ruler)
	r := startWith(t, governed(settings(t, "a"), "rule"), Options{Dialer: d, makePolicies: these(step("rule", rule))}).running()
	c := r.connect(`{}`)
	subscribe := func(verb string) reply {
		return c.post(`{"jsonrpc":"2.0","id":1,"method":"resources/` + verb + `","params":{"uri":"file:///x"}}`)
	}
	if got := subscribe("subscribe"); got.rpcCode() != 0 {
		t.Fatal(got.body)
	}
	rule.before = denies
	if got := subscribe("unsubscribe"); got.rpcCode() != codeDenied {
		t.Errorf("an end that is refused: %s", got.body)
	}
	if n := d.Server("a").Asked("resources/unsubscribe"); n != 0 {
		t.Errorf("the upstream was told %d times", n)
	}
	rule.before = nil
	if got := subscribe("unsubscribe"); got.rpcCode() != 0 || d.Server("a").Asked("resources/unsubscribe") != 1 {
		t.Errorf("an end that may be: %s", got.body)
	}

	rule.before = func(_ context.Context, c *policy.Call) error {
		if c.Method == "subscriptions/listen" && c.Target == "file:///y" {
			return &policy.Denial{Reason: "not on my watch"}
		}
		return nil
	}
	modern := r.caller(`{}`)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	events := modern.events(ctx, modern.ask(ctx, modern.body("1", "subscriptions/listen", `{"notifications":{"resourceSubscriptions":["file:///x","file:///y"]}}`)))
	if got := modern.next(events); !strings.Contains(got, `"resourceSubscriptions":["file:///x"]`) {
		t.Errorf("agreed to %s", got)
	}
	cancel()
	for range events {
	}
}

// What a policy puts in the place of arguments is sent, and all else as it came.
func TestChangedArguments(t *testing.T) {
	for sent, want := range map[string]string{
		`{"name":"a__do","x":1.0,"arguments": {"n":9007199254740993} ,"y":2}`: `{"name":"do","x":1.0,"arguments": {"n":1, "m":2.50} ,"y":2}`,
		`{"x":1.0,"name":"a__do"}`: `{"arguments":{"n":1, "m":2.50},"x":1.0,"name":"do"}`,
	} {
		d := dialer("do")
		d.Server("a").OnRequest = echo
		rule := &ruler{before: func(_ context.Context, c *policy.Call) error {
			c.SetArguments([]byte("{\"n\":1,\n\"m\":2.50}"))
			return nil
		}}
		r := startWith(t, governed(settings(t, "a"), "rule"), Options{Dialer: d, makePolicies: these(step("rule", rule))}).running()
		got := r.connect(`{}`).post(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":` + sent + `}`)
		content := got.result(t)["content"].([]any)[0].(map[string]any)["text"].(string)
		if content != want {
			t.Errorf("of %s the server got\n%s, want\n%s", sent, content, want)
		}
		r.stop()
	}
	// Who changes what is not there to be changed has the request refused.
	d := new(linktest.Dialer)
	stocked(d, "a")
	rule := &ruler{before: func(_ context.Context, c *policy.Call) error { c.SetArguments([]byte(`{}`)); return nil }}
	r := startWith(t, governed(settings(t, "a"), "rule"), Options{Dialer: d, makePolicies: these(step("rule", rule))}).running()
	if got := r.connect(`{}`).post(`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///x"}}`); got.rpcCode() != codeDenied {
		t.Errorf("arguments where there are none: %s", got.body)
	}
}

// A client's headers mirror its own arguments: they are not sent with others.
func TestChangedArgumentsHaveNoOldHeaders(t *testing.T) {
	for _, change := range []bool{false, true} {
		d := new(linktest.Dialer)
		var params string
		now(d, "a", `{}`, func(_ string, _ jsonrpc.Message, r *upstream.Request) (json.RawMessage, error) {
			params = r.Params.Get("Mcp-Param-Tenant")
			return json.RawMessage(`{"resultType":"complete","content":[]}`), nil
		})
		rule := &ruler{before: func(_ context.Context, c *policy.Call) error {
			if change {
				c.SetArguments([]byte(`{"tenant":"***"}`))
			}
			return nil
		}}
		r := startWith(t, governed(settings(t, "a"), "rule"), Options{Dialer: d, makePolicies: these(step("rule", rule))}).running()
		c := r.caller(`{}`)
		req := c.ask(t.Context(), c.body("1", "tools/call", `{"name":"a__do","arguments":{"tenant":"s3cret"}}`))
		req.Header.Set("Mcp-Param-Tenant", "s3cret")
		if got := c.do(req); got.rpcCode() != 0 {
			t.Fatal(got.body)
		}
		if want := map[bool]string{false: "s3cret", true: ""}[change]; params != want {
			t.Errorf("changed %v: the header is %q, want %q", change, params, want)
		}
		r.stop()
	}
}

// What a policy puts in the place of a result goes out, and all else as it came.
func TestChangedAnswer(t *testing.T) {
	d := dialer("do")
	d.Server("a").OnRequest = func(_ context.Context, _ *linktest.Link, method string, _ *upstream.Request) (json.RawMessage, error) {
		if method == "tools/call" {
			return json.RawMessage(`{"content":[],"n":9007199254740993}`), nil
		}
		return nil, nil
	}
	rule := &ruler{after: func(_ context.Context, _ *policy.Call, a *policy.Answer) error {
		return a.Replace([]byte(strings.Replace(string(a.Result()), "[]", `[{"type":"text","text":"x"}]`, 1)))
	}}
	r := startWith(t, governed(settings(t, "a"), "rule"), Options{Dialer: d, makePolicies: these(step("rule", rule))}).running()
	if got, want := r.connect(`{}`).post(calls(`"7"`, "a__do", "{}")).body, `{"jsonrpc":"2.0","id":"7","result":{"content":[{"type":"text","text":"x"}],"n":9007199254740993}}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// A refusal says when to come back, and an answer that is withheld that it ran.
func TestDenials(t *testing.T) {
	for _, modern := range []bool{false, true} {
		d := dialer("do")
		d.Server("a").OnRequest = echo
		rule := new(ruler)
		r := startWith(t, governed(settings(t, "a"), "rule"), Options{Dialer: d, makePolicies: these(step("rule", rule))}).running()
		call := func() string {
			if modern {
				return r.caller(`{}`).tool("a__do", "").body
			}
			return r.connect(`{}`).post(calls("1", "a__do", "{}")).body
		}
		rule.before = func(context.Context, *policy.Call) error {
			return &policy.Denial{Reason: "it was called too often", RetryAfter: 1500 * time.Millisecond}
		}
		has(t, "later", call(), `denied by policy rule: it was called too often. The request was NOT executed. Retry after 1.5s.`,
			`"isError":true`, `"interlock/error":{"source":"gateway","reason":"denied","upstream":"a","executed":"no","retryAfterMs":1500}`)
		rule.before = func(context.Context, *policy.Call) error { return errors.New("s3cret trouble") }
		got := call()
		has(t, "undecided", got, `denied by policy rule: the policy could not decide.`, `"executed":"no"`)
		if strings.Contains(got, "s3cret") {
			t.Errorf("a policy's own trouble is told: %s", got)
		}
		rule.before = nil
		rule.after = func(context.Context, *policy.Call, *policy.Answer) error {
			return &policy.Denial{Reason: "it says too much"}
		}
		has(t, "withheld", call(), `it says too much. The request WAS executed; its answer is withheld.`, `"executed":"yes"`)
		r.stop()
	}
}

// Who cancelled is told nothing, whichever policy was asked at that time.
func TestNoDenialAfterACancel(t *testing.T) {
	for _, phase := range []policy.Phase{policy.PhaseBefore, policy.PhaseAfter} {
		synctest.Test(t, func(t *testing.T) {
			d := dialer("do")
			d.Server("a").OnRequest = echo
			rule := new(ruler)
			wait := func(ctx context.Context) error {
				<-ctx.Done()
				return &policy.Denial{Reason: "too late"}
			}
			if phase == policy.PhaseBefore {
				rule.before = func(ctx context.Context, _ *policy.Call) error { return wait(ctx) }
			} else {
				rule.after = func(ctx context.Context, _ *policy.Call, _ *policy.Answer) error { return wait(ctx) }
			}
			r := startWith(t, governed(settings(t, "a"), "rule"), Options{Dialer: d, makePolicies: these(step("rule", rule))}).running()
			p := r.pipe(t)
			p.say(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`)
			p.hear()
			p.say(calls("1", "a__do", "{}"))
			synctest.Wait()
			p.say(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`)
			synctest.Wait()
			p.say(`{"jsonrpc":"2.0","id":2,"method":"ping"}`)
			if got := p.hear(); got != `{"jsonrpc":"2.0","id":2,"result":{}}` {
				t.Errorf("%s: the cancelled call is answered: %s", phase, got)
			}
			if n := rule.done.Load(); n != 1 {
				t.Errorf("%s: told %d times that it is over", phase, n)
			}
		})
	}
}

// The retry of a call that is kept open is decided on; the call's answer is, too,
// when it comes. One that is refused leaves the call where it is.
func TestRetriesAreDecidedOn(t *testing.T) {
	f, runs := asks(t, formQuestion)
	d := dialer("do")
	d.Server("a").OnRequest = askingTool(f)
	rule := &ruler{
		before: func(_ context.Context, c *policy.Call) error {
			if strings.Contains(string(c.Message.InputResponses.Of(c.Message.Raw)), "forbidden") {
				return &policy.Denial{Reason: "it brings a word that is not spoken here"}
			}
			return nil
		},
		after: func(_ context.Context, _ *policy.Call, a *policy.Answer) error {
			return a.Replace([]byte(`{"content":[],"seen":true}`))
		},
	}
	r := startWith(t, governed(settings(t, "a"), "rule"), Options{Dialer: d, makePolicies: these(step("rule", rule))}).running()
	c := r.caller(`{"elicitation":{}}`)
	_, state := c.tool("a__do", "").required(t)
	if rule.last().Resumed {
		t.Error("the first request is told as a retry")
	}
	has(t, "refused", c.tool("a__do", retry(state, `{"1":{"action":"accept","content":{"w":"forbidden"}}}`)).body, "not spoken here", `"reason":"denied"`)
	if !rule.last().Resumed {
		t.Error("the retry is not told as one")
	}
	has(t, "the answer", c.tool("a__do", retry(state, `{"1":{"action":"accept"}}`)).body, `"seen":true`)
	if n := runs.Load(); n != 1 {
		t.Errorf("the tool ran %d times", n)
	}
	if asked, done := rule.asked.Load(), rule.done.Load(); asked != 3 || done != 3 {
		t.Errorf("asked %d times, told %d times that it is over", asked, done)
	}
}

// An operator's call is decided on, as a principal of its own.
func TestOperatorsCallIsDecidedOn(t *testing.T) {
	d := dialer("do")
	d.Server("a").OnRequest = echo
	rule := new(ruler)
	r := startWith(t, governed(settings(t, "a"), "rule"), Options{Dialer: d, makePolicies: these(step("rule", rule))}).running()
	if _, err := r.Call(t.Context(), "a__do", nil); err != nil {
		t.Fatal(err)
	}
	if p := rule.last().Principal; p.Issuer != "interlock" || p.Subject != "operator" || p.String() != "operator" {
		t.Errorf("the policy saw %+v", p)
	}
	rule.before = denies
	got, err := r.Call(t.Context(), "a__do", nil)
	if err != nil || !strings.Contains(string(got), "not on my watch") {
		t.Errorf("refused: %s, %v", got, err)
	}
}
