package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// guard lets only requests pass that come from this machine by their Host and
// Origin: a page in a browser can reach a loopback port, and by DNS rebinding
// under a name of its own. Over TCP they must carry the token, too; token "" is a
// unix socket, whose mode is its access control. /livez and /readyz are exempt:
// they tell nothing, and the probes of containers send any Host.
func guard(token string, next http.Handler) http.Handler {
	want := sha256.Sum256([]byte(token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/livez" || r.URL.Path == "/readyz" {
			next.ServeHTTP(w, r)
			return
		}
		if !loopbackHost(r.Host) && (token != "" || r.Host != socketHost) {
			writeProblem(w, &Error{
				Code: CodeForbiddenHost, Detail: "the Host of the request is not this machine",
				Mend: "use 127.0.0.1, [::1] or localhost",
			})
			return
		}
		for _, origin := range r.Header.Values("Origin") {
			if !loopbackOrigin(origin) {
				writeProblem(w, &Error{Code: CodeForbiddenOrigin, Detail: "pages of that Origin may not use the admin API"})
				return
			}
		}
		// Sums of one length: the comparison takes the same time for all.
		got := sha256.Sum256([]byte(bearer(r)))
		if token != "" && subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			w.Header().Set("WWW-Authenticate", `Bearer realm="interlock admin"`)
			writeProblem(w, &Error{
				Code: CodeUnauthorized, Detail: "the admin token is missing or wrong",
				Mend: "send Authorization: Bearer TOKEN; it is admin.token of the configuration, or the file admin.token in state_dir",
			})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// socketHost is the Host that a Client sends over a unix socket.
const socketHost = "interlock"

// bearer returns the token that a request carries, "" for none. The name of the
// scheme may be in any case (RFC 9110 section 11.1).
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimLeft(token, " ")
}

// loopbackHost tells whether a Host header names this machine: an address or
// the name localhost, with any port, and nothing else (no trailing dot).
func loopbackHost(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	} else {
		host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Zone() == "" && ip.Unmap().IsLoopback()
}

func loopbackOrigin(origin string) bool {
	u, err := url.Parse(origin)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.User == nil && u.Path == "" && loopbackHost(u.Host)
}
