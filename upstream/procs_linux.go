package upstream

import (
	"bytes"
	"os"
	"strconv"
)

// procInfo is what /proc says of one process.
type procInfo struct {
	pid, ppid, pgrp int
	zombie          bool   // dead, and not yet waited for
	start           uint64 // clock ticks since boot; with pid, what identifies it
	ticks           uint64 // of user and system time, its own and that of children it waited for
	pages           int64  // resident
}

// readProc reads /proc/<pid>/stat (proc_pid_stat(5)).
func readProc(pid int) (procInfo, bool) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return procInfo{}, false
	}
	// The name, in parentheses, may hold anything; the fields follow its end.
	i := bytes.LastIndexByte(b, ')')
	f := bytes.Fields(b[i+1:])
	if i < 0 || len(f) < 22 {
		return procInfo{}, false
	}
	number := func(b []byte) int {
		n, _ := strconv.Atoi(string(b))
		return n
	}
	start, _ := strconv.ParseUint(string(f[19]), 10, 64)
	ticks := number(f[11]) + number(f[12]) + number(f[13]) + number(f[14])
	return procInfo{
		pid: pid, ppid: number(f[1]), pgrp: number(f[2]), start: start, ticks: uint64(ticks), pages: int64(number(f[21])),
		// The state is the first thread's; it is not over before the others are.
		zombie: (f[0][0] == 'Z' || f[0][0] == 'X') && number(f[17]) <= 1,
	}, true
}

// allProcs lists the processes there are. It is empty where /proc is not mounted.
func allProcs() []procInfo {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	var out []procInfo
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			if p, ok := readProc(pid); ok {
				out = append(out, p)
			}
		}
	}
	return out
}

// marked reports whether the environment that a process was started with has
// the marker name=prefix...; that of another user's process cannot be read.
func marked(pid int, prefix string) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return false
	}
	want := []byte(markerName + "=" + prefix)
	return bytes.HasPrefix(b, want) || bytes.Contains(b, append([]byte{0}, want...))
}

// family returns the processes that belong, and all their descendants.
func family(all []procInfo, belongs func(procInfo) bool) []procInfo {
	self := os.Getpid()
	children := make(map[int][]procInfo)
	var out []procInfo
	seen := make(map[int]bool)
	for _, p := range all {
		children[p.ppid] = append(children[p.ppid], p)
		if p.pid != self && belongs(p) {
			seen[p.pid] = true
			out = append(out, p)
		}
	}
	for i := 0; i < len(out); i++ {
		for _, c := range children[out[i].pid] {
			if !seen[c.pid] && c.pid != self {
				seen[c.pid] = true
				out = append(out, c)
			}
		}
	}
	return out
}
