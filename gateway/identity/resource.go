package identity

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
)

// wellKnown is where metadata of protected resources is (RFC 9728 section 3).
const wellKnown = "/.well-known/oauth-protected-resource"

// viewPath is what follows the endpoint's path in that of a view.
var viewPath = regexp.MustCompile(`(?:/[up]/[^/]+)+$`)

// oldPaths are those of the HTTP+SSE transport, which are beside the endpoint's.
var oldPaths = map[string]string{"/sse": "/sse", "/messages": "/sse"}

// of returns the origin by which a client calls us, and the path, escaped, of what
// it asks for: the endpoint, one of its views, or the older transport. A view is a
// resource of its own, that a token can be confined to.
func (res *resource) of(r *http.Request) (origin, path string) {
	host := res.host
	if res.anyHost || res.loopback && loopback(hostname(r.Host)) {
		host = strings.ToLower(r.Host)
	}
	origin = res.scheme + "://" + host
	asked := strings.TrimPrefix(r.URL.Path, wellKnown)
	if old, ok := oldPaths[asked]; ok {
		return origin, old
	}
	// A proxy may have taken the path that clients know away.
	rest, ok := strings.CutPrefix(asked, res.path)
	if !ok {
		rest = asked
	}
	return origin, (&url.URL{Path: res.path + viewPath.FindString(rest)}).EscapedPath()
}

// metadataURL is where a client reads of the resource that it asks for.
func (res *resource) metadataURL(r *http.Request) string {
	origin, path := res.of(r)
	return origin + wellKnown + path
}

func hostname(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.TrimSuffix(strings.TrimPrefix(hostport, "["), "]")
}

// loopback tells whether a host is this machine and no other can reach it.
func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.IsLoopback()
}

// unspecified tells whether a host is that of all interfaces, by which nobody calls
// us.
func unspecified(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.IsUnspecified()
}
