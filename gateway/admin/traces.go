package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Traces are the last requests, and what the gateway did by itself, as spans. What
// is returned is OTLP JSON: {"resourceSpans": [...]}. An error is an *Error with
// CodeNoTraces where none are kept.
type Traces interface {
	// Traces returns the last requests that q selects, the last to end first, each
	// as one element of resourceSpans: its own span and all below it.
	Traces(q TraceQuery) (json.RawMessage, error)
	// NextTraces returns those that ended after a number, the first to end first,
	// each by itself, the number for the next time, and a channel that is closed when
	// there may be more. TracesNow is the number of now.
	NextTraces(q TraceQuery, after uint64) (list []json.RawMessage, now uint64, changed <-chan struct{}, err error)
	TracesNow() uint64
	// Trace returns a whole trace by its id, or by what that begins with. If it has
	// not ended it waits for that, for at most so long; a span of it that is under way
	// then has the end 0. The error is an *Error with
	// CodeUnknownTrace if there is none, and CodeBadRequest if there are several.
	Trace(ctx context.Context, id string, wait time.Duration) (json.RawMessage, error)
	// CallTraced is CallIn of an operator who wants to see what becomes of it: it is
	// recorded whatever is sampled. trace is the id of its trace, also with an error, ""
	// if nothing is recorded.
	CallTraced(ctx context.Context, profile, tool string, arguments json.RawMessage) (result json.RawMessage, trace string, err error)
}

// headerTrace has the id of the trace of a call.
const headerTrace = "Interlock-Trace"

// TraceQuery selects among what is kept; the zero value selects all.
type TraceQuery struct {
	// Limit is how many at most, the last ones; 0 is all.
	Limit int
	// UnderWay adds requests that have not ended, as if they did now: their spans have
	// the end 0.
	UnderWay bool
	// Calls selects requests of clients, Errors those of which something failed.
	Calls, Errors bool
	// Upstream and Tool are names; a tool's is the one that clients use, or the
	// upstream's own.
	Upstream, Tool string
	// Slower selects those that took at least so long, Since those that began then
	// or later.
	Slower time.Duration
	Since  time.Time
}

// How many traces are told, and how long a whole one may be waited for.
const (
	defaultTraces = 100
	maxTraces     = 10_000
	maxTraceWait  = 10 * time.Second
)

func (a *api) traces(w http.ResponseWriter, r *http.Request) error {
	q, err := traceQuery(r, time.Now())
	if err != nil {
		return err
	}
	follow, err := yes(r, "follow")
	if err != nil {
		return err
	}
	if follow {
		return a.followTraces(w, r, q)
	}
	list, err := a.State.Traces(q)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, list)
}

// traceQuery reads the query of a request that came at now.
func traceQuery(r *http.Request, now time.Time) (TraceQuery, error) {
	v := r.URL.Query()
	q := TraceQuery{Upstream: v.Get("upstream"), Tool: v.Get("tool")}
	limit, err := whole(r, "limit", defaultTraces, maxTraces)
	if err != nil {
		return q, err
	}
	q.Limit = int(limit) //nolint:gosec // at most maxTraces
	if q.UnderWay, err = yes(r, "under_way"); err != nil {
		return q, err
	}
	if q.Calls, err = yes(r, "calls"); err != nil {
		return q, err
	}
	if q.Errors, err = yes(r, "errors"); err != nil {
		return q, err
	}
	if q.Slower, err = span(r, "min", 0); err != nil {
		return q, err
	}
	since := v.Get("since")
	if since == "" {
		return q, nil
	}
	if ago, err := time.ParseDuration(since); err == nil && ago >= 0 {
		q.Since = now.Add(-ago)
		return q, nil
	}
	if q.Since, err = time.Parse(time.RFC3339, since); err != nil {
		return q, badParameter("since", since, "a time such as 2026-11-22T15:04:05Z, or how long ago, such as 10m")
	}
	return q, nil
}

func (q TraceQuery) query() url.Values {
	v := url.Values{}
	set := func(key, value string) {
		if value != "" {
			v.Set(key, value)
		}
	}
	set("upstream", q.Upstream)
	set("tool", q.Tool)
	if q.Limit > 0 {
		set("limit", strconv.Itoa(q.Limit))
	}
	if q.UnderWay {
		set("under_way", "true")
	}
	if q.Calls {
		set("calls", "true")
	}
	if q.Errors {
		set("errors", "true")
	}
	if q.Slower > 0 {
		set("min", q.Slower.String())
	}
	if !q.Since.IsZero() {
		set("since", q.Since.UTC().Format(time.RFC3339Nano))
	}
	return v
}

// followTraces writes an event for each request that ends.
func (a *api) followTraces(w http.ResponseWriter, r *http.Request, q TraceQuery) error {
	after := a.State.TracesNow()
	q.Limit = 1
	if _, err := a.State.Traces(q); err != nil { // it could not be said later
		return err
	}
	list, after, changed, err := a.State.NextTraces(q, after)
	if err != nil {
		return err
	}
	s := openStream(w, r)
	for {
		for _, t := range list {
			if s.send("", t) != nil {
				return nil //nolint:nilerr // the client is gone: there is nobody to tell
			}
		}
		select {
		case <-changed:
		case <-s.beat():
			if s.ping() != nil {
				return nil //nolint:nilerr // as above
			}
		case <-s.over:
			return nil
		case <-r.Context().Done():
			return nil
		}
		if list, after, changed, err = a.State.NextTraces(q, after); err != nil {
			return nil //nolint:nilerr // the stream has begun
		}
	}
}

func (a *api) trace(w http.ResponseWriter, r *http.Request) error {
	id := strings.ToLower(r.PathValue("id"))
	if len(id) > 32 || strings.Trim(id, "0123456789abcdef") != "" {
		return &Error{
			Code: CodeBadRequest, Detail: strconv.Quote(clip(id)) + " is no trace id, and not the beginning of one",
			Mend: "write up to 32 hexadecimal digits, such as 4bf92f35",
		}
	}
	var wait time.Duration
	if v := r.URL.Query().Get("wait"); v != "" {
		var err error
		if wait, err = span(r, "wait", 0); err != nil || wait > maxTraceWait {
			return badParameter("wait", v, "a duration of at most "+maxTraceWait.String())
		}
	}
	t, err := a.State.Trace(r.Context(), id, wait)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, t)
}
