//go:build !linux

package upstream

import (
	"os"
	"syscall"
	"time"
)

// alive reports whether a process lives, as far as it can be told here.
func alive(pid int) bool { return exists(pid) }

func exists(pid int) bool {
	p, err := os.FindProcess(pid)
	return err == nil && p.Signal(syscall.Signal(0)) == nil
}

func ownChildren() []int { return nil }

func goneBy(pids []int, deadline func() time.Time) (left []int) {
	for end := deadline(); ; {
		left = left[:0]
		for _, pid := range pids {
			if alive(pid) {
				left = append(left, pid)
			}
		}
		if len(left) == 0 || time.Now().After(end) {
			return left
		}
		<-time.After(10 * time.Millisecond)
	}
}
