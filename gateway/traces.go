package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/telemetry"
)

// Traces returns the last requests that q selects, and what the gateway did by
// itself, as OTLP JSON. The error is an *admin.Error.
func (g *Gateway) Traces(q admin.TraceQuery) (json.RawMessage, error) {
	list, n, err := g.tel.Traces(wanted(q))
	// What an upstream did that was removed may still be there.
	if err == nil && n == 0 && q.Upstream != "" && g.set.Upstream(q.Upstream) == nil {
		return nil, g.noUpstream(q.Upstream)
	}
	return list, noTrace(err)
}

// NextTraces returns those that ended after a number, as admin.Traces says.
func (g *Gateway) NextTraces(q admin.TraceQuery, after uint64) ([]json.RawMessage, uint64, <-chan struct{}, error) {
	list, now, changed, err := g.tel.NextTraces(wanted(q), after)
	return list, now, changed, noTrace(err)
}

// TracesNow is the number of now.
func (g *Gateway) TracesNow() uint64 { return g.tel.TracesNow() }

// Trace returns a trace by what its id begins with. If no request of it has ended it
// blocks until one has, for no longer than wait or ctx.
func (g *Gateway) Trace(ctx context.Context, id string, wait time.Duration) (json.RawMessage, error) {
	t, err := g.tel.Trace(ctx, id, wait)
	return t, noTrace(err)
}

func wanted(q admin.TraceQuery) telemetry.Wanted {
	return telemetry.Wanted{Limit: q.Limit, UnderWay: q.UnderWay, Calls: q.Calls, Errors: q.Errors, Upstream: q.Upstream, Tool: q.Tool, Slower: q.Slower, Since: q.Since}
}

// noTrace is the error of one that is not there, as the admin API says it.
func noTrace(err error) error {
	var unknown *telemetry.UnknownTraceError
	var several *telemetry.AmbiguousTraceError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, telemetry.ErrNotKept):
		return &admin.Error{Code: admin.CodeNoTraces, Detail: err.Error(), Mend: "set telemetry.traces.keep and start the gateway anew", Err: err}
	case errors.As(err, &unknown):
		return &admin.Error{
			Code: admin.CodeUnknownTrace, Detail: err.Error(), Err: err,
			Mend: "`interlock traces` lists those that are kept; one that was exported is in the tracing backend",
		}
	case errors.As(err, &several):
		return &admin.Error{Code: admin.CodeBadRequest, Detail: err.Error(), Mend: "write more of it", Err: err}
	}
	return err
}
