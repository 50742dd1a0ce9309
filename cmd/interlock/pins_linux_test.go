package main

import (
	"os"
	"strings"
	"testing"
)

// A person is shown what is to be approved, and asked.
func TestPinsAreAskedFor(t *testing.T) {
	p := launch(t, map[string]string{"interlock.yaml": "policies: [{pin: {first: hide}}]\n" + quiet + clock}, nil, "serve")
	p.expect(`^1 of 1 server ready`)
	for _, c := range []struct{ says, want string }{{"\n", "nothing was approved"}, {"n\n", "nothing was approved"}, {"y\n", "clock/now  \x1b[32mapproved"}} {
		says := func(terminal *os.File) {
			if _, err := terminal.WriteString(c.says); err != nil {
				t.Error(err)
			}
		}
		text, err := p.talk(120, "TERM=xterm", "[y/N]", says, "pins", "approve", "clock/now")
		text = strings.ReplaceAll(text, "\x1b[1mclock/now\x1b[0m", "clock/now")
		text = strings.ReplaceAll(text, "✓ ", "")
		if !strings.Contains(text, c.want) || !strings.Contains(text, "Approve 1 definition?") || !strings.Contains(text, `"description":`) || (err == nil) != (c.says == "y\n") {
			t.Errorf("%q: %v %q", c.says, err, text)
		}
	}
}
