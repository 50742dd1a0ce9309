//go:build !windows

package upstreamtest

import (
	"os"
	"os/exec"
	"syscall"
)

// die ends this process by a signal (kill, segv) or with a code.
func die(sig string, code int) {
	switch sig {
	case "kill":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "segv":
		// Go's runtime catches it; a shell in this process's place does not.
		_ = syscall.Exec("/bin/sh", []string{"sh", "-c", "kill -SEGV $$"}, os.Environ())
	}
	os.Exit(code)
}

// detach puts a command into a session of its own.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }
