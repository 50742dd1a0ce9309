//go:build unix && !linux

package upstream

import "syscall"

// tree is all that came of one child that can be found here: its process group.
// A process that began a session of its own (setsid) is out of reach.
type tree struct{ pgid int }

func newTree(pgid int, _ string) (*tree, error) { return &tree{pgid}, nil }

// signal sends sig (0 for none) to the group and returns 0 if it has no members.
func (t *tree) signal(sig syscall.Signal) (alive int) {
	if syscall.Kill(-t.pgid, sig) != nil {
		return 0
	}
	return 1
}
