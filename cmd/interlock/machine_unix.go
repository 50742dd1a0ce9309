//go:build !windows

package main

import "golang.org/x/sys/unix"

// fileLimit is how many descriptors this process, and so a gateway, may have.
func fileLimit() (uint64, bool) {
	var r unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &r) != nil {
		return 0, false
	}
	return uint64(r.Cur), true //nolint:unconvert // it is signed on some systems
}

// processLimit is how many processes, and threads where the system counts those,
// there may be, and which limit that is.
func processLimit() (n uint64, which string, ok bool) {
	var r unix.Rlimit
	// The superuser has no such limit.
	if unix.Geteuid() != 0 && unix.Getrlimit(unix.RLIMIT_NPROC, &r) == nil {
		n, which, ok = uint64(r.Cur), "RLIMIT_NPROC", true //nolint:unconvert // as above
	}
	if group, found := groupLimit(); found && (!ok || group < n) {
		return group, "pids.max of its control group", true
	}
	return n, which, ok
}
