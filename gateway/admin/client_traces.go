package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// Traces returns the last requests that q selects as OTLP JSON, the last to end
// first, each as one element of resourceSpans.
func (c *Client) Traces(ctx context.Context, q TraceQuery) (json.RawMessage, error) {
	path := "/v1/traces"
	if v := q.query(); len(v) > 0 {
		path += "?" + v.Encode()
	}
	return c.do(ctx, http.MethodGet, path, nil)
}

// FollowTraces yields the requests that q selects as they end, each as Traces does,
// until ctx is done or the gateway ends the stream. The last value has an error if it
// ends in another way.
func (c *Client) FollowTraces(ctx context.Context, q TraceQuery) iter.Seq2[json.RawMessage, error] {
	v := q.query()
	v.Set("follow", "true")
	return follow[json.RawMessage](ctx, c, "/v1/traces?"+v.Encode())
}

// Trace returns all that is kept of one trace as OTLP JSON, by its id or by what
// that begins with. If its request has not ended it waits for that, for at most so
// long.
func (c *Client) Trace(ctx context.Context, id string, wait time.Duration) (json.RawMessage, error) {
	path := "/v1/traces/" + url.PathEscape(id)
	if wait > 0 {
		path += "?wait=" + wait.String()
	}
	return c.do(ctx, http.MethodGet, path, nil)
}

// CallTraced is CallIn, and has the call recorded. trace is the id of its trace, also
// with an error; "" if the gateway records nothing.
func (c *Client) CallTraced(ctx context.Context, profile, tool string, arguments json.RawMessage) (result json.RawMessage, trace string, err error) {
	body, err := json.Marshal(callBody{Tool: tool, Arguments: arguments, Profile: profile, Trace: true})
	if err != nil {
		return nil, "", fmt.Errorf("arguments: %w", err)
	}
	res, err := c.send(ctx, http.MethodPost, "/v1/call", "application/json", body)
	if err != nil {
		if e := new(Error); errors.As(err, &e) {
			trace = e.Trace
		}
		return nil, trace, err
	}
	defer res.Body.Close()
	if result, err = io.ReadAll(res.Body); err != nil {
		err = c.broken(ctx, err)
	}
	return result, res.Header.Get(headerTrace), err
}
