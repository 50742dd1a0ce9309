package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/interlock-mcp/interlock/telemetry"
	"github.com/interlock-mcp/interlock/telemetry/telemetrytest"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/upstreamtest"
)

// traced is a gateway whose spans go to a collector.
type traced struct {
	*rig
	*telemetrytest.Collector
	end func() // ends the gateway, and has all spans exported
}

// startTelemetry starts a telemetry that exports to c. end ends it, once.
func startTelemetry(t *testing.T, c *telemetrytest.Collector, change func(*telemetry.Config)) (tel *telemetry.Telemetry, end func()) {
	t.Helper()
	tc := telemetry.Defaults()
	tc.OTLP.Endpoint = c.URL
	if change != nil {
		change(&tc)
	}
	tel, err := telemetry.Start(t.Context(), tc, telemetry.Resource{Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	end = sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		if err := tel.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	return tel, end
}

// traces runs a gateway for cfg that is traced. change may be nil.
func traces(t *testing.T, cfg *config.Config, o Options, change func(*telemetry.Config)) *traced {
	t.Helper()
	c := telemetrytest.New(t)
	tel, end := startTelemetry(t, c, change)
	o.Telemetry = tel
	r := startWith(t, cfg, o).running()
	x := &traced{rig: r, Collector: c, end: func() { r.stop(); nothingUnderWay(t, tel); end() }}
	t.Cleanup(end) // before the collector ends
	return x
}

// nothingUnderWay looks whether each span of a request has ended.
func nothingUnderWay(t *testing.T, tel *telemetry.Telemetry) {
	t.Helper()
	raw, _, err := tel.Traces(telemetry.Wanted{UnderWay: true})
	if errors.Is(err, telemetry.ErrNotKept) {
		return
	}
	all, err2 := admin.ReadSpans(raw)
	if err = errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	for _, spans := range all {
		for _, s := range spans {
			if s.Open {
				t.Errorf("the gateway has ended, and this has not: %+v", s)
			}
		}
	}
}

// remoteKit is the fake over HTTP and the headers of the calls that it got.
type remoteKit struct {
	mu    sync.Mutex // guards calls
	calls []http.Header
}

// last returns the header of the last call.
func (k *remoteKit) last() http.Header {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.calls) == 0 {
		return nil
	}
	return k.calls[len(k.calls)-1]
}

// remote adds an upstream over HTTP to cfg, in those modes of upstreamtest.
func remote(t *testing.T, cfg *config.Config, name, modes string) *remoteKit {
	t.Helper()
	k := new(remoteKit)
	fake := upstreamtest.NewRemote(modes, nil)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		if bytes.Contains(body, []byte(`"method":"tools/call"`)) {
			k.mu.Lock()
			k.calls = append(k.calls, r.Header.Clone())
			k.mu.Unlock()
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		fake.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	u := upstream.Defaults()
	u.Name, u.URL = name, srv.URL
	cfg.Upstreams = append(cfg.Upstreams, u)
	return k
}

// aClient is a client of one era over one transport, which calls one tool at a time.
type aClient struct {
	name   string
	http   bool
	modern bool
	call   func(params string, h http.Header) string // the answer
}

// fourClients are one for each era and transport.
func fourClients(t *testing.T, r *rig) []aClient {
	t.Helper()
	legacy, modern := r.connect(`{}`), r.caller(`{}`)
	post := func(req *http.Request, h http.Header) string {
		maps.Copy(req.Header, h)
		return legacy.do(req).body
	}
	p := r.pipe(t)
	p.say(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{}}}`)
	p.hear()
	n := 0
	say := func(body func(id string) string) string {
		n++
		p.say(body(fmt.Sprint(n)))
		for {
			if line := p.hear(); line == "" || strings.Contains(line, fmt.Sprintf(`"id":%d,`, n)) {
				return line
			}
		}
	}
	of := func(params string) func(string) string {
		return func(id string) string {
			return `{"jsonrpc":"2.0","id":` + id + `,"method":"tools/call","params":` + params + `}`
		}
	}
	return []aClient{
		{"legacy over HTTP", true, false, func(params string, h http.Header) string {
			return post(legacy.request(t.Context(), http.MethodPost, of(params)("1")), h)
		}},
		{"modern over HTTP", true, true, func(params string, h http.Header) string {
			return post(modern.ask(t.Context(), modernized(of(params)("1"))), h)
		}},
		{"legacy on stdio", false, false, func(params string, _ http.Header) string { return say(of(params)) }},
		{"modern on stdio", false, true, func(params string, _ http.Header) string {
			return say(func(id string) string { return modernized(of(params)(id)) })
		}},
	}
}

// modernized makes a request whose params begin with _meta one of 2026-07-28.
func modernized(body string) string {
	const meta = `"params":{"_meta":{`
	own := `"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}`
	if strings.Contains(body, meta+"}") {
		return strings.Replace(body, meta, meta+own, 1)
	}
	return strings.Replace(body, meta, meta+own+",", 1)
}

// echoed is the _meta that the tool echo of the fake got: its bytes, and as text
// the members that are strings.
func echoed(t *testing.T, body string) (raw string, members map[string]string) {
	t.Helper()
	var m struct {
		Result struct {
			StructuredContent struct {
				Meta json.RawMessage `json:"_meta"`
			}
		}
	}
	if err := json.Unmarshal([]byte(body), &m); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	var all map[string]any
	if err := json.Unmarshal(m.Result.StructuredContent.Meta, &all); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	members = make(map[string]string)
	for name, v := range all {
		if s, ok := v.(string); ok {
			members[name] = s
		}
	}
	return string(m.Result.StructuredContent.Meta), members
}
