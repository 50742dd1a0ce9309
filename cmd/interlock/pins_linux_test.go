package main

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"
)

// A person is shown what is to be approved, and asked.
func TestPinsAreAskedFor(t *testing.T) {
	p := launch(t, map[string]string{"interlock.yaml": "policies: [{pin: {first: hide}}]\n" + quiet + clock}, nil, "serve")
	p.expect(`^1 of 1 server ready`)
	for _, c := range []struct{ says, want string }{{"\n", "nothing was approved"}, {"n\n", "nothing was approved"}, {"y\n", "clock/now  \x1b[32mapproved"}} {
		master, slave := terminal(t, 120)
		cmd := exec.CommandContext(p.ctx, "interlock", "pins", "approve", "clock/now")
		cmd.Dir, cmd.Env = p.dir, append(append([]string{}, p.cmd.Env...), "TERM=xterm")
		cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		_ = slave.Close()
		var got bytes.Buffer
		buf := make([]byte, 4096)
		for asked := false; ; {
			n, err := master.Read(buf)
			got.Write(buf[:n])
			if !asked && strings.Contains(got.String(), "[y/N]") {
				asked = true
				if _, err := master.WriteString(c.says); err != nil {
					t.Fatal(err)
				}
			}
			if err != nil { // nobody holds the other side any more
				break
			}
		}
		err := cmd.Wait()
		_ = master.Close()
		text := strings.ReplaceAll(got.String(), "\x1b[1mclock/now\x1b[0m", "clock/now")
		text = strings.ReplaceAll(text, "✓ ", "")
		if !strings.Contains(text, c.want) || !strings.Contains(text, "Approve 1 definition?") || !strings.Contains(text, `"description":`) || (err == nil) != (c.says == "y\n") {
			t.Errorf("%q: %v %q", c.says, err, text)
		}
	}
}
