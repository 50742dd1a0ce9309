package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"
)

// held is an MCP server over HTTP with the tool wait. It answers requests of some
// methods when the test says so, and no sooner: what lasts as long as the test looks
// needs no clock.
type held struct {
	t         *testing.T
	url       string
	methods   []string
	came      chan *pause
	cancelled chan struct{} // takes one for each notifications/cancelled
}

// pause is a request that is held.
type pause struct {
	end chan bool // capacity 1
}

// newHeld returns a server that holds the requests of the methods.
func newHeld(t *testing.T, methods ...string) *held {
	t.Helper()
	h := &held{t: t, methods: methods, came: make(chan *pause), cancelled: make(chan struct{}, 10)}
	srv := httptest.NewUnstartedServer(h)
	h.url = "http://" + srv.Listener.Addr().String() + "/mcp"
	srv.Start()
	t.Cleanup(srv.Close)
	return h
}

// upstream is its entry in a configuration.
func (h *held) upstream(name, more string) string {
	return "  " + name + ": {url: '" + h.url + "', transport: http, protocol: legacy" + more + "}\n"
}

// next waits until a request is held.
func (h *held) next() *pause {
	h.t.Helper()
	return awaited(h.t, h.came, "a request that is held")
}

// answer lets the request have its answer, or an error.
func (p *pause) answer(well bool) { p.end <- well }

// awaited returns what a channel gives, for which it waits no longer than patient.
func awaited[T any](t *testing.T, from <-chan T, what string) T {
	t.Helper()
	select {
	case x := <-from:
		return x
	case <-time.After(patient):
		t.Fatalf("it never came: %s", what)
		panic("unreachable")
	}
}

func (h *held) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var m struct {
		ID     json.RawMessage `json:"id"`
		Method string          `json:"method"`
	}
	if body, err := io.ReadAll(r.Body); err != nil || json.Unmarshal(body, &m) != nil {
		w.WriteHeader(http.StatusMethodNotAllowed) // it has no streams
		return
	}
	if slices.Contains(h.methods, m.Method) && !h.hold(r) {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	if len(m.ID) == 0 {
		if m.Method == "notifications/cancelled" {
			h.cancelled <- struct{}{}
		}
		w.WriteHeader(http.StatusAccepted)
		return
	}
	results := map[string]string{
		"initialize": `{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"held","version":"1"}}`,
		"tools/list": `{"tools":[{"name":"wait","inputSchema":{"type":"object"}}]}`,
		"tools/call": `{"content":[{"type":"text","text":"it was long"}]}`,
		"ping":       `{}`,
	}
	w.Header().Set("Content-Type", "application/json")
	if result, ok := results[m.Method]; ok {
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":`+string(m.ID)+`,"result":`+result+`}`)
		return
	}
	_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":`+string(m.ID)+`,"error":{"code":-32601,"message":"Method not found"}}`)
}

// hold returns how a request is to be answered, once the test has said so or who
// asks has gone.
func (h *held) hold(r *http.Request) (well bool) {
	p := &pause{end: make(chan bool, 1)}
	select {
	case h.came <- p:
	case <-r.Context().Done():
		return false
	}
	select {
	case well = <-p.end:
	case <-r.Context().Done():
	}
	return well
}
