//go:build !windows

package upstream

import (
	"os/exec"
	"os/signal"
	"syscall"
)

// needsWatcher says that children outlive a parent that is killed.
const needsWatcher = true

const (
	sigTerm = syscall.SIGTERM
	sigKill = syscall.SIGKILL
)

// detach gives the watching process a session of its own, so that no signal of a
// terminal or to a group ends it together with the gateway.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }

func ignoreSignals() {
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGPIPE)
}
