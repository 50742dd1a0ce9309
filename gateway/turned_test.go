package gateway

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/interlock-mcp/interlock/telemetry"
)

// served returns how many requests of clients are counted as operations.
func served(t *testing.T, tel *telemetry.Telemetry) (n int) {
	t.Helper()
	w := httptest.NewRecorder()
	tel.MetricsHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for line := range strings.Lines(w.Body.String()) {
		if strings.HasPrefix(line, "mcp_server_operation_duration_seconds_count{") {
			one, err := strconv.Atoi(strings.TrimSpace(line[strings.LastIndexByte(line, ' '):]))
			if err != nil {
				t.Fatal(err)
			}
			n += one
		}
	}
	return n
}

const (
	oldCall = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a__do"}}`
	newCall = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}},"name":"a__do"}}`
)

// What is answered before it is served has the SERVER span that it would have had, in
// the client's trace, and is counted once.
func TestWhatIsTurnedDownIsTraced(t *testing.T) {
	r := traces(t, settings(t, "a"), Options{Dialer: dialer("do")}, nil)
	r.tel.MetricsHandler()
	c := r.connect(`{}`)
	modern := map[string]string{"Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "a__do"}
	with := func(h map[string]string, name, value string) map[string]string {
		out := map[string]string{name: value}
		for n, v := range h {
			if n != name {
				out[n] = v
			}
		}
		return out
	}
	none := map[string]string{"Mcp-Session-Id": ""}
	var ids traceOf
	cases := []struct {
		what, body, span, code, failed, version string
		header                                  map[string]string
		trace                                   string
	}{
		{what: "no session", body: oldCall, header: none, span: "tools/call a__do", code: "-32600", version: "2025-11-25"},
		{what: "an unknown session", body: oldCall, header: map[string]string{"Mcp-Session-Id": "x"}, span: "tools/call a__do", code: "-32600", version: "2025-11-25"},
		{what: "an unknown version", body: oldCall, header: with(none, headerVersion, "1999-01-01"), span: "tools/call a__do", code: "-32022", failed: "-32022"},
		{what: "a version to come", body: oldCall, header: with(none, headerVersion, "2030-01-01"), span: "tools/call a__do", code: "-32022", failed: "-32022"},
		{what: "no id", body: strings.Replace(oldCall, `"id":1,`, "", 1), span: "tools/call a__do", code: "-32600", version: "2025-11-25"},
		{what: "an id that is none", body: strings.Replace(oldCall, `"id":1,`, `"id":null,`, 1), span: "tools/call a__do", code: "-32600", version: "2025-11-25"},
		{what: "params that are none", body: `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":[]}`, span: "tools/call _other", code: "-32602", version: "2025-11-25"},
		{what: "a name that is none", body: strings.Replace(oldCall, `"a__do"`, "7", 1), span: "tools/call _other", code: "-32602", version: "2025-11-25"},
		{what: "a method of its own, and params that are none", body: `{"jsonrpc":"2.0","id":1,"method":"mine/1","params":[]}`, span: "_other", code: "-32602", version: "2025-11-25"},
		{what: "modern, another method in the header", body: newCall, header: with(modern, "Mcp-Method", "ping"), span: "tools/call a__do", code: "-32020", failed: "-32020", version: "2026-07-28"},
		{what: "modern, another tool in the header", body: newCall, header: with(modern, "Mcp-Name", "a__x"), span: "tools/call a__do", code: "-32020", failed: "-32020", version: "2026-07-28"},
		{what: "modern, no capabilities", body: strings.Replace(newCall, `"io.modelcontextprotocol/clientCapabilities":{}`, `"x":1`, 1), header: modern, span: "tools/call a__do", code: "-32602", version: "2026-07-28"},
		{what: "modern, an unknown version", body: strings.Replace(newCall, "2026-07-28", "2031-01-01", 1), header: with(modern, headerVersion, "2031-01-01"), span: "tools/call a__do", code: "-32022", failed: "-32022"},
		{what: "modern, no id", body: strings.Replace(newCall, `"id":1,`, "", 1), header: modern, span: "tools/call a__do", code: "-32600", version: "2026-07-28"},
		{what: "shutting down", body: oldCall, span: "tools/call a__do", code: "-33006", failed: "shutdown", version: "2025-11-25"},
		{what: "initialize while shutting down", body: `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{}}}`, header: none, span: "initialize", code: "-33006", failed: "shutdown", version: "2025-11-25"},
		{what: "modern, shutting down", body: newCall, header: modern, span: "tools/call a__do", code: "-33006", failed: "shutdown", version: "2026-07-28"},
	}
	for i := range cases {
		x := &cases[i]
		if strings.Contains(x.what, "shutting down") {
			r.Drain(done0())
		}
		x.trace = ids.next()
		req := c.request(t.Context(), http.MethodPost, x.body)
		req.Header.Set("Traceparent", parentOf(x.trace, headerSpan, "01"))
		for name, value := range x.header {
			req.Header.Set(name, value)
			if value == "" {
				req.Header.Del(name)
			}
		}
		before := served(t, r.tel)
		if got := c.do(req); !strings.Contains(got.body, `"error"`) {
			t.Errorf("%s: %d %s", x.what, got.status, got.body)
		}
		if n := served(t, r.tel) - before; n != 1 {
			t.Errorf("%s: counted %d times", x.what, n)
		}
	}
	r.end()
	for _, x := range cases {
		all := r.Trace(x.trace)
		if len(all) != 1 {
			t.Errorf("%s: the trace is %q", x.what, r.Tree(x.trace))
			continue
		}
		s := all[0]
		if s.Kind != "SERVER" || s.Name != x.span || s.Parent != headerSpan || s.Attr(telemetry.AttrStatusCode) != x.code || s.Attr(telemetry.AttrErrorType) != x.failed ||
			s.Failed != (x.failed != "") || s.Attr(telemetry.AttrProtocolVersion) != x.version || s.Attr(telemetry.AttrMethod) == "" || s.Attr(telemetry.AttrClientAddress) == "" {
			t.Errorf("%s: it is told as %+v", x.what, s)
		}
		if id, want := s.Attr(telemetry.AttrRequestID), strings.Contains(x.body, `"id":1`); (id == "1") != want || (id == "") == want {
			t.Errorf("%s: its id is told as %q", x.what, id)
		}
	}
}

