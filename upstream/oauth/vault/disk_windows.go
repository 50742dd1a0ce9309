package vault

import (
	"context"
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// checkPrivate returns the error of a file that is not there. Who may read it is
// inherited from the user's own folder.
func checkPrivate(path string) error {
	_, err := os.Stat(path)
	return err
}

// tryLock locks a file until it is closed. The error is nil if another has it.
func tryLock(f *os.File) (bool, error) {
	const how = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	err := windows.LockFileEx(windows.Handle(f.Fd()), how, 0, 1, 0, new(windows.Overlapped))
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return false, nil
	}
	return err == nil, err
}

// rename tries for a second: a file that another process reads cannot be replaced.
func rename(from, to string) error {
	for range 50 {
		err := os.Rename(from, to)
		if !errors.Is(err, windows.ERROR_SHARING_VIOLATION) && !errors.Is(err, windows.ERROR_ACCESS_DENIED) {
			return err
		}
		_ = pause(context.Background())
	}
	return os.Rename(from, to)
}

// syncFolder does nothing: a rename is in the journal of the file system.
func syncFolder(string) error { return nil }
