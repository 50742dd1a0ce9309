package telemetry

import (
	"os"

	"golang.org/x/sys/windows"
)

// lockFile locks a file against writers that lock it too, until it is closed or
// this process ends: a byte far beyond its end, since others may read it. The
// error says that another holds it.
func lockFile(f *os.File) error {
	const how = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	return windows.LockFileEx(windows.Handle(f.Fd()), how, 0, 1, 0, &windows.Overlapped{OffsetHigh: 1 << 30})
}
