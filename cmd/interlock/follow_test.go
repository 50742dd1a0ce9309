//go:build !windows

package main

import (
	"path/filepath"
	"syscall"
	"testing"
)

// Ctrl-C is how a person ends what follows, and so a success; an order that is
// waited for stands, and is not known to have come to a good end.
func TestInterrupt(t *testing.T) {
	gw := launch(t, map[string]string{"interlock.yaml": quiet + clock +
		"  hung: {command: sleep, args: ['3600'], protocol: legacy, start_timeout: 1h, restart: {policy: never}}\n"}, nil, "serve")
	gw.expect(`^clock +ready`)
	admin := "unix:" + filepath.Join(gw.dir, "interlock", "admin.sock")
	for _, tt := range []struct {
		args  []string
		first string
		code  int
	}{
		{[]string{"events", "-f"}, `clock is running`, 0},
		{[]string{"start", "clock", "hung", "--wait"}, `^clock  running`, exitFailed},
	} {
		p := launch(t, nil, nil, append(tt.args, "--admin", admin)...)
		p.expect(tt.first)
		p.signal(syscall.SIGINT)
		if code := p.wait(); code != tt.code {
			t.Errorf("%v: exit code %d, want %d", tt.args, code, tt.code)
		}
		if tt.code != 0 && (!p.wrote(`^interlock: interrupted$`) || !p.wrote(`the order stands`)) {
			t.Errorf("%v: %v", tt.args, p.seen)
		}
	}
}

// A kind that there is none of is a mistake, not an empty answer.
func TestEventsOfNoKind(t *testing.T) {
	p := launch(t, nil, nil, "events", "--kind", "stat", "--admin", "unix:/nowhere")
	if code := p.wait(); code != exitBadConfig || !p.wrote(`^interlock: kind "stat" is not one of state, breaker`) {
		t.Errorf("exit code %d: %v", code, p.seen)
	}
}
