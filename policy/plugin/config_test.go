package plugin

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/interlock-mcp/interlock/policy"
)

func TestValidate(t *testing.T) {
	for name, c := range map[string]struct {
		config Config
		want   []string // "path: text"
	}{
		"least": {Config{Command: "x"}, nil},
		"none":  {Config{}, []string{"command: is missing"}},
		"all wrong": {
			Config{
				Command: "x", SHA256: "abcd", Env: map[string]string{"A=B": "x"}, Config: map[string]any{"f": func() {}},
				Timeout: -1, StartTimeout: -1, MaxReply: 5, Health: Health{-1, -1}, Restart: Restart{Delay: time.Minute, MaxDelay: time.Second},
			},
			[]string{
				"sha256: is not a SHA-256", "env.A=B: is not an environment variable", "config: cannot be said in JSON: json: unsupported type: func()",
				"timeout: must not be negative", "start_timeout: must not be negative", "health.interval: must not be negative", "health.timeout: must not be negative",
				"restart.max_delay: is less than the delay, 1m0s", "max_reply: must be between 1KiB and 1GiB",
			},
		},
		"no hexadecimal": {Config{Command: "x", SHA256: strings.Repeat("xy", 32)}, []string{"sha256: is not a SHA-256"}},
		"a long delay":   {Config{Command: "x", Restart: Restart{Delay: time.Hour}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			if err := c.config.Validate(); err != nil {
				for _, err := range err.(interface{ Unwrap() []error }).Unwrap() {
					if _, ok := errors.AsType[*policy.FieldError](err); !ok {
						t.Errorf("%v is no FieldError", err)
					}
					got = append(got, err.Error())
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A program that is not there, or has no checksum, is worth a warning, and only paths
// are relative to the file.
func TestWarningsAndFiles(t *testing.T) {
	for _, c := range []struct {
		config          Config
		warnings, files int
	}{
		{Config{Command: "./x"}, 2, 2},
		{Config{Command: "/bin/sh"}, 1, 2},
		{Config{Command: "sh", SHA256: strings.Repeat("ab", 32)}, 1, 1},
		{Config{}, 0, 1},
	} {
		if got := len(c.config.Warnings()); got != c.warnings {
			t.Errorf("%q: %d warnings, want %d", c.config.Command, got, c.warnings)
		}
		if got := len(c.config.Files()); got != c.files {
			t.Errorf("%q: %d files, want %d", c.config.Command, got, c.files)
		}
	}
}
