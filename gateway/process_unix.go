//go:build unix && !linux

package gateway

import (
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-mcp/interlock/telemetry"
)

// processNow asks for what this process takes; the memory of the moment is not
// told.
func processNow() telemetry.Process {
	var p telemetry.Process
	var r unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &r) == nil {
		p.User, p.System = time.Duration(r.Utime.Nano()), time.Duration(r.Stime.Nano())
	}
	if dir, err := os.Open("/dev/fd"); err == nil {
		names, _ := dir.Readdirnames(-1)
		dir.Close()
		p.Descriptors = max(len(names)-1, 0) // without the one that reads
	}
	return p
}
