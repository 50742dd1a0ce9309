package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// sink is a ResponseWriter that costs nothing.
type sink struct {
	header http.Header
	status int
	size   int
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(status int)      { s.status = status }
func (s *sink) Write(b []byte) (int, error) { s.size += len(b); return len(b), nil }

// BenchmarkPost is what one tools/call costs between net/http and the link: the
// body, the scan, the session, the name, the breaker and the answer.
func BenchmarkPost(b *testing.B) {
	answer := json.RawMessage(`{"content":[{"type":"text","text":"hello"}]}`)
	d := new(linktest.Dialer)
	d.Server("a").Tools = []string{"echo"}
	d.Server("a").OnRequest = func(_ context.Context, _ *linktest.Link, method string, _ *upstream.Request) (json.RawMessage, error) {
		if method == "tools/call" {
			return answer, nil
		}
		return nil, nil
	}
	cfg := config.Defaults()
	cfg.StateDir = b.TempDir()
	u := upstream.Defaults()
	u.Name, u.Command = "a", "fake"
	cfg.Upstreams = []upstream.Config{u}
	g, err := New(&cfg, Options{Dialer: d, Version: "test"})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	defer func() { cancel(); <-done }()
	<-g.view.Load().ready
	for {
		if _, ok := g.view.Load().catalog.Tool("a__echo"); ok {
			break
		}
		<-g.Changed()
	}
	h := g.Handler()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, benchRequest("", `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{}}}`))
	session := w.Header().Get(headerSession)
	body := []byte(calls("1", "a__echo", `{"message":"hello"}`))
	b.ReportAllocs()
	req := benchRequest(session, "")
	rd := bytes.NewReader(nil)
	req.ContentLength = int64(len(body))
	for b.Loop() {
		rd.Reset(body)
		req.Body = io.NopCloser(rd)
		s := &sink{header: make(http.Header)}
		h.ServeHTTP(s, req)
		if s.status != http.StatusOK || s.size < len(answer) {
			b.Fatal(s.status)
		}
	}
}

func benchRequest(session, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1/mcp", bytes.NewReader([]byte(body)))
	r.Host = "127.0.0.1"
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	if session != "" {
		r.Header.Set(headerSession, session)
		r.Header.Set(headerVersion, "2025-11-25")
	}
	return r
}
