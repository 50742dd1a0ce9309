//go:build !windows

package upstream

import "syscall"

// try writes what the pipe takes of the rest at once, without waiting. Most
// requests leave this way, on their caller's own goroutine.
func (o *outbox) try() (n int, err error) {
	err = o.raw.Write(func(fd uintptr) bool {
		for {
			var e error
			n, e = syscall.Write(int(fd), o.rest)
			if e != syscall.EINTR {
				n = max(n, 0)
				return true
			}
		}
	})
	return n, err
}
