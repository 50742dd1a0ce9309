package gateway

import (
	"context"

	"github.com/interlock-mcp/interlock/gateway/redact"
	"github.com/interlock-mcp/interlock/policy/secrets"
	"github.com/interlock-mcp/interlock/telemetry"
)

// maxEnvelope is how long what is before the result in an answer may be: the client's
// id is.
const maxEnvelope = 1 << 10

// capture puts the arguments and the result of a tools/call into the span of the
// client's request, redacted: what passed the policies, so that what they took out or
// refused is not in a trace after all. A nil capture does nothing.
type capture struct{ redactor *redact.Redactor }

// newCapture returns what telemetry.traces.capture asks for.
func newCapture(mode string) *capture {
	if mode != telemetry.CaptureRedacted {
		return nil
	}
	return &capture{redact.New(secrets.NewScanner().Redact)}
}

// arguments adds what is sent to the upstream. ctx is the request's.
func (c *capture) arguments(ctx context.Context, method string, raw []byte) {
	if c == nil || method != "tools/call" || raw == nil {
		return
	}
	if s := telemetry.FromContext(ctx); s.Recording() {
		s.Set(telemetry.String(telemetry.AttrArguments, c.redactor.JSON(raw)))
	}
}

// result adds what the client gets, unless that is a JSON-RPC error.
func (c *capture) result(s *telemetry.Span, method string, a answer) {
	if c == nil || method != "tools/call" || !s.Recording() {
		return
	}
	if raw := redact.Member(a.first(redact.Read+maxEnvelope), "result"); raw != nil {
		s.Set(telemetry.String(telemetry.AttrResult, c.redactor.JSON(raw)))
	}
}
