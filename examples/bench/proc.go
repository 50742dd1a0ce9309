package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
)

// memory returns one figure of a file of /proc/PID, such as VmRSS of status or
// Anonymous of smaps_rollup, in MiB.
func memory(pid int, file, key string) (float64, error) {
	name := fmt.Sprintf("/proc/%d/%s", pid, file)
	raw, err := os.ReadFile(name)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, key+":"); ok {
			kb, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 64)
			return kb / 1024, err
		}
	}
	return 0, fmt.Errorf("%s has no %s", name, key)
}

func resident(pid int) (float64, error)  { return memory(pid, "status", "VmRSS") }
func peak(pid int) (float64, error)      { return memory(pid, "status", "VmHWM") }
func anonymous(pid int) (float64, error) { return memory(pid, "smaps_rollup", "Anonymous") }

// forgetPeak has the peak begin anew (proc(5), clear_refs).
func forgetPeak(pid int) error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0o200)
}

// children counts the processes that a process has started and that live.
func children(pid int) (int, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return 0, err
	}
	n := len(strings.Fields(string(raw)))
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return 0, err
	}
	for _, t := range tasks {
		if t.Name() == strconv.Itoa(pid) {
			continue
		}
		if raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, t.Name())); err == nil {
			n += len(strings.Fields(string(raw)))
		}
	}
	return n, nil
}

// allocations asks a process how many objects it has allocated so far.
func allocations(ctx context.Context, url string) (float64, error) {
	return counted(ctx, url, "go_memstats_mallocs_total")
}

// counted asks a process for a counter of its metrics.
func counted(ctx context.Context, url, counter string) (float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	t := &http.Transport{DisableKeepAlives: true}
	res, err := t.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(raw) {
		if rest, ok := bytes.CutPrefix(line, []byte(counter+" ")); ok {
			return strconv.ParseFloat(string(bytes.TrimSpace(rest)), 64)
		}
	}
	return 0, fmt.Errorf("%s says nothing of %s", url, counter)
}
