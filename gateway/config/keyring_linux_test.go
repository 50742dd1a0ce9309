package config

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// A ${keyring:} where there is no session to ask once started a D-Bus of its own, in which
// there is no keyring, and waited for it without an end.
func TestKeyringWithoutASession(t *testing.T) {
	for _, name := range []string{"bus", "dbus-session"} {
		if _, err := os.Stat(fmt.Sprintf("/run/user/%d/%s", os.Getuid(), name)); err == nil {
			t.Skip("there is a session here")
		}
	}
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "")
	o := options(files(t, map[string]string{"a.yaml": "upstreams: {x: {url: 'https://x.example/mcp', headers: {X: '${keyring:token}'}}}"}), nil, "a.yaml")
	o.Keyring = nil
	got := faults(t, o)
	if len(got) != 1 || !strings.Contains(got[0], `keyring entry "token": the system's keyring cannot be asked: there is no D-Bus session here: unlock it`) {
		t.Errorf("got %q", got)
	}
}
