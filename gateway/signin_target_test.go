package gateway

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/oauth"
)

// What has credentials of its own is not signed in to, unless it is told to be.
func TestSignInTarget(t *testing.T) {
	bearer := map[string]string{"authorization": "Bearer t"}
	for _, tt := range []struct {
		name string
		u    upstream.Config
		want string
	}{
		{"a remote", upstream.Config{URL: "https://mcp.example.com/mcp"}, "https://mcp.example.com/mcp"},
		{"a process", upstream.Config{Command: "npx"}, ""},
		{"none", upstream.Config{URL: "https://mcp.example.com/mcp", Auth: oauth.Config{Flow: oauth.NoFlow}}, ""},
		{"a header", upstream.Config{URL: "https://mcp.example.com/mcp", Headers: bearer}, ""},
		{"a password", upstream.Config{URL: "https://me:pass@mcp.example.com/mcp"}, ""},
		{"a password and a flow", upstream.Config{URL: "https://me:pass@mcp.example.com/mcp", Auth: oauth.Config{Flow: oauth.AuthorizationCode}}, "https://mcp.example.com/mcp"},
	} {
		target, err := SignInTarget(&tt.u)
		got := ""
		if target != nil {
			got = target.URL
		}
		if err != nil || got != tt.want {
			t.Errorf("%s: %q, %v, want %q", tt.name, got, err, tt.want)
		}
	}
	if _, err := SignInTarget(&upstream.Config{URL: "https://a.example/", TLS: upstream.TLS{CA: "/nowhere"}}); err == nil {
		t.Error("a file that is not there is no error")
	}
}

func TestWithAdded(t *testing.T) {
	path := filepath.Join(t.TempDir(), AddedFile)
	if err := os.WriteFile(path, []byte(`{"upstreams": {"far": {"url": "https://mcp.example.com/mcp"}, "bad": {"url": "mailto:me"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	files := config.Defaults()
	cfg, err := WithAdded(&files, path)
	if err != nil || cfg.Upstream("far") == nil || cfg.Upstream("bad") != nil {
		t.Errorf("%v, %v", cfg, err)
	}
}
