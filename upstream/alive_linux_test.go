package upstream

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// alive reports whether a process lives and is no zombie.
func alive(pid int) bool {
	p, ok := readProc(pid)
	return ok && !p.zombie
}

// exists reports whether there is a process, or its zombie.
func exists(pid int) bool {
	_, ok := readProc(pid)
	return ok
}

// ownChildren returns the children of this process, dead or alive.
func ownChildren() (out []int) {
	for _, p := range allProcs() {
		if p.ppid == os.Getpid() {
			out = append(out, p.pid)
		}
	}
	return out
}

// goneBy waits until all the processes have ended, at most until the deadline,
// and returns those that have not.
func goneBy(pids []int, deadline func() time.Time) (left []int) {
	fds := make(map[int]int)
	for _, pid := range pids {
		if fd, err := unix.PidfdOpen(pid, 0); err == nil {
			fds[pid] = fd
			defer unix.Close(fd)
		}
	}
	end := deadline()
	for pid, fd := range fds {
		n, err := 0, error(unix.EINTR)
		for errors.Is(err, unix.EINTR) {
			wait := max(time.Until(end), 0)
			n, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(wait.Milliseconds()))
		}
		if n != 1 {
			left = append(left, pid)
		}
	}
	return left
}
