package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

func TestModernCall(t *testing.T) {
	d := dialer("do")
	d.Server("a").OnRequest = echo
	r := start(t, settings(t, "a"), d).running()
	c := r.caller(`{}`)
	got := c.do(c.ask(t.Context(), c.body(`9007199254740993`, "tools/call", `{"name":"a__do","arguments":{"x":1.0}}`)))
	if got.status != 200 || got.header.Get("Mcp-Session-Id") != "" || got.header.Get("Content-Type") != "application/json" {
		t.Errorf("%d %v", got.status, got.header)
	}
	has(t, "answer", got.body, `"id":9007199254740993,"result":{"resultType":"complete","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"interlock","version":"test"}},"content":[`,
		`{\"_meta\":{},\"name\":\"do\",\"arguments\":{\"x\":1.0}}`)
	// A server that speaks both eras must not take the request for one of the other.
	c.meta = `,"progressToken":7,"com.acme/x":1.0,"io.modelcontextprotocol/logLevel":"error","io.modelcontextprotocol/clientInfo":{"name":"n"}`
	has(t, "what the server is sent", c.tool("a__do", "").body, `{\"_meta\":{\"progressToken\":7,\"com.acme/x\":1.0},\"name\"`)
}

func TestModernDiscover(t *testing.T) {
	d := dialer("do")
	d.Server("a").Instructions = "use it well"
	r := start(t, settings(t, "a"), d).running()
	c := r.caller(`{}`)
	got := c.call("server/discover", `{}`)
	has(t, "discover", got.body, `"resultType":"complete"`, `"supportedVersions":["2026-07-28","2025-11-25","2025-06-18","2025-03-26","2024-11-05"]`,
		`"tools":{"listChanged":true}`, `"subscribe":true`, `"ttlMs":0`, `"cacheScope":"private"`, `"instructions":"`, `use it well`,
		`"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"interlock"`)
	got.result(t) // is JSON
	for _, list := range []string{"tools/list", "prompts/list", "resources/list", "resources/templates/list"} {
		got := c.call(list, `{}`)
		has(t, list, got.body, `"resultType":"complete"`, `"ttlMs":0`, `"cacheScope":"private"`, `serverInfo`)
		got.result(t)
	}
	if tools := c.call("tools/list", `{}`).body; !strings.Contains(tools, `"tools":[{"name":"a__do","inputSchema":{"type":"object"}}]}}`) {
		t.Errorf("the list is %s", tools)
	}
}

