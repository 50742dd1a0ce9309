// Package policy decides which calls may reach an upstream, and with what.
//
// A Chain consults policies in order before a call and in reverse after it. The
// package knows nothing of how a call is made, of HTTP or of tracing. It starts
// no goroutine; a Chain never changes once built and is safe for concurrent
// use if its policies are.
package policy

import (
	"context"
	"fmt"
	"slices"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// Principal is who makes a call. The zero value is the anonymous local user.
type Principal struct {
	Issuer, Subject string
}

// Key returns a string that differs between principals.
func (p Principal) Key() string {
	if p.Issuer == "" && p.Subject == "" {
		return ""
	}
	return p.Issuer + "\x00" + p.Subject
}

// Call is a request on its way to an upstream.
type Call struct {
	Principal Principal
	// Session identifies the client's session, "" where there is none.
	Session string
	// Method is the MCP method: tools/call, prompts/get, resources/read, ...
	Method string
	// Upstream is the upstream's name, and Target its own name of the tool or
	// prompt, or the resource's URI. Exposed is the name the client used.
	Upstream, Target, Exposed string
	// Message is the request as the client sent it.
	Message jsonrpc.Message
}

// Policy is consulted around each call.
type Policy interface {
	// Name identifies the policy in answers, spans and metrics.
	Name() string
	// Before returns nil to let the call pass, a *Denial to refuse it with a
	// reason that the client may read, or another error, which refuses it too.
	Before(ctx context.Context, c *Call) error
	// After sees the answer and may refuse it in the same way.
	After(ctx context.Context, c *Call, answer jsonrpc.Message) error
}

// Denial is a policy's refusal.
type Denial struct {
	Policy string
	Reason string
}

func (d *Denial) Error() string { return fmt.Sprintf("denied by policy %s: %s", d.Policy, d.Reason) }

// Chain consults policies. The nil Chain and the empty one let everything pass
// and cost nothing.
type Chain struct{ policies []Policy }

// NewChain returns a chain of the policies in their order.
func NewChain(policies ...Policy) *Chain { return &Chain{policies} }

// Empty reports whether there is nobody to consult.
func (c *Chain) Empty() bool { return c == nil || len(c.policies) == 0 }

// Before consults the policies in order and stops at the first error.
func (c *Chain) Before(ctx context.Context, call *Call) error {
	if c == nil {
		return nil
	}
	for _, p := range c.policies {
		if err := p.Before(ctx, call); err != nil {
			return err
		}
	}
	return nil
}

// After consults the policies in reverse order and stops at the first error.
func (c *Chain) After(ctx context.Context, call *Call, answer jsonrpc.Message) error {
	if c == nil {
		return nil
	}
	for _, v := range slices.Backward(c.policies) {
		if err := v.After(ctx, call, answer); err != nil {
			return err
		}
	}
	return nil
}
