// Package policy decides which calls may reach an upstream, and with what.
//
// A Chain consults policies in order before a call and in reverse after it; some
// of them also see what servers send of themselves, and what they offer. The
// package knows nothing of how a call is made, of HTTP or of tracing. It starts
// goroutines only for policies that have a deadline. A Chain never changes once
// built and is safe for concurrent use if its policies are.
//
// The policies that come with Interlock are packages below this one, and
// policy/builtin makes them of their configuration.
package policy

import (
	"context"
	"time"
)

// Policy is consulted around each call. It must be safe for concurrent use. It may
// implement Inbound, Vetter, Finisher and io.Closer as well, and is a pointer.
type Policy interface {
	// Before returns nil to let the call pass, a *Denial to refuse it with a
	// reason that the client's model may read, or another error when it could not
	// decide. It may change the call's arguments and annotate it.
	Before(ctx context.Context, c *Call) error
	// After sees the answer, and may refuse or change it in the same way.
	After(ctx context.Context, c *Call, a *Answer) error
}

// Inbound is a policy that is also asked about what servers send of themselves.
type Inbound interface {
	// Received is Before for such a message. A notification that is refused is
	// dropped, a request is answered with an error.
	Received(ctx context.Context, m *ServerMessage) error
}

// Vetter is a policy that also looks at what upstreams offer, before a client does.
type Vetter interface {
	// Vet is given all that is offered, in the order of the file, each time
	// anything of it changes. It returns what it has to say, and keeps nothing of
	// the slice. It must not block.
	Vet(all []*Definition) []Verdict
}

// Finisher is a policy that holds something for as long as a call lasts.
type Finisher interface {
	// Done is called once for each call that Before was asked about, however it
	// ended. It must not block.
	Done(c *Call)
}

// Reporter is a policy that has something to say of itself, such as one in another
// process.
type Reporter interface {
	// State is how it is, in a few words of which the first is "running" or "down". It
	// does not block.
	State() string
}

// Denial is a policy's refusal.
type Denial struct {
	// Policy is the name of the policy; the chain fills it in.
	Policy string
	// Reason is a sentence without its full stop. It names facts and invites no
	// workaround, and holds no values out of the call.
	Reason string
	// RetryAfter is when to come back, 0 for never.
	RetryAfter time.Duration
	// Err is what kept the policy from deciding, nil if it decided. Clients are
	// not told.
	Err error
}

func (d *Denial) Error() string { return "denied by policy " + d.Policy + ": " + d.Reason }

func (d *Denial) Unwrap() error { return d.Err }