// What the older revisions have and this one has not; and what a client may not
// send.
func TestModernRefusals(t *testing.T) {
	d := dialer("do")
	d.Server("b").Tools = []string{"do"}
	r := start(t, settings(t, "a", "b"), d).running()
	c := r.caller(`{}`)
	for _, method := range []string{
		"initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe", "tasks/list", "tasks/result",
		"roots/list", "unknown/method",
	} {
		if got := c.call(method, `{}`); got.status != 404 || got.rpcCode() != -32601 || !strings.Contains(got.body, `"id":1`) {
			t.Errorf("%s: %d %s", method, got.status, got.body)
		}
	}
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		req := c.request(t.Context(), method, "")
		req.Header.Set("Mcp-Protocol-Version", "2026-07-28")
		if got := c.do(req); got.status != 405 || got.header.Get("Allow") == "" {
			t.Errorf("%s: %d %v", method, got.status, got.header)
		}
	}
	batch := c.request(t.Context(), http.MethodPost, `[{"jsonrpc":"2.0","id":1,"method":"ping"}]`)
	batch.Header.Set("Mcp-Session-Id", r.connectAt("/mcp", "2025-03-26", `{}`).session)
	batch.Header.Set("Mcp-Protocol-Version", "2026-07-28")
	if got := c.do(batch); got.status != 400 || got.rpcCode() != -32600 {
		t.Errorf("a batch with a session that allows it: %d %s", got.status, got.body)
	}
	for _, x := range []struct {
		name, body string
		status     int
		code       int
	}{
		{"notification", `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`, 202, 0},
		{"response", `{"jsonrpc":"2.0","id":1,"result":{}}`, 400, -32600},
		{"request without id", `{"jsonrpc":"2.0","method":"tools/list","params":{}}`, 400, -32600},
		{"batch", `[{"jsonrpc":"2.0","id":1,"method":"tools/list"}]`, 400, -32600},
		{"not JSON", `{`, 400, -32700},
		{"id null", `{"jsonrpc":"2.0","id":null,"method":"tools/list"}`, 400, -32600},
		{"params", `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":1}}`, 400, -32602},
		{"twins", c.body("1", "tools/call", `{"name":"a__do","RequestState":"x"}`), 400, -32600},
	} {
		req := c.request(t.Context(), http.MethodPost, x.body)
		req.Header.Set("Mcp-Protocol-Version", "2026-07-28")
		req.Header.Set("Mcp-Method", "tools/list")
		if got := c.do(req); got.status != x.status || got.rpcCode() != x.code {
			t.Errorf("%s: %d %s", x.name, got.status, got.body)
		}
	}
	for _, x := range []struct{ name, method, params string }{
		{"unknown tool", "tools/call", `{"name":"nope"}`},
		{"tool without name", "tools/call", `{}`},
		{"unknown resource", "resources/read", `{"uri":"nope:x"}`},
		{"unknown cursor", "tools/list", `{"cursor":"x"}`},
		{"listen to nothing", "subscriptions/listen", `{}`},
		{"listen to a word", "subscriptions/listen", `{"notifications":{"toolsListChanged":"yes"}}`},
		{"task without id", "tasks/get", `{}`},
		{"state of a wrong kind", "tools/call", `{"name":"a__do","requestState":1}`},
	} {
		if got := c.call(x.method, x.params); got.rpcCode() != -32602 {
			t.Errorf("%s: %d %s", x.name, got.status, got.body)
		}
	}
}

