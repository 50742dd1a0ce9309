//go:build unix

package telemetry

import (
	"os"
	"syscall"
)

// lockFile locks a file until it is closed or this process ends. The error says
// that another holds it.
func lockFile(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }
