package gateway

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/interlock-mcp/interlock/gateway/config"
)

// Whoever a trusted proxy names is the client; of others such headers say nothing.
func TestTrustedProxies(t *testing.T) {
	g := newGuard(config.Server{TrustedProxies: []string{"10.0.0.0/8", "192.0.2.7", "2001:db8::/32"}}, nil, nil)
	type header = map[string]string
	for name, tt := range map[string]struct {
		peer   string
		header header
		from   string
		host   string
		scheme string
	}{
		"nobody's":          {"203.0.113.1:5", header{"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "localhost", "Forwarded": "for=127.0.0.1;host=localhost"}, "203.0.113.1:5", "", ""},
		"none":              {"10.1.2.3:5", nil, "10.1.2.3:5", "", ""},
		"one":               {"10.1.2.3:5", header{"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Host": "mcp.example", "X-Forwarded-Proto": "HTTPS"}, "203.0.113.9", "mcp.example", "https"},
		"the client's own":  {"10.1.2.3:5", header{"X-Forwarded-For": "127.0.0.1, 203.0.113.9"}, "203.0.113.9", "", ""},
		"a chain":           {"10.1.2.3:5", header{"X-Forwarded-For": "127.0.0.1,203.0.113.9 ,10.9.9.9, 192.0.2.7"}, "203.0.113.9", "", ""},
		"hosts of a chain":  {"10.1.2.3:5", header{"X-Forwarded-For": "203.0.113.9, 10.9.9.9", "X-Forwarded-Host": "evil.example, mcp.example, inner"}, "203.0.113.9", "mcp.example", ""},
		"hosts of a client": {"10.1.2.3:5", header{"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Host": "localhost, mcp.example"}, "203.0.113.9", "mcp.example", ""},
		"a host alone":      {"10.1.2.3:5", header{"X-Forwarded-Host": "mcp.example"}, "10.1.2.3:5", "mcp.example", ""},
		"hidden":            {"10.1.2.3:5", header{"X-Forwarded-For": "203.0.113.9, unknown"}, "10.1.2.3:5", "", ""},
		"IPv6":              {"[2001:db8::1]:5", header{"X-Forwarded-For": "2001:db9::7"}, "2001:db9::7", "", ""},
		"mapped":            {"[::ffff:10.1.2.3]:5", header{"X-Forwarded-For": "::ffff:203.0.113.9"}, "203.0.113.9", "", ""},
		"the standard":      {"192.0.2.7:5", header{"Forwarded": `for=127.0.0.1, For="[2001:db9::7]:4711";proto=https;host="mcp.example"`}, "2001:db9::7", "mcp.example", "https"},
		"quoted commas":     {"192.0.2.7:5", header{"Forwarded": `for="a,b\",c";host=evil.example, for=203.0.113.9;by="x;y"`}, "203.0.113.9", "", ""},
		"both":              {"192.0.2.7:5", header{"X-Forwarded-For": "203.0.113.9", "Forwarded": "for=127.0.0.1;host=localhost"}, "203.0.113.9", "", ""},
		"nonsense":          {"192.0.2.7:5", header{"Forwarded": `;;=,"`, "X-Forwarded-For": ",,"}, "192.0.2.7:5", "", ""},
		"many":              {"192.0.2.7:5", header{"X-Forwarded-For": strings.Repeat("10.0.0.1,", 5000) + "10.0.0.2"}, "10.0.0.1", "", ""},
	} {
		r, _ := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://backend/mcp", nil)
		r.RemoteAddr = tt.peer
		for k, v := range tt.header {
			r.Header.Set(k, v)
		}
		got := g.unproxied(r)
		want := tt.host
		if want == "" {
			want = "backend"
		}
		if tt.scheme == "" {
			tt.scheme = "http"
		}
		if got.RemoteAddr != tt.from || got.Host != want || got.URL.Scheme != tt.scheme {
			t.Errorf("%s: from %s for %s by %s, want %s, %s, %s", name, got.RemoteAddr, got.Host, got.URL.Scheme, tt.from, want, tt.scheme)
		}
		if r.RemoteAddr != tt.peer || r.Host != "backend" {
			t.Errorf("%s: the request itself was changed", name)
		}
	}
}

// The Host that counts is the one that the client called, and the older transport
// names a path that leads through the proxy.
func TestBehindAProxy(t *testing.T) {
	cfg := settings(t, "a")
	cfg.Server.PublicURL = "https://tools.example/mcp/gateway/mcp"
	cfg.Server.TrustedProxies = []string{"127.0.0.1"}
	r := start(t, cfg, dialer("echo")).running()
	ask := func(host, forwarded string) reply {
		c := &client{r: r, path: "/mcp", version: "2025-11-25"}
		req := c.request(t.Context(), "POST", `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`)
		if req.Host = host; forwarded != "" {
			req.Header.Set("X-Forwarded-Host", forwarded)
		}
		return c.do(req)
	}
	for _, tt := range []struct {
		host, forwarded string
		want            int
	}{
		{"localhost", "", 200},
		{"localhost", "tools.example", 200},
		{"backend", "tools.example", 200},
		{"tools.example", "", 200},
		{"backend", "", 403},
		{"localhost", "evil.example", 403},
		{"tools.example", "evil.example", 403},
	} {
		if got := ask(tt.host, tt.forwarded); got.status != tt.want {
			t.Errorf("Host %s for %s: %d %s", tt.host, tt.forwarded, got.status, got.body)
		}
	}
	for host, want := range map[string]string{"tools.example": "/mcp/gateway/messages?", "localhost": "/messages?"} {
		ctx, cancel := context.WithCancel(t.Context())
		c := &client{r: r, path: "/sse"}
		req := c.request(ctx, "GET", "")
		req.Host = host
		if first := <-c.events(ctx, req); !strings.HasPrefix(string(first.Data), want) {
			t.Errorf("called by %s: %s", host, first.Data)
		}
		cancel()
	}
}

// Clients find the metadata under the path that they know, and under ours.
func TestMetadataPaths(t *testing.T) {
	cfg := settings(t, "a")
	keyed(cfg, "alice")
	cfg.Server.PublicURL = "https://tools.example/gateway/mcp"
	r := start(t, cfg, dialer("echo")).running()
	for path, want := range map[string]string{
		"": "https://tools.example/gateway/mcp", "/gateway/mcp": "https://tools.example/gateway/mcp", "/mcp": "https://tools.example/gateway/mcp",
		"/gateway/mcp/u/a": "https://tools.example/gateway/mcp/u/a", "/mcp/u/a": "https://tools.example/gateway/mcp/u/a",
		"/elsewhere": "", "/gateway": "", "/mcp/x": "", "/mcpx": "",
	} {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+metadataPath+path, nil)
		req.Host = "tools.example"
		got := (&client{r: r}).do(req)
		if want == "" && got.status != http.StatusNotFound || want != "" && !strings.Contains(got.body, `"resource":"`+want+`"`) {
			t.Errorf("%q: %d %s", path, got.status, got.body)
		}
	}
}
