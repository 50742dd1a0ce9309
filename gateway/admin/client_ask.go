package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Select is which upstreams a question is about; "" is any.
type Select struct {
	State, Transport string
	// Name is a glob.
	Name string
}

func (s Select) query() string {
	q := url.Values{}
	for k, v := range map[string]string{"state": s.State, "transport": s.Transport, "name": s.Name} {
		if v != "" {
			q.Set(k, v)
		}
	}
	if len(q) == 0 {
		return ""
	}
	return "?" + q.Encode()
}

// Upstreams returns the upstreams that s selects, in the order of the file.
func (c *Client) Upstreams(ctx context.Context, s Select) ([]Upstream, error) {
	var out struct{ Upstreams []Upstream }
	err := c.get(ctx, "/v1/upstreams"+s.query(), &out)
	return out.Upstreams, err
}

// Info returns all there is to know of one upstream.
func (c *Client) Info(ctx context.Context, name string) (*Info, error) {
	var out Info
	if err := c.get(ctx, route(name, ""), &out); err != nil {
		return nil, err
	}
	return &out, nil
}

// route is the path of an upstream, or of what is below it.
func route(name, below string) string {
	path := "/v1/upstreams/" + url.PathEscape(name)
	if below != "" {
		path += "/" + below
	}
	return path
}

// Tools returns the catalog's tools and what is odd about their names.
func (c *Client) Tools(ctx context.Context) ([]Tool, []Problem, error) { return c.ToolsIn(ctx, "") }

// Policies returns the policies in the order in which they are consulted before a
// call.
func (c *Client) Policies(ctx context.Context) ([]Policy, error) {
	var out struct{ Policies []Policy }
	err := c.get(ctx, "/v1/policies", &out)
	return out.Policies, err
}

// Ready returns what /readyz says.
func (c *Client) Ready(ctx context.Context) (Readiness, error) {
	var out Readiness
	err := c.get(ctx, "/readyz", &out)
	return out, err
}

// Call calls a tool and returns the bytes of its CallToolResult.
func (c *Client) Call(ctx context.Context, tool string, arguments json.RawMessage) (json.RawMessage, error) {
	return c.CallIn(ctx, "", tool, arguments)
}

// CallIn is Call for a client that sees a profile, "" for the whole.
func (c *Client) CallIn(ctx context.Context, profile, tool string, arguments json.RawMessage) (json.RawMessage, error) {
	body, err := json.Marshal(callBody{Tool: tool, Arguments: arguments, Profile: profile})
	if err != nil {
		return nil, fmt.Errorf("arguments: %w", err)
	}
	return c.do(ctx, http.MethodPost, "/v1/call", body)
}

// Check has the named upstreams probed now, all for none, and returns what each
// said by its name.
func (c *Client) Check(ctx context.Context, names ...string) (map[string]Check, error) {
	out := map[string]Check{}
	err := c.post(ctx, "/v1/check", struct {
		Names []string `json:"names"`
	}{orEmpty(names)}, &out)
	return out, err
}

// Stats returns the figures of one upstream over a window, and of all for the
// name "".
func (c *Client) Stats(ctx context.Context, name string, window time.Duration) ([]Stats, error) {
	query := "?window=" + url.QueryEscape(window.String())
	if name == "" {
		var out struct{ Stats []Stats }
		err := c.get(ctx, "/v1/stats"+query, &out)
		return out.Stats, err
	}
	one := make([]Stats, 1)
	if err := c.get(ctx, route(name, "stats")+query, &one[0]); err != nil {
		return nil, err
	}
	return one, nil
}

// Graph returns the upstreams and what they depend on.
func (c *Client) Graph(ctx context.Context) (*Graph, error) {
	var out Graph
	if err := c.get(ctx, "/v1/graph", &out); err != nil {
		return nil, err
	}
	return &out, nil
}

// Config returns the configuration that runs, a JSON object with *** for what
// may be secret.
func (c *Client) Config(ctx context.Context) (json.RawMessage, error) {
	return c.do(ctx, http.MethodGet, "/v1/config", nil)
}

// Logs returns the last lines that an upstream wrote on stderr, at most tail,
// the oldest first.
func (c *Client) Logs(ctx context.Context, name string, tail int) ([]LogLine, error) {
	var out struct{ Lines []LogLine }
	err := c.get(ctx, route(name, "logs")+"?tail="+strconv.Itoa(tail), &out)
	return out.Lines, err
}

// Events returns what happened after the event of that number, the oldest first;
// 0 is all that the gateway remembers.
func (c *Client) Events(ctx context.Context, after uint64) ([]Event, error) {
	var out struct{ Events []Event }
	err := c.get(ctx, "/v1/events?after="+strconv.FormatUint(after, 10), &out)
	return out.Events, err
}
