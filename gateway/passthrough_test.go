//go:build !windows

package gateway

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/interlock-mcp/interlock/telemetry"
	"github.com/interlock-mcp/interlock/upstream"
)

// recording is what a recorder has been sent, as bytes.
type recording struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (r *recording) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.Write(p)
}

func (r *recording) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.String()
}

// recordingRemote is an MCP server over HTTP that keeps all it is sent.
func recordingRemote(t *testing.T, version string) (url string, seen *recording) {
	t.Helper()
	seen = new(recording)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		whole, err := httputil.DumpRequest(r, true)
		if err != nil {
			t.Error(err)
		}
		_, _ = seen.Write(whole)
		var m struct {
			ID     json.RawMessage
			Method string
		}
		_ = json.NewDecoder(r.Body).Decode(&m)
		result := map[string]string{
			"initialize":      `{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"r","version":"1"}}`,
			"server/discover": `{"resultType":"complete","ttlMs":0,"cacheScope":"private","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"r","version":"1"}}}`,
			"tools/list":      `{"resultType":"complete","ttlMs":0,"cacheScope":"private","tools":[{"name":"do","inputSchema":{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"}}}}]}`,
			"tools/call":      `{"resultType":"complete","content":[{"type":"text","text":"done"}]}`,
			"ping":            `{}`,
		}[m.Method]
		switch {
		case r.Method != http.MethodPost:
			w.WriteHeader(http.StatusMethodNotAllowed)
		case m.ID == nil:
			w.WriteHeader(http.StatusAccepted)
		case result == "" || (m.Method == "server/discover") != (version == modernVersion) && m.Method != "tools/list" && m.Method != "tools/call" && m.Method != "initialize":
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"method not found"}}`, m.ID)
		default:
			w.Header().Set("Content-Type", "application/json")
			if m.Method == "initialize" {
				w.Header().Set("Mcp-Session-Id", "upstream-session")
			}
			fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":%s}`, m.ID, result)
		}
	}))
	t.Cleanup(srv.Close)
	return srv.URL + "/mcp", seen
}

// What a client shows to be let in, and whatever else it sends for the gateway alone,
// is in no request to an upstream, no environment, log, span, audit or state.
func TestCredentialsStayHere(t *testing.T) {
	dir := t.TempDir()
	said, spans := new(recording), new(recording)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body := io.Reader(r.Body)
		if r.Header.Get("Content-Encoding") == "gzip" {
			body, _ = gzip.NewReader(body)
		}
		_, _ = io.Copy(spans, body)
	}))
	defer collector.Close()
	cfg := settings(t)
	kid := child(t, cfg, "kid", nil)
	kid.Args = []string{"-c", `tee "` + filepath.Join(dir, "stdin") + `".$$ | "` + kid.Command + `"`}
	kid.Command = "sh"
	remote, seen := recordingRemote(t, "2025-11-25")
	newer, seenNewer := recordingRemote(t, modernVersion)
	for name, url := range map[string]string{"remote": remote, "newer": newer} {
		u := upstream.Defaults()
		u.Name, u.URL = name, url
		cfg.Upstreams = append(cfg.Upstreams, u)
	}
	keys := keyed(cfg, "alice")
	tc := telemetry.Defaults()
	tc.OTLP.Endpoint, tc.Audit.Path, tc.Logs.Level = collector.URL, filepath.Join(dir, "audit.jsonl"), "debug"
	log := telemetry.NewLogger(tc, said, false)
	tel, err := telemetry.Start(t.Context(), tc, telemetry.Resource{Version: "test", Log: log})
	if err != nil {
		t.Fatal(err)
	}
	r := startWith(t, cfg, Options{Telemetry: tel, Log: log}).running()

	key := keys["alice"]
	secrets := []string{key, strings.TrimPrefix(key, "ilk_"), "c00kie", "pr0xy", "passw0rd", "quer1ed", "cust0m"}
	dress := func(req *http.Request) *http.Request {
		req.AddCookie(&http.Cookie{Name: "session", Value: "c00kie"})
		req.Header.Set("Proxy-Authorization", "Basic pr0xy")
		req.Header.Set("X-Forwarded-Authorization", "Bearer cust0m")
		req.Header.Set("Baggage", "team=blue")
		req.Header.Set("Mcp-Param-Region", "eu")
		return req
	}
	asKey := func(req *http.Request) *http.Request { // for those whose Authorization is a proxy's
		req.Header.Set("X-Api-Key", key)
		req.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("me:passw0rd")))
		return req
	}
	old, modern := r.as(key), r.user(key, "{}")
	for _, tool := range []string{"kid__echo", "remote__do", "newer__do"} {
		for _, present := range []func(*http.Request) *http.Request{dress, func(q *http.Request) *http.Request { return asKey(dress(q)) }} {
			for _, req := range []*http.Request{
				old.request(t.Context(), "POST", calls("1", tool, `{"region":"eu"}`)),
				modern.ask(t.Context(), modern.body("1", "tools/call", `{"name":"`+tool+`","arguments":{"region":"eu"}}`)),
			} {
				if got := old.do(present(req)); got.status != http.StatusOK || strings.Contains(got.body, "isError") {
					t.Errorf("%s: %d %s", tool, got.status, got.body)
				}
			}
		}
	}
	env := old.post(calls("1", "kid__env", "{}"))
	for _, bad := range []string{"?access_token=quer1ed", "?api_key=quer1ed", "?x=" + key} {
		req := dress(old.request(t.Context(), "POST", calls("1", "kid__echo", "{}")))
		req.URL.RawQuery = bad[1:]
		if got := old.do(req); got.status != http.StatusUnauthorized {
			t.Errorf("%s: %d", bad, got.status)
		}
	}
	wrong := *old
	wrong.key = "ilk_cust0m" // which is refused, and not repeated
	wrong.post("{}")
	r.stop()
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}

	found := map[string]string{"the old remote": seen.String(), "the new remote": seenNewer.String(), "spans": spans.String(), "the log": said.String(), "the environment": env.body}
	for _, folder := range []string{dir, cfg.StateDir} {
		_ = filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				b, _ := os.ReadFile(path)
				found[filepath.Base(path)] = string(b)
			}
			return err
		})
	}
	said1 := 0
	for where, text := range found {
		if strings.HasPrefix(where, "stdin.") && strings.Contains(text, "tools/call") {
			said1++
		}
		for _, s := range append(secrets, base64.StdEncoding.EncodeToString([]byte("me:passw0rd")), old.session) {
			if strings.Contains(strings.ToLower(text), strings.ToLower(s)) {
				t.Errorf("%q is in %s", s, where)
			}
		}
	}
	// All of these would hold nothing if nothing were recorded.
	for where, want := range map[string]string{"the old remote": "tools/call", "the new remote": "Mcp-Param-Region: eu", "spans": "remote__do", "the log": "credential", "audit.jsonl": "alice", "the environment": "PATH="} {
		if !strings.Contains(found[where], want) {
			t.Errorf("%s holds no %q: %.2000s", where, want, found[where])
		}
	}
	if said1 == 0 {
		t.Error("nothing is recorded of what the child was told")
	}
}
