package upstream

import (
	"bytes"
	"os"
	"strconv"
	"time"
)

// clockTick is the unit of times in /proc: USER_HZ, which is 100 on all that Go
// runs on.
const clockTick = 10 * time.Millisecond

// usageOf adds up the tree of a child that leads a group of its own: the group,
// what carries the child's marker, and their descendants.
func usageOf(pid int) (u Usage, ok bool) {
	leader, ok := readProc(pid)
	if !ok || leader.pgrp != pid {
		return u, false
	}
	marker := markerOf(pid)
	for _, p := range family(allProcs(), func(p procInfo) bool {
		return p.start >= leader.start && (p.pgrp == pid || marker != "" && !p.zombie && marked(p.pid, marker+"\x00"))
	}) {
		u.CPU += time.Duration(p.ticks) * clockTick
		u.Memory += p.pages * int64(os.Getpagesize())
		if !p.zombie {
			u.Processes++
		}
	}
	return u, u.Processes > 0
}

// markerOf returns the marker that a process was started with, "" if it cannot be
// read.
func markerOf(pid int) string {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return ""
	}
	for v := range bytes.SplitSeq(b, []byte{0}) {
		if marker, ok := bytes.CutPrefix(v, []byte(markerName+"=")); ok {
			return string(marker)
		}
	}
	return ""
}
