package oauth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

const (
	maxDocument = 1 << 20 // bytes of any answer that is read
	maxAddress  = 2048    // bytes of an address that a document names
	// revision is what servers of revision 2025-03-26 want to be told of; they are not
	// asked anything that depends on it.
	revision = "2025-11-25"
)

// errNotThere says that a document is not at an address: the next one may have it.
var errNotThere = errors.New("there is nothing")

// document fetches a JSON document. errNotThere is wrapped for an answer 4xx, and for
// one that is no JSON, since many sites answer every path with a page.
func (t *Target) document(ctx context.Context, address string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return plain(err)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("MCP-Protocol-Version", revision)
	resp, err := t.Client.Do(req)
	if err != nil {
		return plain(err)
	}
	defer resp.Body.Close()
	switch kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); {
	case resp.StatusCode/100 == 4:
		return fmt.Errorf("%w: it answered %d", errNotThere, resp.StatusCode)
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("it answered %d", resp.StatusCode)
	case kind != "application/json" && !strings.HasSuffix(kind, "+json"):
		return fmt.Errorf("%w: it answered with no JSON", errNotThere)
	}
	return decode(resp.Body, into)
}

// post posts a JSON document and returns the status of the answer and what is in
// it. No redirect is followed.
func (t *Target) post(ctx context.Context, address string, body, into any) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	b, err := json.Marshal(body)
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(b))
	if err != nil {
		return 0, plain(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	resp, err := t.still().Do(req)
	if err != nil {
		return 0, plain(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode, decode(resp.Body, into)
}

// decode reads one JSON document. Its error does not quote it.
func decode(r io.Reader, into any) error {
	b, err := io.ReadAll(io.LimitReader(r, maxDocument+1))
	switch {
	case err != nil:
		return plain(err)
	case len(b) > maxDocument:
		return errors.New("its answer is longer than 1 MiB")
	case json.Unmarshal(b, into) != nil:
		return errors.New("its answer is not the JSON that it should be")
	}
	return nil
}

// plain is the error of a request without its address, which callers name themselves.
func plain(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// address checks an address that a document or a header named: see reach.
func (t *Target) address(address string) (*url.URL, error) {
	if len(address) > maxAddress {
		return nil, fmt.Errorf("an address of %d bytes is too long", len(address))
	}
	return t.reach(address)
}

// reach checks an address that a stranger would have us or a person's browser go to:
// https, or any of this machine if the server is on it too. An issuer that is elsewhere
// must not reach what listens on loopback.
func (t *Target) reach(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Opaque != "" {
		return nil, fmt.Errorf("%q is no address", clean(address))
	}
	own, err := url.Parse(t.URL)
	if err != nil {
		return nil, fmt.Errorf("%q is no address", clean(t.URL))
	}
	switch {
	case u.Scheme != "https" && (u.Scheme != "http" || !loopbackHost(u.Hostname())):
		return nil, fmt.Errorf("%q is not https", clean(address))
	case meansLoopback(u.Hostname()) && !loopbackHost(own.Hostname()):
		return nil, fmt.Errorf("%q is on this machine, and %s is not", clean(address), own.Host)
	case u.User != nil || u.Fragment != "":
		return nil, fmt.Errorf("%q has a user or a fragment", clean(address))
	}
	return u, nil
}

// meansLoopback tells whether a browser could take a host for its own machine: it
// knows more spellings than loopbackHost, and reads numbers as addresses.
func meansLoopback(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Unmap().IsLoopback() || a.Unmap().IsUnspecified()
	}
	last := host[strings.LastIndex(host, ".")+1:]
	return host == "localhost" || last == "localhost" || last == "" || last[0] >= '0' && last[0] <= '9'
}
