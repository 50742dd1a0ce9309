package policy

import (
	"context"
	"time"
)

// Effect is what a policy did, as metrics, spans and the audit say it.
type Effect string

// The effects.
const (
	Allow  Effect = "allow"  // nothing
	Deny   Effect = "deny"   // the call, the answer or the message is refused
	Change Effect = "change" // something was replaced
	Report Effect = "report" // it was noted, and passes
	Hide   Effect = "hide"   // a definition is not listed, and not callable
	Failed Effect = "error"  // it could not decide: on_error did
)

// Phase is what a policy was asked about.
type Phase string

// The phases.
const (
	PhaseBefore   Phase = "before"
	PhaseAfter    Phase = "after"
	PhaseReceived Phase = "received"
	PhaseVet      Phase = "vet"
)

// Decision is one policy's say on one thing.
type Decision struct {
	Policy string
	Phase  Phase
	// Effect is what came of it, Failed when the policy could not decide.
	Effect Effect
	// Passed says whether the call goes on: on_error and a dry run let it.
	Passed bool
	DryRun bool
	Reason string // "" for Allow
	// Err is why the policy could not decide.
	Err   error
	Began time.Time
	Took  time.Duration
}

// Observer is told of every decision, while the call waits. It must not block.
// The call is nil for a message that belongs to none.
type Observer func(ctx context.Context, c *Call, d Decision)
