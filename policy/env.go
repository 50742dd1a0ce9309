package policy

import (
	"log/slog"
	"os/exec"
	"time"
)

// Env is what policies need of what they run in.
type Env struct {
	// Name is the name of the policy that is made.
	Name string
	// Log is never nil.
	Log *slog.Logger
	// StateDir is where a policy may keep what outlives it, "" for nowhere.
	StateDir string
	// Again has everything vetted anew. It does not block, and may be called at any
	// time.
	Again func()
	// Start starts a program, which has no stdin if the command has none. It is ended
	// with all that came of it when this process ends, however that ends. Nil where no
	// program may be started.
	Start func(*exec.Cmd) (Process, error)
	// Restarted is told that the program of the policy of that name was started again.
	// It does not block. Nil if nobody wants to know.
	Restarted func(name string)
}

// Process is a program that Env.Start started. Who started it calls its Stop.
type Process interface {
	PID() int
	// Exited is closed when the program itself has ended, and then Exit says how:
	// "exit status 3", "signal: killed".
	Exited() <-chan struct{}
	Exit() string
	// Stop ends the program and all that came of it: it is asked to end and, after
	// grace or at once if that is 0, killed. It blocks until nothing is left, and may
	// be called again.
	Stop(grace time.Duration)
}