func TestModernHeaders(t *testing.T) {
	d := dialer("do")
	d.Server("a").OnRequest = func(_ context.Context, _ *linktest.Link, method string, _ *upstream.Request) (json.RawMessage, error) {
		if method == "tools/list" {
			return json.RawMessage(`{"tools":[{"name":"do","inputSchema":{"type":"object","properties":{` +
				`"region":{"type":"string","x-mcp-header":"Region"},"n":{"type":"integer","x-mcp-header":"N"},"deep":{"type":"object","properties":{"b":{"type":"boolean","x-mcp-header":"B"}}}}}},` +
				`{"name":"grüße","inputSchema":{"type":"object"}}]}`), nil
		}
		return nil, nil
	}
	cfg := settings(t, "a")
	cfg.Upstreams[0].Prefix = new(string)
	r := start(t, cfg, d).running()
	c := r.caller(`{}`)
	body := c.body("7", "tools/call", `{"name":"do","arguments":{}}`)
	args := func(a string) string { return c.body("7", "tools/call", `{"name":"do","arguments":`+a+`}`) }
	for _, x := range []struct {
		name, body string
		headers    string // NAME=VALUE, separated by |; a NAME without = is taken away
		code       int
	}{
		{"all well", body, "", 0},
		{"white space around", body, "Mcp-Name=  do\t|Mcp-Method= tools/call ", 0},
		{"name in Base64", body, "Mcp-Name==?base64?ZG8=?=", 0},
		{"half a mark is literal", body, "Mcp-Name==?base64?ZG8=", -32020},
		{"no version", body, "Mcp-Protocol-Version", -32020},
		{"another version", body, "Mcp-Protocol-Version=2025-11-25", -32020},
		{"an unknown version in the header", body, "Mcp-Protocol-Version=v999.0.0", -32020},
		{"an unknown version", strings.Replace(body, "2026-07-28", "v999.0.0", 1), "Mcp-Protocol-Version=v999.0.0", -32022},
		{"a version from before there was one", strings.Replace(body, "2026-07-28", "1999-01-01", 1), "Mcp-Protocol-Version=1999-01-01", -32022},
		{"no version in the body", strings.Replace(body, `"io.modelcontextprotocol/protocolVersion":"2026-07-28",`, "", 1), "", -32602},
		{"no capabilities", strings.Replace(body, `,"io.modelcontextprotocol/clientCapabilities":{}`, "", 1), "", -32602},
		{"capabilities of a wrong kind", strings.Replace(body, `clientCapabilities":{}`, `clientCapabilities":[]`, 1), "", -32602},
		{"level of no meaning", strings.Replace(body, `clientCapabilities":{}`, `clientCapabilities":{},"io.modelcontextprotocol/logLevel":"loud"`, 1), "", -32602},
		{"version of a wrong kind", strings.Replace(body, `"2026-07-28"`, `1`, 1), "", -32602},
		{"no _meta", `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"do"}}`, "", -32602},
		{"no params", `{"jsonrpc":"2.0","id":7,"method":"tools/list"}`, "", -32602},
		{"no method", body, "Mcp-Method", -32020},
		{"another method", body, "Mcp-Method=tools/list", -32020},
		{"method in capitals", body, "Mcp-Method=TOOLS/CALL", -32020},
		{"no name", body, "Mcp-Name", -32020},
		{"another name", body, "Mcp-Name=dO", -32020},
		{"bad padding", body, "Mcp-Name==?base64?ZG8?=", -32020},
		{"name beyond ASCII", c.body("7", "tools/call", `{"name":"grüße"}`), "Mcp-Name=gr\u00fc\u00dfe", -32020},
		{"such a name in Base64", c.body("7", "tools/call", `{"name":"grüße"}`), "Mcp-Name==?base64?Z3LDvMOfZQ==?=", 0},
		{"escapes in the body", c.body("7", "tools/call", `{"name":"\u0064o"}`), "Mcp-Name=do", 0},
		{"no header for an argument", args(`{"region":"eu"}`), "", -32020},
		{"header of an argument", args(`{"region":"eu"}`), "Mcp-Param-Region=eu", 0},
		{"other header of an argument", args(`{"region":"eu"}`), "Mcp-Param-Region=us", -32020},
		{"argument in Base64", args(`{"region":"Hello"}`), "Mcp-Param-Region==?base64?SGVsbG8=?=", 0},
		{"argument in bad Base64", args(`{"region":"Hello"}`), "Mcp-Param-Region==?base64?SGVs!!!bG8=?=", -32020},
		{"header without argument", args(`{}`), "Mcp-Param-Region=eu", -32020},
		{"no header for an empty argument", args(`{"region":""}`), "", -32020},
		{"empty header", args(`{"region":""}`), "Mcp-Param-Region=", 0},
		{"null is no argument", args(`{"region":null}`), "", 0},
		{"number", args(`{"n":42}`), "Mcp-Param-N=42", 0},
		{"the same number", args(`{"n":42}`), "Mcp-Param-N=42.0", 0},
		{"another number", args(`{"n":42}`), "Mcp-Param-N=43", -32020},
		{"no number", args(`{"n":42}`), "Mcp-Param-N=x", -32020},
		{"boolean", args(`{"deep":{"b":true}}`), "Mcp-Param-B=true", 0},
		{"other boolean", args(`{"deep":{"b":true}}`), "Mcp-Param-B=false", -32020},
		{"nobody's header", args(`{}`), "Mcp-Param-Other=x", 0},
	} {
		req := c.ask(t.Context(), x.body)
		for h := range strings.SplitSeq(x.headers, "|") {
			if name, value, ok := strings.Cut(h, "="); ok {
				req.Header.Set(name, value)
			} else {
				req.Header.Del(name)
			}
		}
		got := c.do(req)
		want := 400
		if x.code == 0 {
			want = 200
		}
		if got.status != want || got.rpcCode() != x.code || !strings.Contains(got.body, `"id":7`) {
			t.Errorf("%s: %d %s, want %d", x.name, got.status, got.body, x.code)
		}
		if x.code == -32022 {
			has(t, x.name, got.body, `"supported":["2026-07-28",`, `"requested":"`)
		}
	}
	req := c.ask(t.Context(), body)
	req.Header["Mcp-Name"] = []string{"do", "do"}
	if got := c.do(req); got.rpcCode() != -32020 {
		t.Errorf("two names: %s", got.body)
	}
}

