package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strconv"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// maxFollowed is the cap of one event of a stream in bytes.
const maxFollowed = 1 << 20

// FollowEvents yields what happened after the event of that number, and then
// what happens, until ctx is done or the gateway ends the stream. The last value
// has an error if it ends in another way.
func (c *Client) FollowEvents(ctx context.Context, after uint64) iter.Seq2[Event, error] {
	return follow[Event](ctx, c, "/v1/events?follow=true&after="+strconv.FormatUint(after, 10))
}

// FollowLogs yields the last lines that an upstream wrote on stderr, at most
// tail, and then those it writes, until ctx is done or the gateway ends the
// stream. The last value has an error if it ends in another way.
func (c *Client) FollowLogs(ctx context.Context, name string, tail int) iter.Seq2[LogLine, error] {
	return follow[LogLine](ctx, c, route(name, "logs")+"?follow=true&tail="+strconv.Itoa(tail))
}

// follow yields the data of a stream's events.
func follow[T any](ctx context.Context, c *Client, path string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		res, err := c.send(ctx, http.MethodGet, path, "text/event-stream", nil)
		if err != nil {
			if ctx.Err() == nil {
				yield(none, err)
			}
			return
		}
		defer res.Body.Close()
		events := jsonrpc.NewEventReader(res.Body, maxFollowed)
		for {
			e, err := events.Next()
			switch {
			case ctx.Err() != nil || errors.Is(err, io.EOF):
				return
			case err != nil:
				yield(none, c.broken(ctx, err))
				return
			case len(e.Data) == 0: // a sign of life
				continue
			}
			var v T
			if err := json.Unmarshal(e.Data, &v); err != nil {
				yield(none, fmt.Errorf("answer of %s: %w", c.target, err))
				return
			}
			if !yield(v, nil) {
				return
			}
		}
	}
}
