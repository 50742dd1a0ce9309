//go:build unix

package upstream

import (
	"os"
	"syscall"
)

// lockFile opens a file, which it makes if need be, and locks it until it is
// closed or this process ends. The error says that another holds it, or why it
// cannot be had.
func lockFile(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}
