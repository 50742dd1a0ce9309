package upstream

import (
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// reapPause gathers the deaths of a moment, so that many cost one look.
	reapPause = 100 * time.Millisecond
	// reapAge is how long a dead child that may be another's to wait for stays.
	reapAge = 5 * time.Second
)

// signal sends sig (0 for none) to all that live and returns how many they were.
func (o *orphans) signal(sig syscall.Signal) (alive int) {
	groups := make(map[int]bool, len(o.groups))
	for _, g := range o.groups {
		groups[g] = true
		if sig != 0 {
			_ = syscall.Kill(-g, sig)
		}
	}
	for _, p := range family(allProcs(), func(p procInfo) bool {
		return groups[p.pgrp] || !p.zombie && marked(p.pid, o.instance+".")
	}) {
		if p.zombie {
			continue
		}
		alive++
		if sig != 0 && !groups[p.pgrp] {
			_ = syscall.Kill(p.pid, sig)
		}
	}
	return alive
}

// adoptOrphans makes this process the parent of its descendants' orphans
// (PR_SET_CHILD_SUBREAPER), so that they stay in the tree below it, and reaps
// them until Close. As the first process of a container it is that anyway.
func (w *Watcher) adoptOrphans() {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		w.log.Load().Warn("orphans of children cannot be adopted", "error", err)
	}
	died := make(chan os.Signal, 1)
	signal.Notify(died, syscall.SIGCHLD)
	w.tasks.Go(func() {
		defer signal.Stop(died)
		w.reapOrphans(died)
	})
}

func (w *Watcher) reapOrphans(died <-chan os.Signal) {
	seen := make(map[int]time.Time) // since when a child is dead that may be another's
	for {
		var again <-chan time.Time
		if len(seen) > 0 {
			again = time.After(reapAge / 4)
		}
		select {
		case <-w.quit:
			return
		case <-again:
		case <-died:
			if until(w.quit, reapPause, nil) {
				return
			}
		}
		seen = w.reapDead(allProcs(), seen)
	}
}

// reapDead reaps the dead children of this process that are orphans it adopted:
// the members of a child's group at once, others when nobody has waited for them
// for so long that nobody will. Children are left to their exec.Cmd.
func (w *Watcher) reapDead(all []procInfo, seen map[int]time.Time) map[int]time.Time {
	self := os.Getpid()
	young := make(map[int]time.Time)
	all = slices.DeleteFunc(all, func(p procInfo) bool { return p.ppid != self || !p.zombie })
	for _, p := range all {
		since, ok := seen[p.pid]
		switch {
		case p.pgrp != p.pid && w.watched(p.pgrp), ok && time.Since(since) > reapAge:
			reap(p.pid)
		case ok:
			young[p.pid] = since
		default:
			young[p.pid] = time.Now()
		}
	}
	return young
}
