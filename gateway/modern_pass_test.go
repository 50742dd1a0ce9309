package gateway

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// now scripts a server of 2026-07-28 that answers as f does.
func now(d *linktest.Dialer, name, extensions string, f func(method string, params jsonrpc.Message, r *upstream.Request) (json.RawMessage, error)) {
	s := d.Server(name)
	s.Version, s.Tools = "2026-07-28", []string{"do"}
	s.Capabilities = json.RawMessage(`{"tools":{"listChanged":true},"resources":{},"extensions":` + extensions + `}`)
	s.OnRequest = func(_ context.Context, _ *linktest.Link, method string, r *upstream.Request) (json.RawMessage, error) {
		if f == nil || method == "tools/list" || strings.HasPrefix(method, "resources/") {
			return nil, nil
		}
		m, err := jsonrpc.ParseServer(r.Edits.Apply(nil, r.Message.Raw))
		if err != nil {
			return nil, err
		}
		return f(method, m, r)
	}
}

// Between a client and a server of the same revision nothing changes but the state,
// which is sealed on its way out and itself again on its way back.
func TestModernBothSides(t *testing.T) {
	for _, state := range []string{`"up-state"`, `""`, `"\u00fc\/ \ud83d\ude00"`} {
		d := new(linktest.Dialer)
		var sent []string
		now(d, "a", `{}`, func(_ string, m jsonrpc.Message, r *upstream.Request) (json.RawMessage, error) {
			if !r.Modern || r.Params.Get("Mcp-Param-Tenant") != "t" || len(r.Params) != 1 {
				t.Errorf("the link is told modern %v, %v", r.Modern, r.Params)
			}
			sent = append(sent, string(m.Params.Of(m.Raw)))
			if len(sent) == 1 {
				return json.RawMessage(`{"resultType":"input_required","inputRequests":{"q":{"method":"elicitation/create","params":{"n":1.0}}},"x":9007199254740993,"requestState":` + state + `}`), nil
			}
			return json.RawMessage(`{"resultType":"complete","content":[],"structuredContent":[1.0]}`), nil
		})
		r := start(t, settings(t, "a"), d).running()
		c := r.caller(`{"elicitation":{}}`)
		post := func(more string) reply {
			req := c.ask(t.Context(), c.body("1", "tools/call", `{"name":"a__do","arguments":{}`+more+`}`))
			req.Header.Set("Mcp-Param-Tenant", "t")
			return c.do(req)
		}
		got := post("")
		has(t, "asked", got.body, `"id":1,"result":{"resultType":"input_required","inputRequests":{"q":{"method":"elicitation/create","params":{"n":1.0}}},"x":9007199254740993,"requestState":"`)
		_, sealed := got.required(t)
		if sealed == "" || strings.Contains(sealed, "up-state") {
			t.Errorf("the state is %q", sealed)
		}
		if got := c.tool("a__do", `,"x":1`+retry(sealed, `{}`)); got.rpcCode() != -32602 {
			t.Errorf("for another request: %s", got.body)
		}
		got = post(retry(sealed, `{"q":{"action":"accept"}}`))
		if want := `{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","content":[],"structuredContent":[1.0]}}`; got.body != want {
			t.Errorf("the answer is %s", got.body)
		}
		if len(sent) != 2 || !strings.HasSuffix(sent[1], `"name":"do","arguments":{},"requestState":`+state+`,"inputResponses":{"q":{"action":"accept"}}}`) {
			t.Errorf("the server was sent %v", sent)
		}
		r.stop()
	}
}

// The server's own state is not good for ever.
func TestPassedStateExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		now(d, "a", `{}`, func(string, jsonrpc.Message, *upstream.Request) (json.RawMessage, error) {
			return json.RawMessage(`{"resultType":"input_required","requestState":"s"}`), nil
		})
		r := start(t, settings(t, "a"), d).running()
		c := r.caller(`{}`)
		_, state := c.tool("a__do", "").required(t)
		time.Sleep(stateTTL - time.Second)
		c.tool("a__do", retry(state, `{}`)).required(t)
		time.Sleep(time.Second)
		if got := c.tool("a__do", retry(state, `{}`)); got.rpcCode() != -32602 {
			t.Errorf("after an hour: %s", got.body)
		}
	})
}

