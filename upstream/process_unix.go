//go:build !windows

package upstream

import (
	"os/exec"
	"syscall"
)

// prepare gives the child a process group of its own, whose id is its pid.
func prepare(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// close does nothing: a group is no handle.
func (*tree) close() {}
