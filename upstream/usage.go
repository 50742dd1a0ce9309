package upstream

import "time"

// Usage is what the processes of an upstream take: its child, and all that came
// of it.
type Usage struct {
	Processes int
	// CPU is user and system time since the child began, also of processes that
	// have ended and were waited for.
	CPU time.Duration
	// Memory is the resident set in bytes. Pages that several of the processes share
	// count for each.
	Memory int64
}

// Usage returns what the upstream's process tree takes, and false for a remote,
// while there is no process, and where the system does not tell. It reads all
// there is of processes: some milliseconds on a busy machine.
func (u *Upstream) Usage() (Usage, bool) {
	pid := u.phase.Load().status.PID
	if pid == 0 {
		return Usage{}, false
	}
	return usageOf(pid)
}
