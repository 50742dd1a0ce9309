package main

import (
	"bytes"
	"fmt"
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
	text, _ := p.talk(columns, env, "", nil, args...)
	return text
}

// talk is onTerminal with something that is done, once, when the terminal shows a sign.
// The error is that of the command.
func (p *process) talk(columns uint16, env, sign string, do func(terminal *os.File), args ...string) (string, error) {
	p.t.Helper()
	master, slave := terminal(p.t, columns)
	defer master.Close()
	cmd := exec.CommandContext(p.ctx, "interlock", args...)
	cmd.Dir, cmd.Env = p.dir, append(append([]string{}, p.cmd.Env...), "TERM=xterm", env)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	_ = slave.Close()
	var got bytes.Buffer
	buf := make([]byte, 4096)
	for {
		n, err := master.Read(buf)
		got.Write(buf[:n])
		if do != nil && strings.Contains(got.String(), sign) {
			do(master)
			do = nil
		}
		if err != nil { // nobody holds the other side any more
			break
		}
	}
	err := cmd.Wait()
	return strings.ReplaceAll(got.String(), "\r\n", "\n"), err
}

// What a person sees: colours unless they are not wanted, tables that fit, and a
// line that says what is awaited and is gone afterwards.
func TestOnATerminal(t *testing.T) {
	h := newHeld(t, "initialize")
	p := launch(t, map[string]string{"interlock.yaml": quiet + clock + h.upstream("hung", ", restart: {policy: never}") +
		"  sick: {command: interlock, args: [__demo, nobody], restart: {policy: never}}\n"}, nil, "serve")
	h.next().answer(false)
	p.expect(`^1 of 3 servers ready`)
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

	const awaits = "hung: spawn\x1b[K"
	start, _ := p.talk(80, "NO_COLOR=1", awaits, func(*os.File) { h.next().answer(false) }, "restart", "hung", "clock", "--wait")
	if !strings.Contains(start, awaits) {
		t.Errorf("nothing says what is awaited: %q", start)
	}
	if !strings.Contains(start, "\r\x1b[Khung  not restarted") && !strings.Contains(start, "\nhung  not restarted") {
		t.Errorf("the outcome is not on a line of its own: %q", start)
	}
	if strings.Contains(p.onTerminal(80, "TERM=dumb", "restart", "clock", "--wait"), "\x1b") {
		t.Error("a terminal that cannot move its cursor is told to")
	}
}