// Closing the connection is what cancels a call, at once: there is no resuming.
func TestModernCancel(t *testing.T) {
	for _, stream := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) { modernCancel(t, stream) })
	}
}

func modernCancel(t *testing.T, stream bool) {
	t.Helper()
	begun, ended := make(chan struct{}), make(chan error, 1)
	r := tool(t, func(ctx context.Context, q *upstream.Request) (json.RawMessage, error) {
		if stream {
			q.Peer.Notified(serverMessage(t, `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"p","progress":1}}`))
		}
		close(begun)
		<-ctx.Done()
		ended <- context.Cause(ctx)
		return nil, context.Cause(ctx)
	})
	c := r.caller(`{"elicitation":{}}`)
	c.meta = `,"progressToken":"p"`
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan time.Time, 1)
	go func() { <-begun; time.Sleep(time.Second); gone <- time.Now(); cancel() }()
	resp, err := r.web.Do(c.ask(ctx, c.body("1", "tools/call", `{"name":"a__do"}`)))
	if err == nil {
		if ct := resp.Header.Get("X-Accel-Buffering"); ct != "no" {
			t.Errorf("a stream may be buffered: %v", resp.Header)
		}
		resp.Body.Close()
	}
	if err := <-ended; !errors.Is(err, errClientGone) {
		t.Errorf("stream %v: the call ended with %v", stream, err)
	}
	if took := time.Since(<-gone); took > 100*time.Millisecond {
		t.Errorf("stream %v: after %v", stream, took)
	}
	r.stop()
}

