package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// An operator whose shell lacks a variable, or whose file is half edited, once
// could not even list what runs. But what is not certain to be the right gateway
// is none: a command may stop it.
func TestLocate(t *testing.T) {
	for _, tt := range []struct {
		name, file string
		found      bool
	}{
		{"valid", "state_dir: /state\nupstreams: {a: {command: sh}}\n", true},
		{"a variable of an upstream is not set", "state_dir: /state\nupstreams: {a: {command: sh, env: {T: \"${NOPE_TOKEN}\"}}}\n", true},
		{"an unknown key", "state_dir: /state\nupstreams: {a: {comand: sh}}\n", true},
		{"faults of the server", "state_dir: /state\nserver: {listen: nonsense}\n", true},
		{"its own variable is not set", "state_dir: ${NOPE_DIR}\n", false},
		{"the token's variable is not set", "state_dir: /state\nadmin: {listen: '127.0.0.1:7778', token: \"${NOPE_TOKEN}\"}\n", false},
		{"an address that is none", "state_dir: /state\nadmin: {listen: 0.0.0.0:1}\n", false},
		{"a syntax error", "state_dir: /state\nupstreams: {\n", false},
		{"no table", "- state_dir\n", false},
		{"an include that is not there", "include: [nope.yaml]\nstate_dir: /state\n", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "interlock.yaml"), []byte(tt.file), 0o600); err != nil {
				t.Fatal(err)
			}
			_, state, err := Locate(LoadOptions{Dir: dir, Files: []string{"interlock.yaml"}, Environ: []string{"HOME=/home/me"}})
			if (err == nil) != tt.found {
				t.Fatalf("got %q, %v", state, err)
			}
			faults := new(Errors)
			if tt.found && !strings.HasSuffix(filepath.ToSlash(state), "/state") || !tt.found && !errors.As(err, &faults) {
				t.Errorf("got %q, %v", state, err)
			}
		})
	}
}

// Who signs in to one server is not kept from it by what others lack.
func TestLoadFor(t *testing.T) {
	for _, tt := range []struct {
		name, file string
		valid      bool
	}{
		{"valid", "upstreams: {a: {url: 'https://a.example/mcp'}}\n", true},
		{"another's variable is not set", "upstreams: {a: {url: 'https://a.example/mcp'}, b: {command: sh, env: {T: \"${NOPE_TOKEN}\"}}}\n", true},
		{"another's of a client's block", "upstreams: {a: {url: 'https://a.example/mcp'}}\nmcpServers: {b c: {command: sh, env: {T: \"${NOPE_TOKEN}\"}}}\n", true},
		{"another's unknown key", "upstreams: {a: {url: 'https://a.example/mcp'}, b: {comand: sh}}\n", true},
		{"a variable of the server", "server: {auth: {oidc: {issuer: \"${NOPE_ISSUER}\"}}}\nupstreams: {a: {url: 'https://a.example/mcp'}}\n", true},
		{"its own variable", "upstreams: {a: {url: 'https://a.example/mcp', auth: {client_id: i, client_secret: \"${NOPE_SECRET}\"}}}\n", false},
		{"its own variable in a client's block", "mcpServers: {a: {url: \"${NOPE_URL}\"}}\n", false},
		{"its own unknown key", "upstreams: {a: {ulr: 'https://a.example/mcp'}}\n", false},
		{"the state folder's variable", "state_dir: ${NOPE_DIR}\nupstreams: {a: {url: 'https://a.example/mcp'}}\n", false},
		{"a syntax error", "upstreams: {a: {url: 'https://a.example/mcp'}}\nserver: {\n", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "interlock.yaml"), []byte(tt.file), 0o600); err != nil {
				t.Fatal(err)
			}
			cfg, err := LoadFor(LoadOptions{Dir: dir, Files: []string{"interlock.yaml"}, Environ: []string{"HOME=/home/me"}}, "a")
			if (err == nil) != tt.valid {
				t.Fatal(err)
			}
			if tt.valid && cfg.Upstream("a") == nil {
				t.Error("it is not there")
			}
		})
	}
}
