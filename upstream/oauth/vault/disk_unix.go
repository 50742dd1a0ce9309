//go:build unix

package vault

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// checkPrivate returns an error if a file or folder is another user's, or any user can
// read or change it. What its group can do is taken from it: volumes of containers are
// opened to a group each time that they are mounted (fsGroup of Kubernetes).
func checkPrivate(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	mode := info.Mode().Perm()
	want := os.FileMode(0o600)
	if info.IsDir() {
		want = 0o700
	}
	if s, ok := info.Sys().(*syscall.Stat_t); ok && int(s.Uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs to another user (%d): it would have the sign-ins; remove it, or give it to this one", path, s.Uid)
	}
	if mode&0o007 != 0 {
		return fmt.Errorf("%s is open to all users of this machine (mode %04o): chmod %04o %s, and sign in again if they are not to be trusted", path, mode, want, path)
	}
	if mode&0o070 != 0 {
		if err := os.Chmod(path, mode&^0o077); err != nil {
			return fmt.Errorf("%s is open to other users (mode %04o): chmod %04o %s: %w", path, mode, want, path, err)
		}
	}
	return nil
}

// tryLock locks a file until it is closed. The error is nil if another has it.
func tryLock(f *os.File) (bool, error) {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, syscall.EINTR) {
		return false, nil
	}
	return err == nil, err
}

func rename(from, to string) error { return os.Rename(from, to) }

// syncFolder has what was renamed in a folder outlive a loss of power.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) { // not all file systems can
		return err
	}
	return nil
}
