package gateway

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// behindProxies has h see requests that come through a trusted proxy as the client
// made them: its address in RemoteAddr, without a port, the Host that it called,
// and the scheme in URL.Scheme. Of anybody else such headers are not read.
func (g *Gateway) behindProxies(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if by := g.guard.Load(); by.proxies != nil {
			r = by.unproxied(r)
		}
		h.ServeHTTP(w, r)
	})
}

// unproxied returns a request as its client made it, r itself if that came without
// a proxy.
func (g *guard) unproxied(r *http.Request) *http.Request {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !g.isProxy(peer.Addr()) {
		return r
	}
	hops := forwarded(r.Header)
	if len(hops) == 0 {
		return r
	}
	next := *r
	at := *r.URL
	next.URL = &at
	// What the nearest proxy says of the request that it got is at the end of each
	// list. Before it is what it was told itself, which counts while it was told so by
	// another trusted one.
	for _, hop := range slices.Backward(hops) {
		if hop.host != "" {
			next.Host = hop.host
		}
		if hop.proto != "" {
			at.Scheme = hop.proto
		}
		client, err := netip.ParseAddr(hostOnly(hop.client))
		if err != nil { // unknown, or a name that hides it
			break
		}
		next.RemoteAddr = client.Unmap().String()
		if !g.isProxy(client) {
			break
		}
	}
	return &next
}

func (g *guard) isProxy(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return slices.ContainsFunc(g.proxies, func(p netip.Prefix) bool { return p.Contains(a) })
}

// hop is what one proxy says of a request that it got.
type hop struct{ client, host, proto string }

// forwarded returns what proxies added to a request, the nearest one's last: from
// X-Forwarded-*, or if there is none of these from Forwarded (RFC 7239). Where both
// are there one of them may be the client's own, which the proxy let pass; most
// proxies write the former.
func forwarded(h http.Header) []hop {
	clients, hosts, protos := listed(h["X-Forwarded-For"]), listed(h["X-Forwarded-Host"]), listed(h["X-Forwarded-Proto"])
	n := max(len(clients), len(hosts), len(protos))
	if n == 0 {
		return forwardedElements(listed(h["Forwarded"]))
	}
	// A proxy that replaces a header and one that adds to it agree on the last value.
	last := func(list []string, i int) string {
		if i -= n - len(list); i < 0 {
			return ""
		}
		return list[i]
	}
	hops := make([]hop, n)
	for i := range hops {
		hops[i] = hop{last(clients, i), last(hosts, i), strings.ToLower(last(protos, i))}
	}
	return hops
}

// maxHops is how many proxies are looked at, from the nearest.
const maxHops = 32

// listed splits header lines at their commas, but not within quotes.
func listed(lines []string) []string {
	var out []string
	for _, line := range lines {
		quoted, begin := false, 0
		for i := 0; i <= len(line); i++ {
			switch {
			case i == len(line) || line[i] == ',' && !quoted:
				if v := strings.TrimSpace(line[begin:i]); v != "" {
					out = append(out, v)
				}
				begin = i + 1
			case line[i] == '"':
				quoted = !quoted
			case line[i] == '\\' && quoted:
				i++
			}
		}
	}
	return out[max(len(out)-maxHops, 0):]
}

// forwardedElements reads the elements of Forwarded (RFC 7239 section 4).
func forwardedElements(elements []string) []hop {
	hops := make([]hop, len(elements))
	for i, e := range elements {
		for pair := range strings.SplitSeq(e, ";") {
			name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
			value = strings.Trim(value, `"`)
			switch strings.ToLower(name) {
			case "for":
				hops[i].client = value
			case "host":
				hops[i].host = value
			case "proto":
				hops[i].proto = strings.ToLower(value)
			}
		}
	}
	return hops
}

// ours reports whether a request called the endpoint by the name that it has behind
// a proxy.
func (g *guard) ours(r *http.Request) bool {
	return g.public != nil && strings.EqualFold(hostOnly(r.Host), g.public.Hostname())
}

// beside returns the path p of something beside the endpoint, as whoever made the
// request knows it: a proxy may put a path before all of ours.
func (g *guard) beside(r *http.Request, path, p string) string {
	if !g.ours(r) {
		return p
	}
	before, ok := strings.CutSuffix(strings.TrimSuffix(g.public.Path, "/"), strings.TrimSuffix(path, "/"))
	if !ok {
		return p
	}
	return before + p
}
