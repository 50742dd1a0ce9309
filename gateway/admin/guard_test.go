package admin

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestGuard(t *testing.T) {
	h := guard("right", Handler(Options{State: &fakeState{ready: true}}))
	for _, tt := range []struct {
		name, path, host, origin, auth string
		status                         int
	}{
		{"right", "/v1/tools", "127.0.0.1:7778", "", "Bearer right", 200},
		{"localhost", "/v1/tools", "localhost:7778", "", "Bearer right", 200},
		{"IPv6", "/v1/tools", "[::1]:7778", "", "Bearer right", 200},
		{"IPv6 without a port", "/v1/tools", "[::1]", "", "Bearer right", 200},
		{"loopback page", "/v1/tools", "127.0.0.1:7778", "http://localhost:5173", "Bearer right", 200},
		{"scheme in another case", "/v1/tools", "127.0.0.1:7778", "", "bEARER  right", 200},
		{"no token", "/v1/tools", "127.0.0.1:7778", "", "", 401},
		{"wrong token", "/v1/tools", "127.0.0.1:7778", "", "Bearer wrong", 401},
		{"token with more", "/v1/tools", "127.0.0.1:7778", "", "Bearer right ", 401},
		{"other scheme", "/v1/tools", "127.0.0.1:7778", "", "Basic right", 401},
		{"token in the query", "/v1/tools?token=right", "127.0.0.1:7778", "", "", 401},
		{"evil host", "/v1/tools", "evil.com", "", "Bearer right", 403},
		{"evil suffix", "/v1/tools", "localhost.evil.com", "", "Bearer right", 403},
		{"evil prefix", "/v1/tools", "127.0.0.1.evil.com:7778", "", "Bearer right", 403},
		{"trailing dot", "/v1/tools", "localhost.:7778", "", "Bearer right", 403},
		{"any address", "/v1/tools", "0.0.0.0:7778", "", "Bearer right", 403},
		{"zone", "/v1/tools", "[::1%25lo]:7778", "", "Bearer right", 403},
		{"evil origin", "/v1/tools", "127.0.0.1:7778", "https://evil.com", "Bearer right", 403},
		{"null origin", "/v1/tools", "127.0.0.1:7778", "null", "Bearer right", 403},
		{"evil origin suffix", "/v1/tools", "127.0.0.1:7778", "http://localhost.evil.com", "Bearer right", 403},
		{"origin with user", "/v1/tools", "127.0.0.1:7778", "http://localhost@evil.com", "Bearer right", 403},
		{"loopback origin with user", "/v1/tools", "127.0.0.1:7778", "http://me@localhost", "Bearer right", 403},
		{"file origin", "/v1/tools", "127.0.0.1:7778", "file://localhost", "Bearer right", 403},
		{"both evil", "/v1/tools", "evil.com", "http://evil.com", "", 403},
		{"a probe", "/readyz", "10.1.2.3:7778", "", "", 200},
		{"a probe of life", "/livez", "pod.cluster", "", "", 200},
		{"metrics", "/metrics", "127.0.0.1:7778", "", "", 401},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, tt.path, nil)
			r.Host = tt.host
			if tt.origin != "" {
				r.Header.Set("Origin", tt.origin)
			}
			if tt.auth != "" {
				r.Header.Set("Authorization", tt.auth)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != tt.status {
				t.Errorf("got %d %s, want %d", w.Code, w.Body, tt.status)
			}
		})
	}
}

// The unix socket needs no token, and lets pages in as little as TCP does.
func TestGuardOfTheSocket(t *testing.T) {
	h := guard("", Handler(Options{State: &fakeState{ready: true}}))
	for _, tt := range []struct {
		host, origin string
		status       int
	}{
		{socketHost, "", 200},
		{"localhost", "", 200},
		{"interlock.evil.example", "", 403},
		{"evil.example", "", 403},
		{socketHost, "https://evil.example", 403},
	} {
		r := httptest.NewRequest(http.MethodGet, "/v1/tools", nil)
		r.Host = tt.host
		if tt.origin != "" {
			r.Header.Set("Origin", tt.origin)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != tt.status {
			t.Errorf("%+v: %d", tt, w.Code)
		}
	}
}