// A legacy client learns in its own words what only 2026-07-28 can say.
func TestLegacyClientOfAModernServer(t *testing.T) {
	d := new(linktest.Dialer)
	var answer json.RawMessage
	var refusal error
	now(d, "a", `{}`, func(_ string, _ jsonrpc.Message, r *upstream.Request) (json.RawMessage, error) {
		if r.Modern || string(r.Client.Capabilities) != `{"roots":{}}` || r.Client.LogLevel != "error" {
			t.Errorf("the link is told %v %s %s", r.Modern, r.Client.Capabilities, r.Client.LogLevel)
		}
		return answer, refusal
	})
	r := start(t, settings(t, "a=http"), d).running()
	c := r.connect(`{"roots":{}}`)
	c.post(`{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"error"}}`)
	for _, x := range []struct{ from, want string }{
		{`{"resultType":"complete","content":[],"structuredContent":[1],"z":1.0}`, `{"resultType":"complete","content":[],"z":1.0}`},
		{`{"structuredContent": null , "content":[]}`, `{"content":[]}`},
		{`{"content":[],"structuredContent":{"a":1.0}}`, `{"content":[],"structuredContent":{"a":1.0}}`},
	} {
		answer = json.RawMessage(x.from)
		if got := c.post(calls("1", "a__do", "{}")); got.body != `{"jsonrpc":"2.0","id":1,"result":`+x.want+`}` {
			t.Errorf("%s became %s", x.from, got.body)
		}
	}
	refusal = &upstream.ServerError{Raw: json.RawMessage(`{"code":-32021,"message":"no","data":{"requiredCapabilities":{"sampling":{}}}}`)}
	if got := c.post(calls("1", "a__do", "{}")); got.rpcCode() != -32603 || !strings.Contains(got.body, "sampling") {
		t.Errorf("a missing capability is %s", got.body)
	}
	if n := len(d.Server("a").Links()); n != 1 {
		t.Errorf("a server without sessions has %d links", n)
	}
}

func TestExtensions(t *testing.T) {
	d := new(linktest.Dialer)
	for _, name := range []string{"a", "b"} {
		task := "task-" + name
		extensions := `{"io.modelcontextprotocol/tasks":{"from":"` + name + `"}}`
		if name == "b" {
			extensions = `{"io.modelcontextprotocol/tasks":{},"com.acme/widgets":{"n":1.0}}`
		}
		now(d, name, extensions, func(method string, m jsonrpc.Message, _ *upstream.Request) (json.RawMessage, error) {
			if method == "tools/call" {
				id := task
				if strings.Contains(string(m.Raw), "same") {
					id = "same"
				}
				return json.RawMessage(`{"resultType":"task","taskId":"` + id + `","status":"working","ttlMs":1}`), nil
			}
			if method == "tasks/update" && !strings.Contains(string(m.Raw), `"inputResponses":{"q":{"action":"accept"}},"requestState":"own"`) {
				t.Errorf("a task is updated by %s", m.Raw)
			}
			return json.RawMessage(`{"resultType":"complete","by":"` + name + `","method":"` + method + `"}`), nil
		})
	}
	d.Server("c").Tools = []string{"do"}
	r := start(t, settings(t, "a", "b", "c"), d).running()
	c := r.caller(`{"extensions":{"io.modelcontextprotocol/tasks":{}}}`)
	has(t, "discover", c.call("server/discover", `{}`).body, `"extensions":{"io.modelcontextprotocol/tasks":{"from":"a"},"com.acme/widgets":{"n":1.0}}`)
	for _, name := range []string{"a", "b"} {
		has(t, "a task", c.tool(name+"__do", "").body, `"result":{"resultType":"task","taskId":"task-`+name+`","status":"working","ttlMs":1}`)
		for _, method := range []string{"tasks/get", "tasks/update", "tasks/cancel"} {
			has(t, method, c.call(method, `{"taskId":"task-`+name+`","inputResponses":{"q":{"action":"accept"}},"requestState":"own"}`).body, `"by":"`+name+`","method":"`+method+`"`)
		}
	}
	if got := c.call("tasks/get", `{"taskId":"never"}`); got.rpcCode() != -32602 || !strings.Contains(got.body, "/mcp/u/") {
		t.Errorf("a task that nobody gave: %s", got.body)
	}
	c.tool("a__do", `,"x":"same"`)
	c.tool("b__do", `,"x":"same"`)
	if got := c.call("tasks/get", `{"taskId":"same"}`); got.rpcCode() != -32602 || !strings.Contains(got.body, "several") {
		t.Errorf("a task that two gave: %s", got.body)
	}
	wrong := c.ask(t.Context(), c.body("1", "tasks/get", `{"taskId":"task-a"}`))
	wrong.Header.Set("Mcp-Name", "task-b")
	if got := c.do(wrong); got.rpcCode() != -32020 {
		t.Errorf("another task in the header: %s", got.body)
	}
	for _, method := range []string{"widgets/list", "com.acme/x", "com.acme/widgets/y"} {
		has(t, method, c.call(method, `{"a":1.0}`).body, `"by":"b"`)
	}
	if got := c.call("gadgets/list", `{}`); got.status != 404 || got.rpcCode() != -32601 || !strings.Contains(got.body, "a, b") {
		t.Errorf("a method that nobody's extension has: %s", got.body)
	}
	old := r.connect(`{}`)
	has(t, "an older client", old.post(`{"jsonrpc":"2.0","id":1,"method":"widgets/list"}`).body, `"by":"b"`)
	for _, method := range []string{"gadgets/list", "tasks/get", "server/discover", "subscriptions/listen", "notifications/x"} {
		if got := old.post(`{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2025-11-25"}}}`); got.rpcCode() != -32601 {
			t.Errorf("%s of an older client: %d %s", method, got.status, got.body)
		}
	}
	c.path = "/mcp/u/c"
	if got := c.call("gadgets/list", `{}`); got.status != 404 || d.Server("c").Asked("gadgets/list") > 0 {
		t.Errorf("a server of an older revision that declares nothing: %d %s", got.status, got.body)
	}
	c.path = "/mcp/u/a"
	for _, method := range []string{"ping", "initialize", "tasks/list", "roots/list", "notifications/x", "Tools/call", "TOOLS/CALL", "tools//call", "resources.read"} {
		if got := c.call(method, `{"name":"t","uri":"x:y"}`); got.status != 404 || d.Server("a").Asked(method) > 0 {
			t.Errorf("%s is relayed: %d %s", method, got.status, got.body)
		}
	}
	for _, method := range []string{"tools/call ", " tools/call", "tools/call\x00", "acme\n/x", "tools/c\u00e0ll"} { // no header holds these
		if !removed(method) {
			t.Errorf("%q is relayed", method)
		}
	}
	has(t, "in the view of one", c.call("gadgets/list", `{}`).body, `"by":"a"`)
	if ext := c.call("server/discover", `{}`).body; strings.Contains(ext, "acme") {
		t.Errorf("one upstream's view shows another's: %s", ext)
	}
}

