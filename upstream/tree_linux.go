package upstream

import (
	"os"
	"syscall"
)

// tree is all that came of one child: its process group, whatever carries its
// marker, and their descendants.
type tree struct {
	pgid   int
	marker string
	since  uint64         // when the child was started: nothing older belongs
	known  map[int]uint64 // start times of those seen before, who may have hidden since
}

func newTree(pgid int, marker string) (*tree, error) {
	t := &tree{pgid: pgid, marker: marker, known: make(map[int]uint64)}
	if p, ok := readProc(pgid); ok {
		t.since = p.start
	}
	return t, nil
}

// signal sends sig (0 for none) to all that live, and returns how many they
// were. Of those seen, the dead that became children of this process are reaped,
// but for the leader, which its exec.Cmd waits for.
func (t *tree) signal(sig syscall.Signal) (alive int) {
	ours := t.ours()
	if sig != 0 && ours {
		_ = syscall.Kill(-t.pgid, sig) // the whole group in one step: none forks away from it
	}
	all := allProcs()
	if all == nil { // no /proc: the group is what there is to know
		if syscall.Kill(-t.pgid, 0) == nil {
			return 1
		}
		return 0
	}
	self := os.Getpid()
	for _, p := range family(all, func(p procInfo) bool {
		return ours && p.pgrp == t.pgid && p.start >= t.since || t.belongs(p)
	}) {
		t.known[p.pid] = p.start
		if p.zombie {
			if p.ppid == self && p.pid != t.pgid && !reap(p.pid) {
				alive++
			}
			continue
		}
		alive++
		if sig != 0 && (p.pgrp != t.pgid || !ours) {
			_ = syscall.Kill(p.pid, sig)
		}
	}
	return alive
}

// ours reports whether the group's number still means the child's group. Once
// the child was waited for and no member is left, the system may give its number
// to a stranger, and where numbers end at 32,768 it soon does.
func (t *tree) ours() bool {
	leader, ok := readProc(t.pgid)
	return !ok || leader.start == t.since
}

// belongs reports whether p is of the tree for another reason than its group.
func (t *tree) belongs(p procInfo) bool {
	if p.start < t.since {
		return false
	}
	return t.known[p.pid] == p.start || !p.zombie && marked(p.pid, t.marker+"\x00")
}

// reap takes the exit status of a dead child of this process that nobody else
// waits for, and reports whether it is gone.
func reap(pid int) bool {
	got, err := syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
	return got == pid || err == syscall.ECHILD
}
