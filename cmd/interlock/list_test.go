package main

import (
	"testing"

	"github.com/interlock-mcp/interlock/gateway/admin"
)

// The way a process ended was once said two and three times in a line.
func TestWhySaysTheExitOnce(t *testing.T) {
	for _, tc := range []struct{ message, exit, want string }{
		{"initialize: exit: the process ended: exit status 3", "exit status 3", "handshake: initialize: exit: the process ended: exit status 3"},
		{"start_timeout was over", "signal: killed", "handshake: start_timeout was over (signal: killed)"},
		{"no answer", "", "handshake: no answer"},
	} {
		u := admin.Upstream{LastFailure: &admin.Failure{Stage: "handshake", Message: tc.message, Exit: tc.exit}}
		if got := why(u); got != tc.want {
			t.Errorf("got %q, want %q", got, tc.want)
		}
	}
}

// What a server says of itself must not rearrange the lines of a table.
func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"a\x1b[31mb\u009bc": "a?[31mb?c", "safe\u202etxt.exe\u2066": "safe?txt.exe?", "two\nlines\there": "two lines here",
	} {
		if got := printable(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}