// Lists say for how long they may be kept: as long as the least of their parts.
func TestModernCaching(t *testing.T) {
	d := new(linktest.Dialer)
	for name, kept := range map[string]string{"a": `"ttlMs":60000,"cacheScope":"public"`, "b": `"ttlMs":5000,"cacheScope":"public"`} {
		s := d.Server(name)
		s.Version, s.Capabilities = "2026-07-28", json.RawMessage(`{"tools":{}}`)
		s.OnRequest = func(_ context.Context, _ *linktest.Link, method string, _ *upstream.Request) (json.RawMessage, error) {
			if method == "tools/list" {
				return json.RawMessage(`{"resultType":"complete",` + kept + `,"tools":[]}`), nil
			}
			return nil, nil
		}
	}
	r := start(t, settings(t, "a", "b"), d).running()
	c := r.caller(`{}`)
	for _, method := range []string{"tools/list", "server/discover", "resources/templates/list"} {
		has(t, method, c.call(method, `{}`).body, `"ttlMs":5000,"cacheScope":"public"`)
	}
	c.path = "/mcp/u/a"
	has(t, "one alone", c.call("tools/list", `{}`).body, `"ttlMs":60000,"cacheScope":"public"`)
	d.Server("c").Tools = []string{"do"}
	cfg := settings(t, "a", "b", "c")
	other := start(t, cfg, d).running().caller(`{}`)
	has(t, "beside an older one", other.call("tools/list", `{}`).body, `"ttlMs":0,"cacheScope":"private"`)
}

// A server that turns out to be of 2026-07-28 when the request is on its way as one
// for an older server is told of the client by the link.
func TestServerRenewedUnderACall(t *testing.T) {
	d := new(linktest.Dialer)
	s := d.Server("a")
	s.Tools = []string{"do"}
	s.OnRequest = func(_ context.Context, _ *linktest.Link, method string, r *upstream.Request) (json.RawMessage, error) {
		if method == "tools/call" && (r.Modern || string(r.Client.Capabilities) != `{"roots":{}}` || r.Client.LogLevel != "error") {
			t.Errorf("the link is told modern %v, %s, %q", r.Modern, r.Client.Capabilities, r.Client.LogLevel)
		}
		return nil, nil
	}
	r := start(t, settings(t, "a"), d).running()
	c := r.caller(`{"roots":{}}`)
	c.meta = `,"io.modelcontextprotocol/logLevel":"error"`
	v := r.view.Load()
	raw := []byte(c.body("1", "tools/call", `{"name":"a__do"}`))
	m, err := jsonrpc.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	more := new(modernRequest)
	if err := r.enterModern(more, &m, anonymous, "", "me", nil); err != nil {
		t.Fatal(err)
	}
	defer more.leave()
	s.Script(func(s *linktest.Server) { s.Version = "2026-07-28" })
	if err := r.set.Upstream("a").Restart(t.Context()); err != nil || !v.upstreams["a"].Modern() {
		t.Fatalf("not restarted as a modern one: %v", err)
	}
	x := r.exchange(more.client.session, m, nowhere{}, visitor{}, func(error) {})
	x.modern, more.older = more, true
	x.call.x, x.call.g = x, r.Gateway
	x.call.route, _ = v.catalog.Tool("a__do")
	x.route = x.call.route
	if _, err := r.ask(t.Context(), &x.call, v.upstreams["a"], nil); err != nil {
		t.Error(err)
	}
}
