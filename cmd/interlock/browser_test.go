package main

import (
	"slices"
	"testing"
)

func TestShowable(t *testing.T) {
	for address, want := range map[string]bool{
		"https://auth.example.com/authorize?a=b&c=%20d#e": true,
		"http://127.0.0.1:9/authorize":                    true,
		"http://[::1]:9/a":                                true,
		"http://localhost/a":                              true,
		"http://auth.example.com/":                        false,
		"http://localhost.example.com/":                   false,
		"javascript:alert(1)":                             false,
		"file:///etc/passwd":                              false,
		"data:text/html,x":                                false,
		"https:///nowhere":                                false,
		"https://user:pass@example.com/":                  false,
		"https://example.com/a b":                         false,
		"https://example.com/\"&calc.exe":                 false,
		"https://example.com/`id`":                        false,
		"https://example.com/a|b":                         false,
		"https://example.com/ä":                           false,
		"https://example.com/\u202e":                      false,
		"--help":                                          false,
		"":                                                false,
	} {
		if err := showable(address); (err == nil) != want {
			t.Errorf("%q: %v", address, err)
		}
	}
	if _, err := openBrowser("file:///etc/passwd"); err == nil {
		t.Error("a file was opened")
	}
}

// The address is one argument, whatever it holds.
func TestBrowserCommand(t *testing.T) {
	const address = "https://example.com/?a=b&c=$(id);d"
	for goos, want := range map[string][]string{
		"linux": {"xdg-open", address}, "freebsd": {"xdg-open", address}, "darwin": {"open", address},
		"windows": {"rundll32", "url.dll,FileProtocolHandler", address},
	} {
		if got := browserCommand(goos, address); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", goos, got, want)
		}
	}
}

func TestBrowserless(t *testing.T) {
	for _, tt := range []struct {
		goos string
		env  map[string]string
		want string
	}{
		{"linux", map[string]string{"DISPLAY": ":0"}, ""},
		{"linux", map[string]string{"WAYLAND_DISPLAY": "wayland-0"}, ""},
		{"linux", nil, "this machine has no screen"},
		{"linux", map[string]string{"DISPLAY": ":10", "SSH_CONNECTION": "a 1 b 22"}, "this is a session over SSH"},
		{"darwin", nil, ""},
		{"darwin", map[string]string{"SSH_TTY": "/dev/ttys1"}, "this is a session over SSH"},
		{"windows", nil, ""},
	} {
		if got := browserless(tt.goos, func(k string) string { return tt.env[k] }); got != tt.want {
			t.Errorf("%s %v: %q, want %q", tt.goos, tt.env, got, tt.want)
		}
	}
}
