//go:build !windows

package upstream

import "syscall"

// try writes what the pipe takes of the rest at once, without waiting. Most
// requests leave this way, on their caller's own goroutine.
func (o *outbox) try() (n int, err error) {
	o.tried = 0
	err = o.raw.Write(o.attempt)
	return o.tried, err
}

// writeOnce makes one write to a pipe that does not block. It says true, so that
// nobody waits until it could be repeated.
func (o *outbox) writeOnce(fd uintptr) bool {
	for {
		n, err := syscall.Write(int(fd), o.rest)
		if err != syscall.EINTR {
			o.tried = max(n, 0)
			return true
		}
	}
}
