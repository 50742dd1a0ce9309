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
)

// ErrUnreachable is wrapped by a Client's errors when no gateway answered.
var ErrUnreachable = errors.New("no gateway answers")

// Client speaks to a gateway's admin API. It is safe for concurrent use.
type Client struct {
	http   *http.Client
	base   string
	target string
	token  string
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

// Close releases idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Upstreams returns all upstreams. Like all methods it blocks for the answer;
// its error wraps ErrUnreachable or is an *Error.
func (c *Client) Upstreams(ctx context.Context) ([]Upstream, error) {
	var out struct{ Upstreams []Upstream }
	err := c.get(ctx, "/v1/upstreams", &out)
	return out.Upstreams, err
}

// Upstream returns one upstream.
func (c *Client) Upstream(ctx context.Context, name string) (*Upstream, error) {
	var out Upstream
	if err := c.get(ctx, "/v1/upstreams/"+url.PathEscape(name), &out); err != nil {
		return nil, err
	}
	return &out, nil
}

// Tools returns the catalog's tools and what is odd about their names.
func (c *Client) Tools(ctx context.Context) ([]Tool, []Problem, error) {
	var out struct {
		Tools    []Tool
		Problems []Problem
	}
	err := c.get(ctx, "/v1/tools", &out)
	return out.Tools, out.Problems, err
}

// Ready returns what /readyz says.
func (c *Client) Ready(ctx context.Context) (Readiness, error) {
	var out Readiness
	err := c.get(ctx, "/readyz", &out)
	return out, err
}

// Call calls a tool and returns the bytes of its CallToolResult.
func (c *Client) Call(ctx context.Context, tool string, arguments json.RawMessage) (json.RawMessage, error) {
	body, err := json.Marshal(callBody{tool, arguments})
	if err != nil {
		return nil, fmt.Errorf("arguments: %w", err)
	}
	return c.do(ctx, http.MethodPost, "/v1/call", body)
}

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

func (c *Client) do(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("admin address: %w", err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
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
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, fmt.Errorf("answer of %s: %w", c.target, err)
	}
	if res.StatusCode == http.StatusOK || path == "/readyz" && res.StatusCode == http.StatusServiceUnavailable {
		return raw, nil
	}
	var p problem
	if json.Unmarshal(raw, &p) != nil || p.Code == "" {
		return nil, fmt.Errorf("%s answers with HTTP status %s: is it an Interlock admin address?", c.target, res.Status)
	}
	return nil, &Error{Code: p.Code, Detail: p.Detail, Mend: p.Mend, RPC: p.RPC}
}

// cause takes the method and URL, which say nothing here, off err.
func cause(err error) error {
	if u := new(url.Error); errors.As(err, &u) {
		return u.Err
	}
	return err
}
