package admin

import (
	"context"
	"net/url"
)

// Pins returns what was approved or is offered, of what is named.
func (c *Client) Pins(ctx context.Context, names ...string) (*PinList, error) {
	var out PinList
	if err := c.get(ctx, "/v1/pins"+namesQuery(names), &out); err != nil {
		return nil, err
	}
	return &out, nil
}

// PinDiffs compares what is not as it was approved, of what is named.
func (c *Client) PinDiffs(ctx context.Context, names ...string) ([]PinDiff, error) {
	var out struct{ Diffs []PinDiff }
	err := c.get(ctx, "/v1/pins/diff"+namesQuery(names), &out)
	return out.Diffs, err
}

// ApprovePins approves what was seen: names with their hashes. On an error nothing
// is approved.
func (c *Client) ApprovePins(ctx context.Context, refs ...string) ([]Pin, error) {
	var out struct{ Approved []Pin }
	err := c.post(ctx, "/v1/pins/approve", approveBody{refs}, &out)
	return out.Approved, err
}

func namesQuery(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return "?" + url.Values{"name": names}.Encode()
}
