package main

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// groupLimit is the smallest pids.max of the control groups that this process is
// in (cgroup v2).
func groupLimit() (least uint64, ok bool) {
	raw, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(raw)) {
		group, found := strings.CutPrefix(strings.TrimSpace(line), "0::")
		if !found {
			continue
		}
		for {
			text, err := os.ReadFile(filepath.Join("/sys/fs/cgroup", group, "pids.max"))
			if n, bad := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64); err == nil && bad == nil && (!ok || n < least) {
				least, ok = n, true
			}
			if group == filepath.Dir(group) {
				break
			}
			group = filepath.Dir(group)
		}
	}
	return least, ok
}

// unwatchable says why the folders of files cannot be watched, "" if they can.
func unwatchable(files []string) string {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	if errors.Is(err, unix.EMFILE) {
		return "there are no inotify instances left (fs.inotify.max_user_instances)"
	}
	if err != nil {
		return err.Error()
	}
	defer func() { _ = unix.Close(fd) }()
	for _, file := range files {
		if _, err := unix.InotifyAddWatch(fd, filepath.Dir(file), unix.IN_CREATE); errors.Is(err, unix.ENOSPC) {
			return "there are no inotify watches left (fs.inotify.max_user_watches)"
		}
	}
	return ""
}
