package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// Attached is a connection on which a gateway serves one client as on stdio.
type Attached struct {
	io.ReadWriteCloser
	// Background tells that the gateway was started in the background, by a
	// client's need.
	Background bool
}

// Attach connects a client. The gateway must have been started with the files
// (absolute paths) if there are any. ctx is for the connecting alone. The error
// wraps ErrUnreachable or is an *Error: CodeDraining from a gateway about to
// end, CodeOtherConfig from one with other files.
func (c *Client) Attach(ctx context.Context, files ...string) (*Attached, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+"/v1/attach", nil)
	if err != nil {
		return nil, fmt.Errorf("admin address: %w", err)
	}
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", attachProtocol)
	for _, f := range files {
		req.Header.Add(headerConfig, url.PathEscape(f))
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	res, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, fmt.Errorf("%w at %s (%w)", ErrUnreachable, c.target, cause(err))
	}
	if stream, ok := res.Body.(io.ReadWriteCloser); ok && res.StatusCode == http.StatusSwitchingProtocols {
		return &Attached{stream, res.Header.Get(headerBackground) != ""}, nil
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxBody))
	if err != nil {
		return nil, fmt.Errorf("answer of %s: %w", c.target, err)
	}
	var p problem
	if json.Unmarshal(raw, &p) != nil || p.Code == "" {
		return nil, fmt.Errorf("%s answers with HTTP status %s: is it an Interlock admin address?", c.target, res.Status)
	}
	return nil, &Error{Code: p.Code, Detail: p.Detail, Mend: p.Mend}
}
