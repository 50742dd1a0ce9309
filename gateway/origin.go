package gateway

import (
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/interlock-mcp/interlock/gateway/identity"
)

// guard decides which Host and Origin may reach the endpoint, against DNS
// rebinding (MCP 2025-11-25 basic/transports, "Security Warning"), and who may use
// it. It is made from the configuration and never changes.
type guard struct {
	hosts   map[string]bool         // without port, lower case
	origins map[string]bool         // scheme://host[:port], lower case
	auth    *identity.Authenticator // nil: nobody is asked
	tls     *secured                // nil: plain HTTP
	proxies []netip.Prefix          // that say who calls
	public  *url.URL                // what clients call the endpoint behind a proxy, nil for nothing else
}

func newGuard(s config.Server, auth *identity.Authenticator, secured *secured) *guard {
	g := &guard{
		auth:    auth,
		tls:     secured,
		hosts:   map[string]bool{"localhost": true, "127.0.0.1": true, "::1": true},
		origins: map[string]bool{},
	}
	if host, _, err := net.SplitHostPort(s.Listen); err == nil {
		// A wildcard address is no name that anybody calls us by.
		if ip := net.ParseIP(host); host != "" && (ip == nil || !ip.IsUnspecified()) {
			g.hosts[strings.ToLower(host)] = true
		}
	}
	if u, err := url.Parse(s.PublicURL); err == nil && u.Host != "" {
		g.public = u
		g.hosts[strings.ToLower(u.Hostname())] = true
		g.origins[strings.ToLower(u.Scheme+"://"+u.Host)] = true
	}
	for _, p := range s.TrustedProxies {
		if network, err := config.ParseNetwork(p); err == nil { // as the configuration was checked
			g.proxies = append(g.proxies, network)
		}
	}
	for _, h := range s.AllowedHosts {
		g.hosts[strings.ToLower(hostOnly(h))] = true
	}
	for _, o := range s.AllowedOrigins {
		g.origins[strings.ToLower(strings.TrimSuffix(o, "/"))] = true
	}
	return g
}

// Guarded is h behind the endpoint's own rules for Host and Origin, for a further
// listener at the address listen.
func (g *Gateway) Guarded(listen string, h http.Handler) http.Handler {
	own := strings.ToLower(hostOnly(listen))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		here := *g.guard.Load()
		if ip := net.ParseIP(own); own != "" && (ip == nil || !ip.IsUnspecified()) {
			here.hosts = maps.Clone(here.hosts)
			here.hosts[own] = true
		}
		if why := here.refuses(r); why != "" {
			plainText(w, http.StatusForbidden, why)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// asks reports whether clients have to say who they are.
func (g *guard) asks() bool { return g.auth != nil || g.tls != nil && g.tls.authorities != nil }

// hostOnly strips the port and the brackets of an IPv6 address.
func hostOnly(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.TrimSuffix(strings.TrimPrefix(hostport, "["), "]")
}

// refuses returns why the request may not pass, "" if it may.
func (g *guard) refuses(r *http.Request) string {
	if !g.hosts[strings.ToLower(hostOnly(r.Host))] {
		return "Host " + clipName(r.Host) + " is not allowed: add it to server.allowed_hosts if clients call the gateway by that name"
	}
	origins := r.Header["Origin"]
	if len(origins) > 1 {
		return "more than one Origin header"
	}
	if len(origins) == 1 && !g.trusts(origins[0]) {
		return "Origin " + clipName(origins[0]) + " is not allowed: add it to server.allowed_origins if you trust that page"
	}
	return ""
}

// trusts reports whether a page of the origin may call: one that the
// configuration names, or one on this machine.
func (g *guard) trusts(origin string) bool {
	if g.origins[strings.ToLower(origin)] {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
		return false
	}
	switch strings.ToLower(u.Hostname()) {
	case "localhost", "127.0.0.1", "::1":
		return true
	}
	return false
}

var varyOrigin = []string{"Origin"} // shared by all answers; never changed

// cors answers what a browser asks for (Fetch standard, "CORS protocol").
func cors(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	origin := r.Header.Get("Origin")
	if origin == "" && r.Method == http.MethodPost { // no cache keeps it
		return
	}
	h["Vary"] = varyOrigin
	if origin == "" {
		return
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Expose-Headers", "Mcp-Session-Id, Mcp-Protocol-Version")
	if r.Method == http.MethodOptions {
		h.Set("Access-Control-Allow-Methods", "GET, POST, DELETE, OPTIONS")
		h.Set("Access-Control-Allow-Headers",
			"Content-Type, Accept, Authorization, X-API-Key, Mcp-Session-Id, Mcp-Protocol-Version, Mcp-Method, Mcp-Name, Last-Event-ID, Traceparent, Tracestate, Baggage"+paramHeadersAsked(r))
		h.Set("Access-Control-Max-Age", "600")
	}
}

// paramHeadersAsked are the Mcp-Param-* headers that a preflight asks for: there
// are as many as tools have arguments. They go into the list that begins before.
func paramHeadersAsked(r *http.Request) string {
	var b strings.Builder
	for _, line := range r.Header["Access-Control-Request-Headers"] {
		for name := range strings.SplitSeq(line, ",") {
			name = strings.TrimSpace(name)
			if len(name) > len(headerParam) && strings.EqualFold(name[:len(headerParam)], headerParam) {
				b.WriteString(", " + name)
			}
		}
	}
	return b.String()
}
