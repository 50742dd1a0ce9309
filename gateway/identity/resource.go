package identity

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// wellKnown is where metadata of protected resources is (RFC 9728 section 3).
const wellKnown = "/.well-known/oauth-protected-resource"

// viewPath is what follows the endpoint's path in that of a view.
var viewPath = regexp.MustCompile(`(?:/[up]/[^/]+)+$`)

// oldPaths are those of the HTTP+SSE transport, which are beside the endpoint's.
var oldPaths = map[string]string{"/sse": "/sse", "/messages": "/sse"}

// resource is what the gateway is to OAuth: a protected resource, known by its URL
// (RFC 8707 section 2).
type resource struct {
	scheme, host, path string
	// anyHost takes the host from the request, loopback does so where that is this
	// machine, too.
	anyHost, loopback bool
	// canonical is the URL as canonical returns it, "" with anyHost.
	canonical string
}

func newResource(s string) (resource, error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return resource{}, fmt.Errorf("resource %q is not the URL of an endpoint", s)
	}
	res := resource{
		scheme: u.Scheme, host: strings.ToLower(u.Host), path: strings.TrimSuffix(u.Path, "/"),
		anyHost: unspecified(u.Hostname()), loopback: loopback(u.Hostname()),
	}
	if !res.anyHost {
		res.canonical = canonical(s)
	}
	return res, nil
}

// among tells whether what a request asks for, or the whole of us, is in a list of
// canonical URLs. Where only the request says what we are called nothing is: a token
// for another http://localhost would be ours.
func (res *resource) among(list []string, r *http.Request) bool {
	if res.anyHost {
		return false
	}
	origin, path := res.of(r)
	whole := origin + (&url.URL{Path: res.path}).EscapedPath()
	return slices.Contains(list, canonical(origin+path)) || slices.Contains(list, canonical(whole))
}

// canonical returns a URL in the one form of all that mean the same: case of scheme
// and host, the port that the scheme implies, a slash at the end, and the names of
// this machine make no difference. It is "" for what is no URL.
func canonical(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return ""
	}
	scheme, host, port := strings.ToLower(u.Scheme), strings.ToLower(u.Hostname()), u.Port()
	if loopback(host) {
		host = "localhost"
	}
	if scheme == "https" && port == "443" || scheme == "http" && port == "80" {
		port = ""
	}
	return scheme + "://" + host + ":" + port + strings.TrimSuffix(u.EscapedPath(), "/")
}

// of returns the origin by which a client calls us, and the path, escaped, of what
// it asks for: the endpoint, one of its views, or the older transport. A view is a
// resource of its own, that a token can be confined to.
func (res *resource) of(r *http.Request) (origin, path string) {
	host := res.host
	if res.anyHost || res.loopback && res.isMachine(r.Host) {
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

// isMachine tells whether a Host is this machine with our port. With another port it
// may be us behind something that forwards it, but as well somebody else.
func (res *resource) isMachine(host string) bool {
	name, port := split(host)
	_, own := split(res.host)
	return port == own && loopback(name)
}

func split(hostport string) (host, port string) {
	if host, port, err := net.SplitHostPort(hostport); err == nil {
		return host, port
	}
	return strings.TrimSuffix(strings.TrimPrefix(hostport, "["), "]"), ""
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
