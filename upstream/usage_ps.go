package upstream

import (
	"strconv"
	"strings"
	"time"
)

// psArgs ask ps of POSIX for every process, without a heading.
var psArgs = []string{"-A", "-o", "pid=", "-o", "ppid=", "-o", "pgid=", "-o", "rss=", "-o", "time="}

// parsePS adds up what ps says of a process group and its descendants. What left
// both, as a daemon does, is not seen.
func parsePS(out string, pid int) (u Usage, ok bool) {
	type proc struct {
		pid, ppid, pgid, kib int
		cpu                  time.Duration
	}
	var all []proc
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) < 5 {
			continue
		}
		var n [4]int
		for i := range n {
			n[i], _ = strconv.Atoi(f[i])
		}
		all = append(all, proc{n[0], n[1], n[2], n[3], parsePSTime(f[4])})
	}
	in := map[int]bool{}
	for grown := true; grown; { // few rounds: a tree is not deep
		grown = false
		for _, p := range all {
			if !in[p.pid] && (p.pgid == pid || p.pid == pid || in[p.ppid]) {
				in[p.pid], grown = true, true
				u.Processes++
				u.CPU += p.cpu
				u.Memory += int64(p.kib) << 10
			}
		}
	}
	return u, in[pid]
}

// parsePSTime reads [[days-]hours:]minutes:seconds[.hundredths].
func parsePSTime(s string) time.Duration {
	var days int
	if before, rest, ok := strings.Cut(s, "-"); ok {
		days, _ = strconv.Atoi(before)
		s = rest
	}
	var total float64
	for part := range strings.SplitSeq(s, ":") {
		n, err := strconv.ParseFloat(part, 64)
		if err != nil {
			return 0
		}
		total = total*60 + n
	}
	return time.Duration(days)*24*time.Hour + time.Duration(total*float64(time.Second))
}