// The same of a client on stdio.
func TestWhatIsTurnedDownOnStdioIsTraced(t *testing.T) {
	r := traces(t, settings(t, "a"), Options{Dialer: dialer("do")}, nil)
	p := r.pipe(t)
	want := map[string]string{}
	say := func(id int, span, code, body string) {
		p.say(strings.Replace(body, `"id":1`, fmt.Sprintf(`"id":%d`, id), 1))
		if got := p.hear(); !strings.Contains(got, `"code":`+code) {
			t.Errorf("%s: %s", body, got)
		}
		want[strconv.Itoa(id)] = span + " " + code
	}
	say(11, "tools/call a__do", "-32600", oldCall) // before initialize
	say(12, "server/discover", "-32601", `{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2025-11-25"}}}`)
	say(13, "tools/call a__do", "-32022", strings.Replace(newCall, "2026-07-28", "2031-01-01", 1))
	say(14, "tools/call a__do", "-32602", strings.Replace(newCall, "clientCapabilities", "x", 1))
	say(15, "tools/call _other", "-32602", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":[]}`)
	r.Drain(done0())
	say(16, "tools/call a__do", "-33006", newCall)
	r.end()
	for _, s := range r.Spans() {
		id := s.Attr(telemetry.AttrRequestID)
		if got := s.Name + " " + s.Attr(telemetry.AttrStatusCode); s.Kind == "SERVER" && want[id] != got {
			t.Errorf("%s is told as %q, want %q", id, got, want[id])
		}
		if s.Kind == "SERVER" {
			delete(want, id)
			if s.Attr(telemetry.AttrTransport) != "pipe" || s.Attr(telemetry.AttrSessionID) != "" && (id == "13" || id == "14" || id == "16") {
				t.Errorf("%s is told as %+v", id, s)
			}
		}
	}
	if len(want) > 0 {
		t.Errorf("not told: %v", want)
	}
}

// What is no request is counted, and nobody can make traces, or series, of it; nor can
// those who are not let in. Whoever is, and asks for too much, is told as others are.
func TestWhatHasNoMethodIsCounted(t *testing.T) {
	cfg := settings(t, "a")
	key := keyed(cfg, "alice")["alice"]
	cfg.Server.Auth.Scopes.Tools = map[string][]string{"a__do": {"write"}}
	r := traces(t, cfg, Options{Dialer: dialer("do")}, nil)
	r.tel.MetricsHandler()
	c := r.as(key)
	before := served(t, r.tel)
	for _, body := range []string{
		"", "{", "[]", "3", `{"a":1}`, `{"jsonrpc":"2.0","id":1,"method":3}`, `[` + oldCall + `]`, `{"jsonrpc":"2.0","id":1,"method":"tools/call"`,
		`{"jsonrpc":"2.0","method":"notifications/progress","params":[]}`,
	} {
		c.post(body)
	}
	req := c.request(t.Context(), http.MethodPost, oldCall)
	req.Header.Set("Content-Type", "text/plain")
	c.do(req)
	req = c.request(t.Context(), http.MethodPost, oldCall)
	req.Header.Set("Accept", "text/html")
	c.do(req)
	stranger := &client{r: r.rig, path: "/mcp", version: c.version, session: c.session}
	stranger.post(oldCall)
	stranger.key = "ilk_" + strings.Repeat("0", 64)
	stranger.post(oldCall)
	shows(t, "after what is none", r.tel, map[string]string{
		`interlock_calls_rejected_total{reason="malformed"}`:       "11",
		`interlock_calls_rejected_total{reason="unauthenticated"}`: "1",
		`interlock_calls_rejected_total{reason="invalid_token"}`:   "1",
	})
	if n := served(t, r.tel); n != before {
		t.Errorf("%d operations are counted, want the %d of before", n, before)
	}
	c.post(oldCall)
	if n := served(t, r.tel); n != before+1 {
		t.Errorf("a call that needs another scope: %d operations, were %d", n, before)
	}
	r.end()
	var asked []string
	for _, s := range r.Spans() {
		if s.Kind == "SERVER" && s.Name != "initialize" {
			asked = append(asked, s.Name+" "+s.Attr(telemetry.AttrErrorType))
		}
	}
	if len(asked) != 1 || asked[0] != "tools/call a__do insufficient_scope" {
		t.Errorf("told: %q", asked)
	}
}
