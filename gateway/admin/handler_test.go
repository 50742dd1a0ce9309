package admin

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestHandler(t *testing.T) {
	h := Handler(Options{State: &fakeState{ready: true}, Version: "1.2.3"})
	for _, tt := range []struct {
		name, method, path, body string
		status                   int
		has                      string
	}{
		{"upstreams", "GET", "/v1/upstreams", "", 200, `{"upstreams":[{"name":"files","state":"running","health":"healthy","breaker":"closed","transport":"stdio","pid":42,"tools":1`},
		{"one", "GET", "/v1/upstreams/files", "", 200, `{"name":"files"`},
		{"an escaped name", "GET", "/v1/upstreams/a%2Fb", "", 200, `"last_failure":{"stage":"spawn","message":"no such file"`},
		{"unknown upstream", "GET", "/v1/upstreams/fils", "", 404, `"code":"unknown_upstream"`},
		{"tools", "GET", "/v1/tools", "", 200, `{"problems":[],"tools":[{"name":"files__echo","upstream":"files","target":"echo","listed":true}]}`},
		{"call", "POST", "/v1/call", `{"tool":"files__echo","arguments":{"n":12345678901234567890}}`, 200, `{"content":[], "structuredContent":{"n":12345678901234567890}}`},
		{"no arguments", "POST", "/v1/call", `{"tool":"files__echo"}`, 200, `"structuredContent":{}`},
		{"unknown tool", "POST", "/v1/call", `{"tool":"x"}`, 404, `"code":"unknown_tool","mend":"list them"`},
		{"no tool", "POST", "/v1/call", `{}`, 400, `"code":"bad_request"`},
		{"arguments of the wrong kind", "POST", "/v1/call", `{"tool":"x","arguments":[1]}`, 400, `arguments must be a JSON object`},
		{"no JSON", "POST", "/v1/call", `{`, 400, `"code":"bad_request"`},
		{"too large", "POST", "/v1/call", `{"tool":"` + strings.Repeat("x", maxBody) + `"}`, 413, `"code":"too_large"`},
		{"wrong method", "GET", "/v1/call", "", 405, `"code":"method_not_allowed"`},
		{"wrong method for a read", "DELETE", "/v1/tools", "", 405, `takes GET, HEAD only`},
		{"no route", "GET", "/v2", "", 404, `"code":"not_found"`},
		{"livez", "GET", "/livez", "", 200, `{"status":"ok"}`},
		{"readyz", "GET", "/readyz", "", 200, `{"ready":true,"waiting":[]}`},
		{"no metrics", "GET", "/metrics", "", 404, `"code":"not_found"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(tt.method, tt.path, strings.NewReader(tt.body))
			if tt.method == "POST" {
				r.Header.Set("Content-Type", "application/json; charset=utf-8")
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.has) {
				t.Errorf("got %d %s, want %d and %s", w.Code, w.Body, tt.status, tt.has)
			}
			want := "application/json"
			if tt.status >= 400 {
				want = "application/problem+json"
			}
			if got := w.Header().Get("Content-Type"); got != want {
				t.Errorf("Content-Type %q, want %q", got, want)
			}
			if !json.Valid(w.Body.Bytes()) {
				t.Errorf("no JSON: %s", w.Body)
			}
			if got := w.Header().Get("Server"); tt.status != 405 && got != "interlock/1.2.3" {
				t.Errorf("Server %q", got)
			}
		})
	}
}

func TestCallNeedsJSON(t *testing.T) {
	h := Handler(Options{State: &fakeState{}})
	r := httptest.NewRequest(http.MethodPost, "/v1/call", strings.NewReader(`{"tool":"files__echo"}`))
	r.Header.Set("Content-Type", "text/plain")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusUnsupportedMediaType {
		t.Errorf("text/plain got %d: a page could call tools without a preflight", w.Code)
	}
}

func TestErrorsOfTheState(t *testing.T) {
	for _, tt := range []struct {
		name   string
		err    error
		status int
		has    string
	}{
		{"an answer of the server", &Error{Code: CodeUpstream, Detail: "no", RPC: json.RawMessage(`{"code":-32602}`)}, 502, `"rpc_error":{"code":-32602}`},
		{"a broken rpc error", &Error{Code: CodeUpstream, Detail: "no", RPC: json.RawMessage(`{`)}, 502, `"code":"upstream_error"`},
		{"draining", &Error{Code: CodeDraining, Detail: "going"}, 503, `"code":"draining"`},
		{"anything else is not told", errors.New("secret detail"), 500, `"code":"internal"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := Handler(Options{State: &fakeState{callErr: tt.err}})
			r := httptest.NewRequest(http.MethodPost, "/v1/call", strings.NewReader(`{"tool":"t"}`))
			r.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			body, _ := io.ReadAll(w.Body)
			if w.Code != tt.status || !strings.Contains(string(body), tt.has) || strings.Contains(string(body), "secret") {
				t.Errorf("got %d %s, want %d and %s", w.Code, body, tt.status, tt.has)
			}
		})
	}
}

func TestReadyWaits(t *testing.T) {
	h := Handler(Options{State: &fakeState{}, Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "up 1") })})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
	if w.Code != 503 || !strings.Contains(w.Body.String(), `{"ready":false,"waiting":["files"]}`) {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	w = httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != 200 || w.Body.String() != "up 1" {
		t.Errorf("metrics: got %d %s", w.Code, w.Body)
	}
}
