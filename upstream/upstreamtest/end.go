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
	s.generation = record(os.Getpid())
	switch {
	case s.modes.on("exit0"), s.modes.on("exit3"):
		fmt.Fprintln(os.Stderr, "cannot open the database")
		if s.modes.on("exit3") {
			return 3, true
		}
		return 0, true
	case s.modes.on("segv"):
		die("segv", 0)
	case s.modes.on("killself"):
		die("kill", 0)
	case s.modes.on("grandchild"):
		return s.grandchild(), true
	}
	if s.modes.on("ignoreterm") {
		signal.Ignore(syscall.SIGTERM)
	}
	if s.modes.on("stderrflood") {
		for range 200 {
			_, _ = os.Stderr.Write(junk)
		}
	}
	for _, kind := range []string{"sh", "doublefork", "setsid", "holdstderr"} {
		if s.modes.on(kind) {
			spawn(kind)
		}
	}
	return 0, false
}

// late does what a mode does when stdin has ended.
func (s *server) late() {
	if s.modes.on("ignoreterm") {
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
	if s.modes.on("doublefork") || s.modes.on("setsid") {
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

// record notes the pid of a process that came of the test, and returns how many
// there are by now.
func record(pid int) int {
	name := os.Getenv(PIDFile)
	if name == "" {
		return 1
	}
	appendLine(name, strconv.Itoa(pid))
	b, _ := os.ReadFile(name)
	return bytes.Count(b, []byte("\n"))
}
