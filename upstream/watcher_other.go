//go:build unix && !linux

package upstream

import "syscall"

// signal sends sig (0 for none) to the groups and returns how many have members.
func (o *orphans) signal(sig syscall.Signal) (alive int) {
	for _, g := range o.groups {
		if syscall.Kill(-g, sig) == nil {
			alive++
		}
	}
	return alive
}

// adoptOrphans does nothing: orphans go to the first process, which reaps them.
func (*Watcher) adoptOrphans() {}
