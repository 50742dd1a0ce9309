package oauth

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"
)

const (
	fetchTimeout = 30 * time.Second // of a whole exchange, body and redirects included
	maxFetched   = 1 << 20          // bytes of a body, unpacked
	maxRedirects = 5
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
// upstreamURL: addresses that the upstream or its authorization server names, and who
// would have us ask what only we can reach (SSRF).
//
// It speaks https, and http to loopback. It connects to public addresses alone, checked
// as each connection is made, so that a name that changes is no way round. Loopback,
// private, shared and benchmark addresses are open if the upstream itself is at one of
// that kind; where its name is one that anybody could have registered, to names of the
// same registered domain only. networks (CIDR) are open besides; one that cannot be
// parsed opens nothing. Link-local addresses and the metadata services of clouds are
// closed if not named there.
//
// A proxy of the environment is connected to wherever it is, and then decides for
// itself where names lead: what is asked of it must not lead to a closed address as
// this machine's resolver sees it, if it sees it.
//
// Five redirects are followed, of GET and HEAD alone, never from https to http. A body
// ends with an error after 1 MiB, and all of an exchange after 30 s. What is refused is
// a *RefusedError.
func Guard(upstreamURL string, networks []string, o GuardOptions) *http.Client {
	g := &guard{resolver: cmp.Or(o.Resolver, net.DefaultResolver), proxy: o.Proxy, dial: o.Dial}
	if u, err := url.Parse(upstreamURL); err == nil {
		g.upstream = bare(u.Hostname())
	}
	for _, n := range networks {
		if p, err := netip.ParsePrefix(n); err == nil {
			g.networks = append(g.networks, p.Masked())
		}
	}
	if g.proxy == nil {
		g.proxy = http.ProxyFromEnvironment
	}
	g.direct = transport(o.TLS)
	g.direct.DialContext = g.connect
	g.proxied = transport(o.TLS)
	g.proxied.Proxy = func(r *http.Request) (*url.URL, error) { return r.Context().Value(proxyKey{}).(*url.URL), nil }
	return &http.Client{Transport: g, Timeout: fetchTimeout, CheckRedirect: checkRedirect}
}

func transport(conf *tls.Config) *http.Transport {
	if conf != nil {
		conf = conf.Clone() // a transport changes it
	}
	return &http.Transport{
		TLSClientConfig: conf, TLSHandshakeTimeout: 15 * time.Second, ForceAttemptHTTP2: true,
		MaxIdleConnsPerHost: 2, IdleConnTimeout: 10 * time.Second, MaxResponseHeaderBytes: 64 << 10,
	}
}

// RefusedError says that a Guard did not let a request through.
type RefusedError struct {
	// URL is what was asked for, without its query.
	URL string
	// Why is what is wrong with it, and how to mend it.
	Why string
}

func (e *RefusedError) Error() string { return e.URL + " is not fetched: " + e.Why }

// guard is an http.RoundTripper.
type guard struct {
	upstream string // the host of the upstream
	networks []netip.Prefix
	resolver *net.Resolver
	proxy    func(*http.Request) (*url.URL, error)
	dial     func(ctx context.Context, network, address string) (net.Conn, error)
	// Connections of direct are checked; those of proxied go to the proxy that the
	// request's context names.
	direct, proxied *http.Transport
}

// The context of a connection has a plainKey if it is for http, and one to a proxy has
// the proxy.
type (
	plainKey struct{}
	proxyKey struct{}
)

// RoundTrip implements http.RoundTripper.
func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	t, r, err := g.way(r)
	if err != nil {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, err
	}
	resp, err := t.RoundTrip(r)
	if err != nil {
		if refused := (*RefusedError)(nil); errors.As(err, &refused) {
			return nil, &RefusedError{shown(r.URL), refused.Why}
		}
		return nil, err
	}
	resp.Body = &bounded{resp.Body, maxFetched}
	return resp, nil
}

