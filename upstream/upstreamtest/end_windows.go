package upstreamtest

import (
	"os"
	"os/exec"
	"syscall"
)

// die ends this process. There are no signals to die of.
func die(string, int) { os.Exit(3) }

// detach takes a command from the console.
func detach(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: 0x00000008} // DETACHED_PROCESS
}
