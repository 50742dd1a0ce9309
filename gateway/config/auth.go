package config

import (
	"net"
	"net/netip"
	"strconv"
)

// auth checks `server.auth`, and what it needs of the rest: a token is ours by the URL
// that it was made for, which a listener on all interfaces does not know by itself. What
// clients call it will not do: a token for http://localhost is anybody's.
func (l *loader) auth(s *Server) {
	l.section(s.Auth.Validate(), "server", "auth")
	host, _, err := net.SplitHostPort(s.Listen)
	ip, ipErr := netip.ParseAddr(host)
	if err != nil || s.PublicURL != "" || host != "" && (ipErr != nil || !ip.IsUnspecified()) {
		return
	}
	for i := range s.Auth.OIDC {
		if path := []string{"server", "auth", "oidc", strconv.Itoa(i)}; len(s.Auth.OIDC[i].Audience) == 0 {
			l.fault(l.places.find(path), path, "does not say for whom its tokens must be made, and the gateway listens on all interfaces",
				"set server.public_url to the URL that clients use, or audience")
		}
	}
}
