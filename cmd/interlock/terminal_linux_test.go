package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal opens a pseudo-terminal of so many columns.
func terminal(t *testing.T, columns uint16) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals: %v", err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(int(slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns})
	}
	if err != nil {
		t.Fatal(err)
	}
	return master, slave
}

// onTerminal runs interlock on a terminal and returns what that got.
func (p *process) onTerminal(columns uint16, env string, args ...string) string {
	p.t.Helper()
	master, slave := terminal(p.t, columns)
	defer master.Close()
	cmd := exec.CommandContext(p.ctx, "interlock", args...)
	cmd.Dir, cmd.Env = p.dir, append(append([]string{}, p.cmd.Env...), "TERM=xterm", env)
	cmd.Stdout, cmd.Stderr = slave, slave
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	_ = slave.Close()
	var got bytes.Buffer
	_, _ = io.Copy(&got, master) // to the end of the last that holds the other side
	_ = cmd.Wait()
	return strings.ReplaceAll(got.String(), "\r\n", "\n")
}

// What a person sees: colours unless they are not wanted, tables that fit, and a
// line that says what is awaited and is gone afterwards.
func TestOnATerminal(t *testing.T) {
	p := launch(t, map[string]string{"interlock.yaml": quiet + clock +
		"  hung: {command: sleep, args: ['60'], start_timeout: 2s, protocol: legacy, restart: {policy: never}}\n" +
		"  sick: {command: interlock, args: [__demo, nobody], restart: {policy: never}}\n"}, nil, "serve")
	p.expect(`^hung +failed`)
	list := p.onTerminal(80, "", "list")
	if !strings.Contains(list, "\x1b[32mrunning\x1b[0m") || !strings.Contains(list, "\x1b[31merror\x1b[0m") {
		t.Errorf("no colours: %q", list)
	}
	plainList := p.onTerminal(80, "NO_COLOR=1", "list")
	if strings.Contains(plainList, "\x1b") {
		t.Errorf("colours: %q", plainList)
	}
	for line := range strings.SplitSeq(plainList, "\n") {
		if cells(line) > 80 {
			t.Errorf("%d columns: %s", cells(line), line)
		}
	}
	if wide := p.onTerminal(200, "NO_COLOR=1", "list"); !strings.Contains(wide, "TRANSPORT") || strings.Contains(plainList, "TRANSPORT") {
		t.Errorf("columns are not dropped as wanted:\n%s%s", plainList, wide)
	}

	if logs := p.onTerminal(80, "", "logs"); !strings.Contains(logs, "\x1b[32msick  |\x1b[0m interlock: no demo server") {
		t.Errorf("the names of logs have no colours: %q", logs)
	}

	start := p.onTerminal(80, "NO_COLOR=1", "restart", "hung", "clock", "--wait")
	if !strings.Contains(start, "hung: handshake\x1b[K") {
		t.Errorf("nothing says what is awaited: %q", start)
	}
	if !strings.Contains(start, "\r\x1b[Khung  not restarted") && !strings.Contains(start, "\nhung  not restarted") {
		t.Errorf("the outcome is not on a line of its own: %q", start)
	}
	if strings.Contains(p.onTerminal(80, "TERM=dumb", "restart", "clock", "--wait"), "\x1b") {
		t.Error("a terminal that cannot move its cursor is told to")
	}
}
