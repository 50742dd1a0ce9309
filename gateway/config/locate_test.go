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
