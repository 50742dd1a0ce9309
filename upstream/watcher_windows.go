package upstream

import (
	"os/exec"
	"syscall"
)

// needsWatcher is false: the jobs of a gateway that is killed die with it.
const needsWatcher = false

const (
	sigTerm = syscall.SIGTERM
	sigKill = syscall.SIGKILL
)

func detach(*exec.Cmd) {}

func ignoreSignals() {}

func (*Watcher) adoptOrphans() {}

// signal finds nothing: see needsWatcher.
func (o *orphans) signal(syscall.Signal) (alive int) { return 0 }
