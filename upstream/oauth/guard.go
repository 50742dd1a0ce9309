package oauth

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"time"
)

// GuardOptions are what a Guard connects with. The zero value is the system's own.
type GuardOptions struct {
	// Resolver looks up names; nil is the system's.
	Resolver *net.Resolver
	// TLS has the authorities to trust; nil is the system's.
	TLS *tls.Config
	// Proxy says which proxy a request goes through, nil for none; it is
	// http.ProxyFromEnvironment if it is nil itself.
	Proxy func(*http.Request) (*url.URL, error)
	// Dial connects to an address that was allowed, IP:port; nil is the system's. It is
	// for tests, which have no public addresses.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Guard returns a client for all that is fetched to sign in to the upstream at
// upstreamURL.
func Guard(upstreamURL string, networks []string, o GuardOptions) *http.Client {
	return &http.Client{Timeout: 30 * time.Second, Transport: refuseAll{}}
}

var _ = embedded

type refuseAll struct{}

func (refuseAll) RoundTrip(r *http.Request) (*http.Response, error) {
	return nil, &RefusedError{URL: r.URL.Redacted(), Why: "nothing is let through yet"}
}

// RefusedError says that a Guard did not let a request through.
type RefusedError struct {
	// URL is what was asked for, without its query.
	URL string
	// Why is what is wrong with it, and how to mend it.
	Why string
}

func (e *RefusedError) Error() string { return e.URL + " is not fetched: " + e.Why }
