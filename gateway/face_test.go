package gateway

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/interlock-mcp/interlock/upstream/linktest"
)

func echoing(t *testing.T, names ...string) *rig {
	t.Helper()
	d := new(linktest.Dialer)
	for _, n := range names {
		name, _, _ := strings.Cut(n, "=")
		s := d.Server(name)
		s.Tools, s.OnRequest = []string{"echo"}, echo
	}
	return start(t, settings(t, names...), d).running()
}

func TestInitialize(t *testing.T) {
	r := echoing(t, "a")
	for asked, want := range map[string]string{
		"2024-11-05": "2024-11-05", "2025-03-26": "2025-03-26", "2025-06-18": "2025-06-18", "2025-11-25": "2025-11-25",
		"2026-07-28": "2025-11-25", "1999-01-01": "2025-11-25",
	} {
		c := &client{r: r, path: "/mcp"}
		got := c.post(`{"jsonrpc":"2.0","id":"i","method":"initialize","params":{"protocolVersion":"` + asked + `","capabilities":{}}}`)
		res := got.result(t)
		if res["protocolVersion"] != want {
			t.Errorf("asked for %s, got %v, want %s", asked, res["protocolVersion"], want)
		}
		caps := res["capabilities"].(map[string]any)
		for _, k := range []string{"tools", "prompts", "resources", "logging", "completions"} {
			if caps[k] == nil {
				t.Errorf("%s: no capability %s", asked, k)
			}
		}
	}
}

func TestCallIsCarried(t *testing.T) {
	r := echoing(t, "a", "b")
	c := r.connect(`{}`)
	got := c.post(`{"jsonrpc":"2.0","id":9007199254740993,"method":"tools/call","params":{"x-unknown":[1.0,2e3],"name":"b__echo","arguments":{"n":12345678901234567890,"é":"\u00e9"}}}`)
	if got.header.Get("Content-Type") != "application/json" {
		t.Errorf("an answer with nothing before it came as %s", got.header.Get("Content-Type"))
	}
	want := `{"jsonrpc":"2.0","id":9007199254740993,"result":{"content":[{"type":"text","text":"{\"x-unknown\":[1.0,2e3],\"name\":\"echo\",\"arguments\":{\"n\":12345678901234567890,\"é\":\"\\u00e9\"}}"}]}}`
	if got.body != want {
		t.Errorf("got  %s\nwant %s", got.body, want)
	}
}

// Ids come back byte for byte.
func TestIDsAreEchoed(t *testing.T) {
	r := echoing(t, "a")
	c := r.connect(`{}`)
	for _, id := range []string{"0", "-1", "9007199254740993", strings.Repeat("9", 30), `""`, `"x"`, `"\u0041\n"`, `"` + strings.Repeat("y", 200) + `"`} {
		for _, body := range []string{calls(id, "a__echo", "{}"), `{"jsonrpc":"2.0","id":` + id + `,"method":"ping"}`, `{"id":` + id + `,"jsonrpc":"2.0","method":"no/such"}`} {
			if got := c.post(body).body; !strings.Contains(got, `"id":`+id+`,`) {
				t.Errorf("id %s: got %s", id, got)
			}
		}
	}
}

