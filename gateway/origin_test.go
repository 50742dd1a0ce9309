package gateway

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/interlock-mcp/interlock/gateway/config"
)

func TestGuard(t *testing.T) {
	s := config.Server{
		Listen: "10.1.2.3:7777", PublicURL: "https://mcp.example.com/x",
		AllowedHosts: []string{"gateway.lan:7777"}, AllowedOrigins: []string{"https://app.example.com/"},
	}
	g := newGuard(s, nil, nil)
	for _, c := range []struct {
		host, origin string
		ok           bool
	}{
		{"127.0.0.1:7777", "", true},
		{"localhost", "", true},
		{"LOCALHOST:80", "", true},
		{"[::1]:7777", "", true},
		{"10.1.2.3:7777", "", true},
		{"mcp.example.com", "", true},
		{"gateway.lan", "", true},
		{"evil.example", "", false},
		{"localhost.evil.com", "", false},
		{"localhost.", "", false},
		{"127.0.0.1.", "", false},
		{"", "", false},
		{"0.0.0.0:7777", "", false},
		{"127.0.0.1", "http://localhost:5173", true},
		{"127.0.0.1", "http://127.0.0.1", true},
		{"127.0.0.1", "http://[::1]:8080", true},
		{"127.0.0.1", "https://app.example.com", true},
		{"127.0.0.1", "https://mcp.example.com", true},
		{"127.0.0.1", "https://evil.example", false},
		{"127.0.0.1", "null", false},
		{"127.0.0.1", "http://localhost.", false},
		{"127.0.0.1", "http://localhost.evil.com", false},
		{"127.0.0.1", "http://localhost@evil.com", false},
		{"127.0.0.1", "file://localhost", false},
		{"127.0.0.1", "http://localhost/page", false},
		{"evil.example", "https://evil.example", false},
		{"evil.example", "http://localhost", false},
	} {
		r := httptest.NewRequest(http.MethodPost, "/mcp", nil)
		r.Host = c.host
		if c.origin != "" {
			r.Header.Set("Origin", c.origin)
		}
		if why := g.refuses(r); (why == "") != c.ok {
			t.Errorf("Host %q Origin %q: %q, want allowed %v", c.host, c.origin, why, c.ok)
		}
	}
	r := httptest.NewRequest(http.MethodPost, "/mcp", nil)
	r.Host = "localhost"
	r.Header["Origin"] = []string{"http://localhost", "https://evil.example"}
	if g.refuses(r) == "" {
		t.Error("two Origins passed")
	}
	wild := newGuard(config.Server{Listen: "0.0.0.0:7777"}, nil, nil)
	r = httptest.NewRequest(http.MethodPost, "/mcp", nil)
	r.Host = "0.0.0.0:7777"
	if wild.refuses(r) == "" {
		t.Error("the wildcard address passed as a Host")
	}
}

// The listener for metrics once answered any Host and Origin, so that a page
// could read it by rebinding its own name.
func TestGuardedListener(t *testing.T) {
	r := echoing(t, "a")
	for _, c := range []struct {
		listen, host, origin string
		status               int
	}{
		{"127.0.0.1:9464", "127.0.0.1:9464", "", http.StatusOK},
		{"10.1.2.3:9464", "10.1.2.3:9464", "", http.StatusOK},
		{"127.0.0.1:9464", "10.1.2.3:9464", "", http.StatusForbidden},
		{"127.0.0.1:9464", "evil.example", "", http.StatusForbidden},
		{"127.0.0.1:9464", "127.0.0.1:9464", "https://evil.example", http.StatusForbidden},
		{"0.0.0.0:9464", "0.0.0.0:9464", "", http.StatusForbidden},
		{":9464", "", "", http.StatusForbidden},
	} {
		h := r.Guarded(c.listen, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		req := httptest.NewRequest(http.MethodGet, "/metrics", nil)
		req.Host = c.host
		if c.origin != "" {
			req.Header.Set("Origin", c.origin)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		if w.Code != c.status {
			t.Errorf("listening on %s, Host %q, Origin %q: %d, want %d", c.listen, c.host, c.origin, w.Code, c.status)
		}
	}
}

// A page may send the headers of 2026-07-28, also those that tools name.
func TestPreflightAllowsModernHeaders(t *testing.T) {
	r := start(t, settings(t, "a"), dialer("do")).running()
	c := &client{r: r, path: "/mcp"}
	req := c.request(t.Context(), http.MethodOptions, "")
	req.Header.Set("Origin", "http://localhost:3000")
	req.Header.Set("Access-Control-Request-Headers", "content-type,mcp-method, mcp-param-region,x-evil,MCP-PARAM-B")
	got := c.do(req).header.Get("Access-Control-Allow-Headers")
	has(t, "allowed", got, "Mcp-Method, Mcp-Name", ", mcp-param-region", ", MCP-PARAM-B")
	if strings.Contains(got, "evil") {
		t.Errorf("allowed: %s", got)
	}
}
