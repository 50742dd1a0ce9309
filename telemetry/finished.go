package telemetry

import "time"

// finished is a span that has ended, as it is kept and exported.
type finished struct {
	trace        [16]byte
	span, parent [8]byte // parent is zero for none, and may be a client's
	// root says that the span has no parent in this process: it is the first of
	// its trace here, and the last to end but for what outlives a call.
	root bool

	began, ended time.Time
	failed       bool
	// raw is one encoded opentelemetry.proto.trace.v1.Span. Nobody changes it.
	raw []byte
}