// The bad-input table for bodies, ids, methods and headers.
func TestBadInput(t *testing.T) {
	cfg := settings(t, "a")
	cfg.Server.MaxBody = 64 << 10
	d := new(linktest.Dialer)
	d.Server("a").Tools = []string{"echo"}
	r := start(t, cfg, d).running()
	c := r.connect(`{}`)
	big := strings.Repeat("x", 65<<10)
	for _, tc := range []struct {
		name, body string
		status     int
		code       int
	}{
		{"empty", "", 400, -32700},
		{"spaces", " \n", 400, -32700},
		{"truncated", `{"jsonrpc":"2.0","id":1,"meth`, 400, -32700},
		{"binary", "\x00\x01\xff", 400, -32700},
		{"byte order mark", "\xef\xbb\xbf" + `{"jsonrpc":"2.0","id":1,"method":"ping"}`, 400, -32700},
		{"two documents", `{"jsonrpc":"2.0","id":1,"method":"ping"}{"jsonrpc":"2.0","id":2,"method":"ping"}`, 400, -32700},
		{"trailing bytes", `{"jsonrpc":"2.0","id":1,"method":"ping"}x`, 400, -32700},
		{"bad UTF-8", `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"` + "\xff" + `"}}`, 400, -32700},
		{"lone surrogate in a field we read", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"\ud800"}}`, 400, -32700},
		{"duplicate key", `{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/list"}`, 400, -32600},
		{"duplicate name", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","name":"b"}}`, 400, -32600},
		{"another case", `{"jsonrpc":"2.0","id":1,"Method":"ping"}`, 400, -32600},
		{"batch", `[{"jsonrpc":"2.0","id":1,"method":"ping"}]`, 400, -32600},
		{"id null", `{"jsonrpc":"2.0","id":null,"method":"ping"}`, 400, -32600},
		{"id object", `{"jsonrpc":"2.0","id":{},"method":"ping"}`, 400, -32600},
		{"id 1.5", `{"jsonrpc":"2.0","id":1.5,"method":"ping"}`, 400, -32600},
		{"a request without id", `{"jsonrpc":"2.0","method":"tools/list"}`, 400, -32600},
		{"no method", `{"jsonrpc":"2.0","id":1}`, 400, -32600},
		{"depth", `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":` + strings.Repeat("[", 30000) + strings.Repeat("]", 30000) + `}}`, 400, -32700},
		{"over the cap", `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"` + big + `"}}`, 413, -32600},
		{"params of the wrong kind", `{"jsonrpc":"2.0","id":1,"method":"ping","params":[1]}`, 200, -32602},
		{"arguments of the wrong kind", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a__echo","arguments":[]}}`, 200, -32602},
		{"name of the wrong kind", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":7}}`, 200, -32602},
		{"unknown tool", calls("1", "../../etc/passwd", "{}"), 200, -32602},
		{"empty tool", calls("1", "", "{}"), 200, -32602},
		{"tool with ANSI", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"\u001b[31mred\n"}}`, 200, -32602},
		{"unknown method", `{"jsonrpc":"2.0","id":1,"method":"no/such"}`, 200, -32601},
		{"unknown prompt", `{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"none"}}`, 200, -32602},
		{"cursor of nobody", `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":"zzz"}}`, 200, -32602},
		{"level of nobody", `{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"loud"}}`, 200, -32602},
		{"uri of the wrong kind", `{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":1}}`, 200, -32602},
		{"ref of the wrong kind", `{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":"x"}}`, 200, -32602},
	} {
		got := c.post(tc.body)
		if got.status != tc.status || got.rpcCode() != tc.code {
			t.Errorf("%s: %d %d, want %d %d: %s", tc.name, got.status, got.rpcCode(), tc.status, tc.code, got.body)
		}
		if len(got.body) > 1000 || strings.ContainsAny(got.body, "\x1b") {
			t.Errorf("%s: the error repeats what it was sent: %.200q", tc.name, got.body)
		}
	}
	if got := c.post(calls("1", strings.Repeat("n", 5000), "{}")); len(got.body) > 400 {
		t.Errorf("a long name is echoed at length: %d bytes", len(got.body))
	}
}

func TestBadHeaders(t *testing.T) {
	r := echoing(t, "a")
	c := r.connect(`{}`)
	ping := `{"jsonrpc":"2.0","id":1,"method":"ping"}`
	for _, tc := range []struct {
		name, method string
		change       func(*http.Request)
		status       int
	}{
		{"fine", "POST", func(*http.Request) {}, 200},
		{"any Accept", "POST", func(q *http.Request) { q.Header.Set("Accept", "*/*") }, 200},
		{"no Accept", "POST", func(q *http.Request) { q.Header.Del("Accept") }, 200},
		{"charset", "POST", func(q *http.Request) { q.Header.Set("Content-Type", "application/json; charset=UTF-8") }, 200},
		{"text/plain", "POST", func(q *http.Request) { q.Header.Set("Content-Type", "text/plain") }, 415},
		{"no Content-Type", "POST", func(q *http.Request) { q.Header.Del("Content-Type") }, 415},
		{"gzip", "POST", func(q *http.Request) { q.Header.Set("Content-Encoding", "gzip") }, 415},
		{"Accept partial", "POST", func(q *http.Request) { q.Header.Set("Accept", "application/json") }, 406},
		{"GET Accept", "GET", func(q *http.Request) { q.Header.Set("Accept", "application/json") }, 406},
		{"PUT", "PUT", func(*http.Request) {}, 405},
		{"wrong path", "POST", func(q *http.Request) { q.URL.Path = "/nothing" }, 404},
		{"unknown upstream", "POST", func(q *http.Request) { q.URL.Path = "/mcp/u/none" }, 404},
		{"another view's session", "POST", func(q *http.Request) { q.URL.Path = "/mcp/u/a" }, 404},
		{"unknown version", "POST", func(q *http.Request) { q.Header.Set("Mcp-Protocol-Version", "2031-01-01") }, 400},
		{"no version", "POST", func(q *http.Request) { q.Header.Del("Mcp-Protocol-Version") }, 200},
		{"no session", "POST", func(q *http.Request) { q.Header.Del("Mcp-Session-Id") }, 400},
		{"unknown session", "POST", func(q *http.Request) { q.Header.Set("Mcp-Session-Id", "nope") }, 404},
		{"huge session", "POST", func(q *http.Request) { q.Header.Set("Mcp-Session-Id", strings.Repeat("A", 10<<10)) }, 404},
		{"evil Origin", "POST", func(q *http.Request) { q.Header.Set("Origin", "https://evil.example") }, 403},
		{"null Origin", "POST", func(q *http.Request) { q.Header.Set("Origin", "null") }, 403},
		{"evil Host", "POST", func(q *http.Request) { q.Host = "evil.example" }, 403},
		{"page on this machine", "POST", func(q *http.Request) { q.Header.Set("Origin", "http://localhost:6274") }, 200},
		{"evil Origin on another path", "GET", func(q *http.Request) { q.URL.Path = "/x"; q.Header.Set("Origin", "https://evil.example") }, 403},
		{"preflight", "OPTIONS", func(q *http.Request) { q.Header.Set("Origin", "http://localhost:6274") }, 204},
		{"evil preflight", "OPTIONS", func(q *http.Request) { q.Header.Set("Origin", "https://evil.example") }, 403},
		{"evil Host on /sse", "GET", func(q *http.Request) { q.URL.Path = "/sse"; q.Host = "evil.example" }, 403},
		{"evil Origin on /messages", "POST", func(q *http.Request) { q.URL.Path = "/messages"; q.Header.Set("Origin", "null") }, 403},
		{"any Host on /livez", "GET", func(q *http.Request) { q.URL.Path = "/livez"; q.Host = "evil.example" }, 200},
	} {
		req := c.request(context.Background(), tc.method, ping)
		tc.change(req)
		got := c.do(req)
		if got.status != tc.status {
			t.Errorf("%s: %d, want %d: %s", tc.name, got.status, tc.status, got.body)
		}
		if tc.status == 405 && got.header.Get("Allow") == "" {
			t.Errorf("%s: no Allow", tc.name)
		}
		if strings.Contains(tc.name, "page") && got.header.Get("Access-Control-Allow-Origin") != "http://localhost:6274" {
			t.Errorf("%s: no CORS answer: %v", tc.name, got.header)
		}
	}
	bodies := map[string]bool{}
	for _, id := range []string{"nope", strings.Repeat("A", 300), c.session + "x"} {
		req := c.request(context.Background(), "POST", ping)
		req.Header.Set("Mcp-Session-Id", id)
		bodies[c.do(req).body] = true
	}
	if len(bodies) != 1 {
		t.Errorf("unknown sessions are answered differently: %v", bodies)
	}
}

func TestBatchOnlyIn20250326(t *testing.T) {
	r := echoing(t, "a")
	batch := `[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","method":"notifications/initialized"},` + calls("2", "a__echo", `{}`) + `]`
	c := r.connectAt("/mcp", "2025-03-26", `{}`)
	got := c.post(batch)
	if got.status != 200 || strings.Count(got.body, `"jsonrpc"`) != 2 || !strings.Contains(got.body, `"id":2`) {
		t.Errorf("batch: %d %s", got.status, got.body)
	}
	for name, body := range map[string]string{"empty": `[]`, "initialize": `[{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}]`, "malformed": `[1]`} {
		if got := c.post(body); got.status != 400 || got.rpcCode() != -32600 {
			t.Errorf("%s batch: %d %s", name, got.status, got.body)
		}
	}
	if got := r.connect(`{}`).post(batch); got.status != 400 || got.rpcCode() != -32600 {
		t.Errorf("batch in 2025-11-25: %d %s", got.status, got.body)
	}
}

func TestViewOfOneUpstream(t *testing.T) {
	r := echoing(t, "a", "b")
	c := r.connectAt("/mcp/u/b", "2025-11-25", `{}`)
	if got := c.post(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`).body; !strings.Contains(got, `"name":"echo"`) || strings.Contains(got, "__") {
		t.Errorf("list: %s", got)
	}
	if got := c.post(calls("1", "echo", `{"x":1}`)).body; !strings.Contains(got, `\"x\":1`) {
		t.Errorf("call: %s", got)
	}
	if got := c.post(calls("1", "a__echo", `{}`)); got.rpcCode() != -32602 {
		t.Errorf("another upstream's tool: %s", got.body)
	}
}
