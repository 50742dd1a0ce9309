package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
)

// lines is the media type of one JSON value a line: outcomes as they come.
const lines = "application/x-ndjson"

// Order gives an order: start, stop, restart or remove. It returns when the
// order is taken or, with o.Wait, when all outcomes are known; each is told of
// every one as it comes, on this goroutine. An outcome that is no success is no
// error.
func (c *Client) Order(ctx context.Context, verb string, o Order, each func(Outcome)) ([]Outcome, error) {
	return c.outcomes(ctx, "/v1/"+verb, o, each)
}

// Addition is the body of POST /v1/upstreams.
type Addition struct {
	// One of these is set, as in the file: names and their configuration.
	MCPServers json.RawMessage `json:"mcpServers,omitempty"`
	Upstreams  json.RawMessage `json:"upstreams,omitempty"`
	// Wait and Timeout are as in an Order.
	Wait    bool    `json:"wait,omitempty"`
	Timeout float64 `json:"timeout,omitempty"`
}

// Add registers upstreams at run time. What it returns, and each, are as of
// Order.
func (c *Client) Add(ctx context.Context, a Addition, each func(Outcome)) ([]Outcome, error) {
	return c.outcomes(ctx, "/v1/upstreams", a, each)
}

// Reload has the gateway read its configuration anew, or with dry say what that
// would do. The error of a configuration that is refused is an *Error.
func (c *Client) Reload(ctx context.Context, dry DryRun) (*Plan, error) {
	path := "/v1/reload"
	if dry {
		path += "?dry_run=true"
	}
	var out Plan
	if err := c.post(ctx, path, struct{}{}, &out); err != nil {
		return nil, err
	}
	return &out, nil
}

// DryRun says that a reload is only to be planned.
type DryRun bool

// outcomes posts body and reads outcomes: as lines while they come, or all in
// one object.
func (c *Client) outcomes(ctx context.Context, path string, body any, each func(Outcome)) ([]Outcome, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("order: %w", err)
	}
	res, err := c.send(ctx, http.MethodPost, path, lines+", application/json", raw)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if t, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type")); t == lines {
		return c.readOutcomes(ctx, res.Body, each)
	}
	var all struct{ Outcomes []Outcome }
	if err := json.NewDecoder(res.Body).Decode(&all); err != nil {
		return nil, c.broken(ctx, err)
	}
	for _, o := range all.Outcomes {
		each(o)
	}
	return all.Outcomes, nil
}

func (c *Client) readOutcomes(ctx context.Context, body io.Reader, each func(Outcome)) ([]Outcome, error) {
	var all []Outcome
	in := bufio.NewReader(body)
	for {
		line, err := in.ReadString('\n')
		if line = strings.TrimSpace(line); line != "" {
			var o Outcome
			if bad := json.Unmarshal([]byte(line), &o); bad != nil {
				return all, c.broken(ctx, bad)
			}
			all = append(all, o)
			each(o)
		}
		switch err {
		case nil:
		case io.EOF:
			return all, nil
		default:
			return all, c.broken(ctx, err)
		}
	}
}

func (c *Client) post(ctx context.Context, path string, body, out any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("request: %w", err)
	}
	if raw, err = c.do(ctx, http.MethodPost, path, raw); err != nil {
		return err
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return fmt.Errorf("answer of %s: %w", c.target, err)
	}
	return nil
}
