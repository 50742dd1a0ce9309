package admin

import (
	"context"
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
	return c.AttachIn(ctx, "", files...)
}

// AttachIn is Attach for a client that is to see a profile, "" for what it gets
// without. The error is an *Error with CodeUnknownProfile if there is none of that
// name.
func (c *Client) AttachIn(ctx context.Context, profile string, files ...string) (*Attached, error) {
	req, err := c.request(ctx, http.MethodPost, "/v1/attach", files, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", attachProtocol)
	if profile != "" {
		req.Header.Set(headerProfile, url.PathEscape(profile))
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreached(ctx, err)
	}
	if stream, ok := res.Body.(io.ReadWriteCloser); ok && res.StatusCode == http.StatusSwitchingProtocols {
		return &Attached{stream, res.Header.Get(headerBackground) != ""}, nil
	}
	return nil, c.refused(ctx, res)
}
