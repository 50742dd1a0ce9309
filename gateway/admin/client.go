package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"syscall"
)

// ErrUnreachable is wrapped by a Client's errors when no gateway answered.
var ErrUnreachable = errors.New("no gateway answers")

// Client speaks to a gateway's admin API. It is safe for concurrent use. Its
// methods block for the answer, and for no longer than their context; their
// error wraps ErrUnreachable, is an *Error, or is the context's cause.
type Client struct {
	http   *http.Client
	base   string
	target string
	token  string
	files  []string // those it means, none for any
}

// NewClient returns a client for what Listen would open under the same values;
// for TCP and token "" it reads the token that the gateway keeps in stateDir.
// Nothing is connected yet. Close releases its connections.
func NewClient(listen, token, stateDir string) (*Client, error) {
	if path, ok := socketPath(listen, stateDir); ok {
		dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}
		// The Host must be something; on a socket nobody reads it.
		return &Client{http: &http.Client{Transport: &http.Transport{DialContext: dial}}, base: "http://interlock", target: "unix:" + path}, nil
	}
	address := strings.TrimSuffix(strings.TrimPrefix(listen, "http://"), "/")
	if _, _, err := net.SplitHostPort(address); err != nil {
		return nil, fmt.Errorf("admin address %q: want unix:/path or host:port", listen)
	}
	if token == "" && stateDir != "" {
		var err error
		if token, err = readToken(filepath.Join(stateDir, tokenName)); err != nil {
			return nil, fmt.Errorf("admin token: %w", err)
		}
	}
	// No proxy: the token is for this machine.
	return &Client{http: &http.Client{Transport: new(http.Transport)}, base: "http://" + address, target: address, token: token}, nil
}

// Means says which configuration files (absolute paths) the client takes the
// gateway to run with: one of others refuses all it is asked with CodeOtherConfig.
// It is called before any other method.
func (c *Client) Means(files ...string) { c.files = files }

// Close releases idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Target is the address that is tried: unix:/path or host:port.
func (c *Client) Target() string { return c.target }

func (c *Client) get(ctx context.Context, path string, out any) error {
	raw, err := c.do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return fmt.Errorf("answer of %s: %w", c.target, err)
	}
	return nil
}

// do sends a request and returns the body of a good answer. It blocks until the
// answer is there: an order that is waited for takes as long as it does.
func (c *Client) do(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	res, err := c.send(ctx, method, path, "application/json", body)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, c.broken(ctx, err)
	}
	return raw, nil
}

// send sends a request and returns a good answer, whose body the caller closes.
func (c *Client) send(ctx context.Context, method, path, accept string, body []byte) (*http.Response, error) {
	req, err := c.request(ctx, method, path, c.files, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", accept)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := c.http.Do(req)
	if err != nil {
		if method != http.MethodGet && (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)) && ctx.Err() == nil {
			return nil, fmt.Errorf("%w any more at %s (it went away before its answer: what was asked of it may have been done)", ErrUnreachable, c.target)
		}
		return nil, c.unreached(ctx, err)
	}
	if res.StatusCode == http.StatusOK || path == "/readyz" && res.StatusCode == http.StatusServiceUnavailable {
		return res, nil
	}
	return nil, c.refused(ctx, res)
}

// request makes a request for who means the files.
func (c *Client) request(ctx context.Context, method, path string, files []string, body []byte) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("admin address: %w", err)
	}
	for _, f := range files {
		req.Header.Add(headerConfig, url.PathEscape(f))
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	return req, nil
}

// unreached is the error of a request that no gateway answered.
func (c *Client) unreached(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("%w at %s (%w)", ErrUnreachable, c.target, cause(err))
}

// refused reads an answer that is not a good one, and closes it.
func (c *Client) refused(ctx context.Context, res *http.Response) error {
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return c.broken(ctx, err)
	}
	var p problem
	if json.Unmarshal(raw, &p) != nil || p.Code == "" {
		return fmt.Errorf("%s answers with HTTP status %s: is it an Interlock admin address?", c.target, res.Status)
	}
	return &Error{Status: res.StatusCode, Code: p.Code, Detail: p.Detail, Mend: p.Mend, Errors: p.Errors, RPC: p.RPC, Trace: res.Header.Get(headerTrace)}
}

// broken is the error of an answer that ended before its end: the gateway is
// gone, unless what it said is no answer.
func (c *Client) broken(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if _, odd := errors.AsType[*json.SyntaxError](err); odd {
		return fmt.Errorf("answer of %s: %w", c.target, err)
	}
	return fmt.Errorf("%w any more at %s (its answer broke off: %w)", ErrUnreachable, c.target, err)
}

// cause takes the method and URL, which say nothing here, off err.
func cause(err error) error {
	if u := new(url.Error); errors.As(err, &u) {
		return u.Err
	}
	return err
}
