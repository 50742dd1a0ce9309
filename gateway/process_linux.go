package gateway

import (
	"bytes"
	"os"
	"strconv"
	"time"

	"github.com/interlock-mcp/interlock/telemetry"
)

// clockTick is the unit of times in /proc: USER_HZ, which is 100 on all that Go
// runs on.
const clockTick = 10 * time.Millisecond

// processNow reads what this process takes (proc_pid_stat(5)).
func processNow() telemetry.Process {
	var p telemetry.Process
	raw, err := os.ReadFile("/proc/self/stat")
	// The name, in parentheses, may hold anything; the fields follow its end, and
	// the first of them is the third.
	f := bytes.Fields(raw[bytes.LastIndexByte(raw, ')')+1:])
	if err != nil || len(f) < 22 {
		return p
	}
	field := func(n int) int64 {
		v, _ := strconv.ParseInt(string(f[n-3]), 10, 64)
		return v
	}
	p.User, p.System = time.Duration(field(14))*clockTick, time.Duration(field(15))*clockTick
	p.Threads = int(field(20))
	p.Virtual, p.Memory = field(23), field(24)*int64(os.Getpagesize())
	if dir, err := os.Open("/proc/self/fd"); err == nil {
		names, _ := dir.Readdirnames(-1)
		dir.Close()
		p.Descriptors = max(len(names)-1, 0) // without the one that reads
	}
	return p
}
