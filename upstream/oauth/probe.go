package oauth

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// What a server is asked without a token, to be answered with a challenge. Some
// answer initialize to anybody and refuse what comes after.
const (
	askInitialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"` + revision + `","capabilities":{},"clientInfo":{"name":"interlock","version":"1"}}}`
	askTools      = `{"jsonrpc":"2.0","id":2,"method":"tools/list"}`
	askToolsNow   = `{"jsonrpc":"2.0","id":2,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"interlock","version":"1"}}}}`
)

// heard is what is read of an answer.
type heard struct {
	status int
	header http.Header
}

// knock asks a server for its challenge, and tells whether it answered 401. The
// header is never nil, but with an error.
func (t *Target) knock(ctx context.Context) (h http.Header, asked bool, err error) {
	a, err := t.ask(ctx, http.MethodPost, askInitialize, http.Header{})
	if err == nil && a.status != http.StatusUnauthorized {
		a, err = t.askOn(ctx, a)
	}
	return a.header, a.status == http.StatusUnauthorized, err
}

// askOn asks a server that took initialize, or did not understand it, for more.
func (t *Target) askOn(ctx context.Context, first heard) (heard, error) {
	h := http.Header{"Mcp-Protocol-Version": {revision}}
	switch session := first.header.Get("Mcp-Session-Id"); {
	case first.status/100 == 2 && session == "":
		return t.ask(ctx, http.MethodPost, askTools, h)
	case first.status/100 == 2:
		h.Set("Mcp-Session-Id", session)
		a, err := t.ask(ctx, http.MethodPost, askTools, h)
		_, _ = t.ask(ctx, http.MethodDelete, "", h) // or it expires
		return a, err
	case first.status == http.StatusNotFound || first.status == http.StatusMethodNotAllowed: // HTTP+SSE of 2024-11-05
		return t.ask(ctx, http.MethodGet, "", http.Header{})
	default: // revision 2026-07-28 alone
		h = http.Header{"Mcp-Protocol-Version": {"2026-07-28"}, "Mcp-Method": {"tools/list"}}
		return t.ask(ctx, http.MethodPost, askToolsNow, h)
	}
}

// ask makes one request and leaves the answer's body, which may be a stream. A server
// that has its endpoint a slash further says so, and is asked there.
func (t *Target) ask(ctx context.Context, method, body string, h http.Header) (heard, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	a, err := t.askAt(ctx, t.URL, method, body, h)
	if err == nil && (a.status == http.StatusTemporaryRedirect || a.status == http.StatusPermanentRedirect) {
		from, _ := url.Parse(t.URL)
		if to, wrong := from.Parse(a.header.Get("Location")); wrong == nil && to.Scheme == from.Scheme && to.Host == from.Host {
			return t.askAt(ctx, to.String(), method, body, h)
		}
	}
	return a, err
}

func (t *Target) askAt(ctx context.Context, address, method, body string, h http.Header) (heard, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(body))
	if err != nil {
		return heard{}, plain(err)
	}
	req.Header = h.Clone()
	req.Header.Set("Accept", "application/json, text/event-stream")
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := t.still().Do(req)
	if err != nil {
		return heard{}, plain(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= http.StatusInternalServerError {
		return heard{}, fmt.Errorf("it answered %d: what it asks for is not known", resp.StatusCode)
	}
	return heard{resp.StatusCode, resp.Header}, nil
}
