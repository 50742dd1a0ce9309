package policy

import "log/slog"

// Env is what policies need of what they run in.
type Env struct {
	// Log is never nil.
	Log *slog.Logger
	// StateDir is where a policy may keep what outlives it, "" for nowhere.
	StateDir string
	// Again has everything vetted anew. It does not block, and may be called at any
	// time.
	Again func()
}
