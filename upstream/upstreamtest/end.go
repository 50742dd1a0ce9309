package upstreamtest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
)

// early does what a mode does before the server serves; ended means that it is
// not to.
func (s *server) early() (code int, ended bool) {
	record(os.Getpid())
	switch {
	case s.modes["exit0"], s.modes["exit3"]:
		fmt.Fprintln(os.Stderr, "cannot open the database")
		if s.modes["exit3"] {
			return 3, true
		}
		return 0, true
	case s.modes["segv"]:
		die("segv", 0)
	case s.modes["killself"]:
		die("kill", 0)
	case s.modes["grandchild"]:
		return s.grandchild(), true
	}
	if s.modes["ignoreterm"] {
		signal.Ignore(syscall.SIGTERM)
	}
	if s.modes["stderrflood"] {
		flood := bytes.Repeat([]byte("\x00\xff noise"), 1<<17)
		for range 200 {
			_, _ = os.Stderr.Write(flood)
		}
	}
	for _, kind := range []string{"sh", "doublefork", "setsid", "holdstderr"} {
		if s.modes[kind] {
			spawn(kind)
		}
	}
	return 0, false
}

// late does what a mode does when stdin has ended.
func (s *server) late() {
	if s.modes["ignoreterm"] {
		select {}
	}
}

// spawn starts a descendant that only a KILL ends, and blocks until it lives.
func spawn(kind string) {
	r, w, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), Mode+"=grandchild,"+kind)
	cmd.ExtraFiles = []*os.File{w}
	switch kind {
	case "sh":
		self := cmd.Path
		cmd = exec.Command("sh", "-c", strconv.Quote(self)+" & wait")
		cmd.Env = append(os.Environ(), Mode+"=grandchild,stay")
		cmd.ExtraFiles = []*os.File{w}
	case "setsid":
		detach(cmd)
	case "holdstderr":
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	}
	if err := cmd.Start(); err != nil {
		panic(err)
	}
	_ = w.Close()
	_, _ = r.Read(make([]byte, 1)) // it lives and ignores TERM
	_ = r.Close()
	if kind != "sh" {
		go func() { _ = cmd.Wait() }()
	}
}

// grandchild is the process that spawn starts. In the modes with a parent that
// is gone it starts another of itself and ends.
func (s *server) grandchild() int {
	ready := os.NewFile(3, "ready")
	if s.modes["doublefork"] || s.modes["setsid"] {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), Mode+"=grandchild,stay")
		cmd.ExtraFiles = []*os.File{ready}
		if err := cmd.Start(); err != nil {
			panic(err)
		}
		return 0
	}
	signal.Ignore(syscall.SIGTERM, syscall.SIGHUP)
	_, _ = ready.Write([]byte("."))
	_ = ready.Close()
	select {}
}

// record notes the pid of a process that came of the test.
func record(pid int) {
	if name := os.Getenv(PIDFile); name != "" {
		appendLine(name, strconv.Itoa(pid))
	}
}
