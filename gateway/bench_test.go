package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/policy/builtin"
	"github.com/interlock-mcp/interlock/telemetry"
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

var benchAnswer = json.RawMessage(`{"content":[{"type":"text","text":"hello"}]}`)

// benchHandler is a gateway in front of a server that costs nothing, with policies.
func benchHandler(b *testing.B, tel *telemetry.Telemetry, steps ...policy.Step) http.Handler {
	b.Helper()
	d := new(linktest.Dialer)
	d.Server("a").Tools = []string{"echo"}
	d.Server("a").OnRequest = func(_ context.Context, _ *linktest.Link, method string, _ *upstream.Request) (json.RawMessage, error) {
		if method == "tools/call" {
			return benchAnswer, nil
		}
		return nil, nil
	}
	cfg := config.Defaults()
	cfg.StateDir = b.TempDir()
	u := upstream.Defaults()
	u.Name, u.Command = "a", "fake"
	cfg.Upstreams = []upstream.Config{u}
	for _, s := range steps {
		cfg.Policies = append(cfg.Policies, builtin.Config{Name: s.Name})
	}
	g, err := New(&cfg, Options{Dialer: d, Version: "test", Telemetry: tel, makePolicies: these(steps...)})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	b.Cleanup(func() { cancel(); <-done })
	<-g.view.Load().ready
	for {
		if _, ok := g.view.Load().catalog.Tool("a__echo"); ok {
			break
		}
		<-g.Changed()
	}
	return g.Handler()
}

// benchPosts posts the body again and again.
func benchPosts(b *testing.B, h http.Handler, req *http.Request, body []byte) {
	b.Helper()
	b.ReportAllocs()
	rd := bytes.NewReader(nil)
	req.ContentLength = int64(len(body))
	for b.Loop() {
		rd.Reset(body)
		req.Body = io.NopCloser(rd)
		s := &sink{header: make(http.Header)}
		h.ServeHTTP(s, req)
		if s.status != http.StatusOK || s.size < len(benchAnswer) {
			b.Fatal(s.status)
		}
	}
}

// BenchmarkPost is what one tools/call costs between net/http and the link: the
// body, the scan, the session, the name, the breaker and the answer.
func BenchmarkPost(b *testing.B) {
	h := benchHandler(b, nil)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, benchRequest("", `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{}}}`))
	benchPosts(b, h, benchRequest(w.Header().Get(headerSession), ""), []byte(calls("1", "a__echo", `{"message":"hello"}`)))
}

// idle is a policy that does nothing.
type idle struct{}

func (*idle) Before(context.Context, *policy.Call) error                { return nil }
func (*idle) After(context.Context, *policy.Call, *policy.Answer) error { return nil }

// BenchmarkPolicies is BenchmarkPost without a policy, with one, and with five that
// do nothing: what the chain itself costs.
func BenchmarkPolicies(b *testing.B) {
	for _, n := range []int{0, 1, 5} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			var steps []policy.Step
			for i := range n {
				steps = append(steps, policy.Step{Name: "idle" + strconv.Itoa(i), Policy: &idle{}})
			}
			h := benchHandler(b, nil, steps...)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, benchRequest("", `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{}}}`))
			benchPosts(b, h, benchRequest(w.Header().Get(headerSession), ""), []byte(calls("1", "a__echo", `{"message":"hello"}`)))
		})
	}
}

// BenchmarkModernPost is the same for a client of 2026-07-28: no session, but
// headers and _meta to check, and a result to complete.
func BenchmarkModernPost(b *testing.B) {
	h := benchHandler(b, nil)
	req := benchRequest("", "")
	req.Header.Set(headerVersion, modernVersion)
	req.Header.Set(headerMethod, "tools/call")
	req.Header.Set(headerName, "a__echo")
	benchPosts(b, h, req, []byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",`+
		`"io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}},"name":"a__echo","arguments":{"message":"hello"}}}`))
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
