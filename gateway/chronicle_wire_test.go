package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/interlock-mcp/interlock/telemetry"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/upstreamtest"
)

// overheard are the requests that came to servers, by the server.
type overheard struct {
	mu  sync.Mutex // guards all
	all map[string][]ownRequest
}

// ownRequest is one request of the gateway as it came.
type ownRequest struct {
	raw    string
	header string // Traceparent, of HTTP
}

func (h *overheard) take(server string, raw []byte, header http.Header) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for line := range bytes.Lines(raw) {
		h.all[server] = append(h.all[server], ownRequest{string(bytes.TrimSpace(line)), header.Get("Traceparent")})
	}
}

// fourServers adds servers of both eras over HTTP and on stdio to cfg. What is
// returned tells, at the end, what they were asked.
func fourServers(t *testing.T, cfg *config.Config) (all func() map[string][]ownRequest) {
	t.Helper()
	tee, err := exec.LookPath("tee")
	if err != nil {
		t.Skip("there is no tee")
	}
	h := &overheard{all: make(map[string][]ownRequest)}
	files := make(map[string]string)
	for _, modes := range []string{"session", "modern"} {
		fake := upstreamtest.NewRemote(modes, nil)
		name := modes + "web"
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return
			}
			h.take(name, body, r.Header)
			r.Body = io.NopCloser(bytes.NewReader(body))
			fake.ServeHTTP(w, r)
		}))
		t.Cleanup(srv.Close)
		u := upstream.Defaults()
		u.Name, u.URL = name, srv.URL
		u.Health.Interval = time.Hour // they are probed when they are told to be
		cfg.Upstreams = append(cfg.Upstreams, u)

		u = *child(t, cfg, modes+"kid", map[string]string{upstreamtest.Mode: modes})
		files[u.Name] = filepath.Join(t.TempDir(), "heard")
		last := &cfg.Upstreams[len(cfg.Upstreams)-1]
		last.Health.Interval = time.Hour
		last.Command, last.Args = "/bin/sh", []string{"-c", fmt.Sprintf("'%s' '%s' | '%s'", tee, files[u.Name], u.Command)}
	}
	return func() map[string][]ownRequest {
		for name, file := range files {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			h.take(name, raw, nil)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		return maps.Clone(h.all) // a stream of changes may only now come to a server
	}
}

// What the supervisor asks a server by itself carries the context of what it asks it
// for: a stage of a start, or the call for whose client a session is made. It is in
// params._meta, and over HTTP in the header.
func TestContextOfWhatTheSupervisorAsks(t *testing.T) {
	cfg := settings(t)
	all := fourServers(t, cfg)
	r := traces(t, cfg, Options{}, nil)
	for _, u := range cfg.Upstreams {
		r.set.Upstream(u.Name).Check(t.Context())
	}
	r.connect(`{}`).post(calls("1", "sessionweb__echo", `{}`))
	r.end()
	parents := make(map[string]int) // the name of the server, the method and the span
	for server, requests := range all() {
		for _, q := range requests {
			var m struct {
				ID     json.RawMessage
				Method string
				Params struct {
					Meta struct{ Traceparent string } `json:"_meta"`
				}
			}
			if err := json.Unmarshal([]byte(q.raw), &m); err != nil {
				t.Fatal(err)
			}
			if m.ID == nil || m.Method == "tools/call" || m.Method == "subscriptions/listen" {
				continue
			}
			from := m.Params.Meta.Traceparent
			if q.header != "" && q.header != from || len(from) != 55 {
				t.Errorf("%s got %q in the header and %s", server, q.header, q.raw)
				continue
			}
			by := "nothing, not sampled"
			if strings.HasSuffix(from, "-01") {
				by = "nothing"
			}
			for _, s := range r.Spans() {
				if s.ID == from[36:52] && s.Trace == from[3:35] {
					by = s.Name
				}
			}
			parents[server+" "+m.Method+" for "+by]++
		}
	}
	for _, want := range []string{
		"sessionkid initialize for handshake", "sessionkid tools/list for list", "sessionkid ping for nothing, not sampled",
		"sessionweb initialize for spawn", "sessionweb tools/list for list", "sessionweb ping for nothing, not sampled", "sessionweb initialize for tools/call echo",
		"modernkid server/discover for handshake", "modernkid tools/list for list", "modernkid server/discover for nothing, not sampled",
		"modernweb server/discover for spawn", "modernweb tools/list for list", "modernweb server/discover for nothing, not sampled",
	} {
		if parents[want] != 1 {
			t.Errorf("%q is there %d times, of %v", want, parents[want], parents)
		}
	}
	for what := range parents {
		if strings.HasSuffix(what, "for nothing") {
			t.Errorf("%s that was ever told", what)
		}
	}
}

// When no traces are exported nothing is added, also while they are kept in memory.
func TestNothingIsAddedToWhatTheSupervisorAsks(t *testing.T) {
	cfg := settings(t)
	all := fourServers(t, cfg)
	tel, err := telemetry.Start(t.Context(), telemetry.Defaults(), telemetry.Resource{Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	if !tel.Tracing() || tel.Exporting() {
		t.Fatal("traces are not kept, or exported")
	}
	r := startWith(t, cfg, Options{Telemetry: tel}).running()
	for _, u := range cfg.Upstreams {
		r.set.Upstream(u.Name).Check(t.Context())
	}
	r.connect(`{}`).post(calls("1", "sessionweb__echo", `{}`))
	r.stop()
	n := 0
	for server, requests := range all() {
		for _, q := range requests {
			if n++; q.header != "" || strings.Contains(q.raw, "traceparent") {
				t.Errorf("%s got %q in the header and %s", server, q.header, q.raw)
			}
		}
	}
	if n < 12 {
		t.Errorf("%d requests were seen", n)
	}
}
