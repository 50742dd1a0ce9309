package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// processes describes the living processes whose environment names dir, but this
// one: what a gateway there has started. It knows nothing without /proc.
func processes(dir string) (out []string) {
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, name := range files {
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		env, err := os.ReadFile(name)
		if err != nil || pid == os.Getpid() || !bytes.Contains(env, []byte(dir)) {
			continue
		}
		if state, ok := stateOf(pid); ok && state != 'Z' {
			cmd, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			out = append(out, fmt.Sprintf("%d %s", pid, strings.ReplaceAll(string(cmd), "\x00", " ")))
		}
	}
	return out
}

// stateOf is the letter that /proc has for a process.
func stateOf(pid int) (state byte, ok bool) {
	state, _, ok = stat(pid)
	return state, ok
}

func stat(pid int) (state byte, parent int, ok bool) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	end := bytes.LastIndexByte(b, ')') // the name may hold anything
	if err != nil || end < 0 {
		return 0, 0, false
	}
	fields := strings.Fields(string(b[end+1:]))
	if len(fields) < 2 {
		return 0, 0, false
	}
	parent, _ = strconv.Atoi(fields[1])
	return fields[0][0], parent, true
}

// zombies counts the ended children of a process that it has not waited for.
func zombies(pid int) (n int) {
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range files {
		child, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		if state, parent, ok := stat(child); ok && parent == pid && state == 'Z' {
			n++
		}
	}
	return n
}

// resident is the memory of a process in bytes, 0 where it is not known.
func resident(pid int) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return kb << 10
		}
	}
	return 0
}
