package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
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

// cpu is the user and system time that a process itself has used, to a hundredth
// of a second; 0 where it is not known.
func cpu(pid int) time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	end := bytes.LastIndexByte(b, ')')
	if err != nil || end < 0 {
		return 0
	}
	fields := strings.Fields(string(b[end+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

// living are those processes of a PIDFile that live.
func living(file string) (out []int) {
	b, _ := os.ReadFile(file)
	for line := range strings.Lines(string(b)) {
		pid, _ := strconv.Atoi(strings.TrimSpace(line))
		if state, ok := stateOf(pid); ok && state != 'Z' {
			out = append(out, pid)
		}
	}
	return out
}