// way returns the transport for a request, with the request as it is for it.
func (g *guard) way(r *http.Request) (*http.Transport, *http.Request, error) {
	ctx, u := r.Context(), r.URL
	switch {
	case u.Host == "" || u.Hostname() == "":
		return nil, r, &RefusedError{shown(u), "it names no host"}
	case u.User != nil:
		return nil, r, &RefusedError{shown(u), "a user name or a password must not be in it"}
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, r, &RefusedError{shown(u), "it must be https"}
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return nil, r, &RefusedError{shown(u), "it must be https: only this machine itself may be asked with http"}
	}
	proxy, err := g.proxy(r)
	switch {
	case err != nil:
		return nil, r, fmt.Errorf("proxy of the environment: %w", err)
	case proxy == nil && u.Scheme == "http":
		return g.direct, r.WithContext(context.WithValue(ctx, plainKey{}, true)), nil
	case proxy == nil:
		return g.direct, r, nil
	case u.Scheme == "http":
		return nil, r, &RefusedError{shown(u), "it must be https, as a proxy is asked for it: have NO_PROXY name this machine"}
	}
	if err := g.beyond(ctx, u); err != nil {
		return nil, r, err
	}
	return g.proxied, r.WithContext(context.WithValue(ctx, proxyKey{}, proxy)), nil
}

// beyond checks what a proxy is to be asked for, as far as that can be seen from here.
func (g *guard) beyond(ctx context.Context, u *url.URL) error {
	host := bare(u.Hostname())
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	addrs, err := g.lookup(ctx, host)
	if err != nil {
		return nil // where only the proxy knows names, it alone decides
	}
	for _, a := range addrs {
		if why := g.closed(ctx, host, a); why != "" {
			return &RefusedError{shown(u), why}
		}
	}
	return nil
}

// connect makes a connection of direct.
func (g *guard) connect(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	host = bare(host)
	if g.dial == nil {
		d := net.Dialer{
			Timeout: 10 * time.Second, Resolver: g.resolver,
			ControlContext: func(ctx context.Context, _, to string, _ syscall.RawConn) error {
				a, err := netip.ParseAddrPort(to)
				if err != nil {
					return err
				}
				return g.check(ctx, host, a.Addr())
			},
		}
		return d.DialContext(ctx, network, address)
	}
	addrs, err := g.lookup(ctx, host)
	if err != nil {
		return nil, err
	}
	for _, a := range addrs {
		if err = g.check(ctx, host, a); err == nil {
			return g.dial(ctx, network, net.JoinHostPort(a.String(), port))
		}
	}
	return nil, err
}

// check is closed as the error of a connection.
func (g *guard) check(ctx context.Context, host string, a netip.Addr) error {
	if ctx.Value(plainKey{}) != nil && regionOf(embedded(a)).kind != loopbackAddress {
		return &RefusedError{Why: fmt.Sprintf("it must be https: %s is at %s, not on this machine", host, a)}
	}
	if why := g.closed(ctx, host, a); why != "" {
		return &RefusedError{Why: why}
	}
	return nil
}

// closed says why the address of a host must not be connected to, "" if it may. It may
// look up the upstream's name.
func (g *guard) closed(ctx context.Context, host string, raw netip.Addr) string {
	a := embedded(raw)
	kind := regionOf(a).kind
	if kind == publicAddress || named(g.networks, a) || g.neighbour(ctx, host, kind) {
		return ""
	}
	at := "it is "
	if host != raw.String() {
		at = fmt.Sprintf("%s is at %s, ", host, raw)
	}
	article := "a"
	if kind == unspecifiedAddress {
		article = "an"
	}
	why := fmt.Sprintf("%s%s %s address", at, article, kind)
	if kind.own() {
		why += ", which is open to an upstream that is at one itself"
	}
	return why + ": if that is where the authorization server is, have auth.networks of the upstream name its range"
}

// neighbour tells whether the upstream is at an address of the same kind as a host.
func (g *guard) neighbour(ctx context.Context, host string, kind addressKind) bool {
	if !kind.own() || g.upstream == "" {
		return false
	}
	if _, err := netip.ParseAddr(g.upstream); err != nil && !local(g.upstream) && !sameSite(g.upstream, host) {
		return false // who has the upstream's name can have it lead anywhere at any time
	}
	addrs, err := g.lookup(ctx, g.upstream)
	if err != nil {
		return false
	}
	for _, a := range addrs {
		if regionOf(embedded(a)).kind == kind {
			return true
		}
	}
	return false
}

// lookup returns the addresses of a host, which is a name or an address itself.
func (g *guard) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	return g.resolver.LookupNetIP(ctx, "ip", host)
}

// CloseIdleConnections is called by that of http.Client.
func (g *guard) CloseIdleConnections() {
	g.direct.CloseIdleConnections()
	g.proxied.CloseIdleConnections()
}
