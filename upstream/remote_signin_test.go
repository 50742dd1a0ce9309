package upstream

import (
	"testing"

	"github.com/interlock-mcp/interlock/upstream/oauth"
)

// What is signed in to is a remote server that no other credentials are configured
// for.
func TestSignInTarget(t *testing.T) {
	for _, tt := range []struct {
		name   string
		config Config
		target bool
		fails  bool
	}{
		{"a process", Config{Command: "x"}, false, false},
		{"a remote", Config{URL: "https://mcp.example.com/mcp"}, true, false},
		{"none is wanted", Config{URL: "https://mcp.example.com/mcp", Auth: oauth.Config{Flow: oauth.NoFlow}}, false, false},
		{"a header of its own", Config{URL: "https://mcp.example.com/mcp", Headers: map[string]string{"authorization": "Bearer x"}}, false, false},
		{"a name in the url", Config{URL: "https://me:secret@mcp.example.com/mcp"}, false, false},
		{"another header", Config{URL: "https://mcp.example.com/sse", Headers: map[string]string{"X-Team": "a"}}, true, false},
		{"a flow beside a header", Config{URL: "https://mcp.example.com/mcp", Headers: map[string]string{"Authorization": "Basic x"}, Auth: oauth.Config{Flow: oauth.ClientCredentials}}, true, false},
		{"no such authority", Config{URL: "https://mcp.example.com/mcp", TLS: TLS{CA: "/nowhere"}}, false, true},
	} {
		tt.config.Name = "up"
		got, err := tt.config.SignInTarget()
		if (got != nil) != tt.target || (err != nil) != tt.fails {
			t.Errorf("%s: %v, %v", tt.name, got, err)
		}
		if got != nil && (got.Upstream != "up" || got.URL != tt.config.URL || got.Client == nil || got.Name != "Interlock") {
			t.Errorf("%s: %+v", tt.name, got)
		}
	}
}