// Two clients that use the same id at the same time are none of each other's
// business.
func TestModernIDsAreNobodysElse(t *testing.T) {
	first := make(chan struct{})
	var n int
	r := tool(t, func(_ context.Context, q *upstream.Request) (json.RawMessage, error) {
		if n++; n == 1 {
			close(first)
		}
		return json.RawMessage(fmt.Sprintf(`{"content":[],"n":%q}`, q.Message.Text(q.Message.Arguments))), nil
	})
	a, b := r.caller(`{}`), r.caller(`{}`)
	done := make(chan reply)
	go func() { done <- a.tool("a__do", "") }()
	<-first
	if got := b.call("tools/call", `{"name":"a__do"}`); got.rpcCode() != 0 {
		t.Errorf("the second got %s", got.body)
	}
	c := r.request(t, b, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`)
	if c.status != 202 {
		t.Errorf("cancel: %d", c.status)
	}
	if got := <-done; got.rpcCode() != 0 || got.status != 200 {
		t.Errorf("the first got %s", got.body)
	}
}

func (r *rig) request(t *testing.T, c *caller, body string) reply {
	t.Helper()
	req := c.client.request(t.Context(), http.MethodPost, body)
	req.Header.Set("Mcp-Protocol-Version", "2026-07-28")
	return c.do(req)
}

// Progress and log lines come only if they are asked for, and errors that only
// older revisions have are said otherwise.
func TestModernStreamAndErrors(t *testing.T) {
	r := tool(t, func(_ context.Context, q *upstream.Request) (json.RawMessage, error) {
		for _, m := range []string{
			`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"low"}}`,
			`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"error","data":"high"}}`,
			`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"p","progress":1}}`,
			`{"jsonrpc":"2.0","method":"notifications/elicitation/complete","params":{"elicitationId":"e"}}`,
		} {
			q.Peer.Notified(serverMessage(t, m))
		}
		return nil, &upstream.ServerError{Code: -32002, Message: "gone"}
	})
	c := r.caller(`{}`)
	got := c.tool("a__do", "")
	if got.rpcCode() != -32602 || got.status != 200 || !strings.Contains(got.body, "gone") {
		t.Errorf("unasked: %d %s", got.status, got.body)
	}
	c.meta = `,"progressToken":"p","io.modelcontextprotocol/logLevel":"warning"`
	c.tool("a__do", "")
	got = c.tool("a__do", "")
	if ct := got.header.Get("Content-Type"); ct != "text/event-stream" {
		t.Fatalf("asked: %s", ct)
	}
	has(t, "asked", got.body, `"data":"high"`, `"progress":1`, `"code":-32602`)
	for _, no := range []string{`"low"`, "id: ", "elicitation"} {
		if strings.Contains(got.body, no) {
			t.Errorf("asked: %s\nhas %s", got.body, no)
		}
	}
	if n := r.dialer.Server("a").Asked("logging/setLevel"); n != 1 {
		t.Errorf("the server was told of the level %d times", n)
	}
}

// A call that cannot be made is answered as in the other revisions, but for what a
// result has to say.
func TestModernFault(t *testing.T) {
	d := dialer("do")
	r := start(t, settings(t, "a"), d).running()
	if err := r.set.Upstream("a").Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := r.caller(`{}`).tool("a__do", "")
	has(t, "stopped", got.body, `"resultType":"complete"`, `"isError":true`, `"interlock/error":{`, `"executed":"no"`, `io.modelcontextprotocol/serverInfo`)
	got.result(t)
	if got := r.caller(`{}`).call("prompts/get", `{"name":"x"}`); got.rpcCode() != -32602 {
		t.Errorf("%s", got.body)
	}
}

// What the upstream says of its result stays, in each place where it may stand.
func TestCompleted(t *testing.T) {
	info := []byte(`{"name":"i"}`)
	const meta = `"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"i"}}`
	for _, c := range []struct {
		name, from, want string
		cacheable        bool
	}{
		{"empty", `{"jsonrpc":"2.0","id":1,"result":{ }}`, `{"jsonrpc":"2.0","id":"x","result":{"resultType":"complete",` + meta + ` }}`, false},
		{"content", `{"jsonrpc":"2.0","id":1,"result":{"a":1.0},"z":1}`, `{"jsonrpc":"2.0","id":"x","result":{"resultType":"complete",` + meta + `,"a":1.0},"z":1}`, false},
		{"id last", `{"jsonrpc":"2.0","result":{"a":1},"id":1}`, `{"jsonrpc":"2.0","result":{"resultType":"complete",` + meta + `,"a":1},"id":"x"}`, false},
		{"cacheable", `{"id":1,"jsonrpc":"2.0","result":{"contents":[]}}`, `{"id":"x","jsonrpc":"2.0","result":{"resultType":"complete","ttlMs":0,"cacheScope":"private",` + meta + `,"contents":[]}}`, true},
		{"half said", `{"id":1,"jsonrpc":"2.0","result":{"ttlMs":5,"_meta":{"a":1}}}`, `{"id":"x","jsonrpc":"2.0","result":{"resultType":"complete","cacheScope":"private","ttlMs":5,"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"i"},"a":1}}}`, true},
		{"empty _meta", `{"id":1,"jsonrpc":"2.0","result":{"_meta":{}}}`, `{"id":"x","jsonrpc":"2.0","result":{"resultType":"complete","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"i"}}}}`, false},
		{"named", `{"id":1,"jsonrpc":"2.0","result":{"_meta":{"io.modelcontextprotocol/serverInfo":1}}}`, `{"id":"x","jsonrpc":"2.0","result":{"resultType":"complete","_meta":{"io.modelcontextprotocol/serverInfo":1}}}`, false},
		{"no object", `{"jsonrpc":"2.0","id":1,"result":[1]}`, `{"jsonrpc":"2.0","id":"x","result":[1]}`, true},
	} {
		m := serverMessage(t, c.from)
		if got := string(completed(&m, []byte(`"x"`), c.cacheable, info).bytes()); got != c.want {
			t.Errorf("%s:\n%s, want\n%s", c.name, got, c.want)
		}
	}
	for s, want := range map[string]string{
		`{"resultType":"task"}`: "task", `{"a":{"resultType":"x"}}`: "", `{"a":"\"resultType\"","resultType":"complete"}`: "complete", `{}`: "",
	} {
		m := serverMessage(t, `{"jsonrpc":"2.0","id":1,"result":`+s+`}`)
		if got := resultType(&m); got != want {
			t.Errorf("%s: %q", s, got)
		}
	}
}

