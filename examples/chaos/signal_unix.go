//go:build unix

package main

import (
	"os"
	"syscall"
)

// canPause says that processes can be stopped and go on later.
const canPause = true

func terminate(p *os.Process)      { _ = p.Signal(syscall.SIGTERM) }
func pauseProcess(p *os.Process)   { _ = p.Signal(syscall.SIGSTOP) }
func unpauseProcess(p *os.Process) { _ = p.Signal(syscall.SIGCONT) }
func reload(p *os.Process)         { _ = p.Signal(syscall.SIGHUP) }