// Sets of capabilities are told apart, forgotten when nobody uses them, and bounded.
func TestModernClients(t *testing.T) {
	var table modernClients
	find := func(view, caps string) *modernClient {
		t.Helper()
		c, _, err := table.find(anonymous, view, []byte(caps))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	a := find("", `{"roots":{}}`)
	if find("", `{"roots":{}}`) != a || find("u", `{"roots":{}}`) == a || find("", `{}`).key == a.key {
		t.Error("told apart wrongly")
	}
	later := time.Now().Add(time.Hour)
	if idle := table.expired(later, time.Minute); len(idle) != 0 {
		t.Errorf("%d that are in use are forgotten", len(idle))
	}
	a.users.Add(-2)
	if idle := table.expired(later, time.Minute); len(idle) != 1 || idle[0] != a || find("", `{"roots":{}}`) == a {
		t.Errorf("forgotten: %v", idle)
	}
	for i := table.count; i < maxModernAnonymous; i++ {
		find("", fmt.Sprintf(`{"x":%d}`, i)).users.Add(-1)
	}
	if _, out, err := table.find(anonymous, "", []byte(`{"y":1}`)); out == nil || err != nil || table.count != maxModernAnonymous {
		t.Errorf("one more: %v, %v, %d in all", out, err, table.count)
	}
	for _, c := range table.nobody.byView[""] {
		c.users.Store(1)
	}
	table.nobody.byView["u"][`{"roots":{}}`].users.Store(1)
	if _, _, err := table.find(anonymous, "", []byte(`{"z":1}`)); !errors.Is(err, errFull) {
		t.Errorf("when all are in use: %v", err)
	}
}

// On one pipe the era is decided per request, too.
func TestModernOnStdio(t *testing.T) {
	begun, ended := make(chan struct{}), make(chan error, 1)
	r := tool(t, func(ctx context.Context, q *upstream.Request) (json.RawMessage, error) {
		if q.Message.Text(q.Message.ID) == "slow" {
			close(begun)
			<-ctx.Done()
			ended <- context.Cause(ctx)
			return nil, context.Cause(ctx)
		}
		return nil, nil
	})
	p := r.pipe(t)
	c := r.caller(`{}`)
	for _, x := range []struct{ say, hear string }{
		{`{"jsonrpc":"2.0","id":0,"method":"server/discover"}`, `"code":-32602`},
		{c.body("1", "server/discover", `{}`), `"supportedVersions":["2026-07-28"`},
		{strings.Replace(c.body("2", "server/discover", `{}`), "2026-07-28", "2099-01-01", 1), `"code":-32022`},
		{c.body("3", "tools/list", `{}`), `a__do`},
		{c.body("4", "tools/call", `{"name":"a__do"}`), `"id":4,"result":{"resultType":"complete"`},
		{c.body("5", "ping", `{}`), `"code":-32601`},
		{`{"jsonrpc":"2.0","id":6,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{}}}`, `"protocolVersion":"2025-11-25"`},
		{`{"jsonrpc":"2.0","id":7,"method":"tools/list"}`, `"id":7,"result":{"tools":[`},
	} {
		p.say(x.say)
		if got := p.hear(); !strings.Contains(got, x.hear) {
			t.Errorf("said %s\nheard %s, want %s", x.say, got, x.hear)
		}
	}
	p.say(c.body(`"slow"`, "tools/call", `{"name":"a__do"}`))
	<-begun
	p.say(c.body(`"slow"`, "tools/list", `{}`))
	if got := p.hear(); !strings.Contains(got, "in flight already") {
		t.Errorf("the same id again: %s", got)
	}
	p.say(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"slow"}}`)
	if err := <-ended; !errors.Is(err, errCancelled) {
		t.Errorf("ended with %v", err)
	}
	p.say(c.body("9", "subscriptions/listen", `{"notifications":{"toolsListChanged":true}}`))
	has(t, "ack", p.hear(), `"notifications/subscriptions/acknowledged"`, `"io.modelcontextprotocol/subscriptionId":9`, `"notifications":{"toolsListChanged":true}`)
	r.dialer.Server("a").Script(func(s *linktest.Server) { s.Tools = []string{"do", "more"} })
	r.dialer.Server("a").Last().Say("notifications/tools/list_changed")
	for range 2 { // the legacy session on the same pipe is told, too
		if got := p.hear(); !strings.Contains(got, "notifications/tools/list_changed") {
			t.Errorf("after the change: %s", got)
		}
	}
	go r.Drain(t.Context())
	has(t, "end", p.hear(), `"notifications/cancelled"`, `"requestId":9`)
	has(t, "end", p.hear(), `"id":9,"result":{"resultType":"complete"`, `"io.modelcontextprotocol/subscriptionId":9`)
}

// A message is of this revision if it says so, whatever else it says.
func TestEra(t *testing.T) {
	for _, c := range []struct {
		header, meta, method string
		want                 bool
	}{
		{"", "", "tools/list", false},
		{"2025-11-25", "", "tools/list", false},
		{"2026-07-28", "", "tools/list", true},
		{"", "2026-07-28", "tools/list", true},
		{"2025-11-25", "2026-07-28", "tools/list", true},
		{"2025-11-25", "2025-11-25", "tools/list", false},
		{"", "", "server/discover", true},
		{"", "", "subscriptions/listen", true},
		{"2099-01-01", "", "tools/list", true},
	} {
		raw := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q,"params":{"_meta":{}}}`, c.method)
		if c.meta != "" {
			raw = strings.Replace(raw, "{}", `{"io.modelcontextprotocol/protocolVersion":"`+c.meta+`"}`, 1)
		}
		m, err := jsonrpc.Parse([]byte(raw))
		if err != nil {
			t.Fatal(err)
		}
		h := http.Header{}
		if c.header != "" {
			h.Set("MCP-Protocol-Version", c.header)
		}
		if got := modernOver(h, &m); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

// A large answer counts among what clients have not read, until they have.
func TestModernAnswersCountWhileUnread(t *testing.T) {
	for _, stream := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			big := strings.Repeat("x", 1<<20)
			r := tool(t, func(_ context.Context, q *upstream.Request) (json.RawMessage, error) {
				if stream {
					q.Peer.Notified(serverMessage(t, `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}`))
				}
				return json.RawMessage(`{"big":"` + big + `"}`), nil
			})
			c := r.caller(`{}`)
			c.meta = `,"progressToken":1`
			resp, err := r.web.Do(c.ask(t.Context(), c.body("1", "tools/call", `{"name":"a__do"}`)))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			held := func() int {
				synctest.Wait()
				r.backlog.mu.Lock()
				defer r.backlog.mu.Unlock()
				return r.backlog.held
			}
			if n := held(); n < len(big) {
				t.Errorf("stream %v: %d bytes are counted", stream, n)
			}
			if b, err := io.ReadAll(resp.Body); err != nil || len(b) < len(big) {
				t.Errorf("stream %v: %d bytes, %v", stream, len(b), err)
			}
			if n := held(); n != 0 {
				t.Errorf("stream %v: %d bytes are still counted", stream, n)
			}
		})
	}
}
