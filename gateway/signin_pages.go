package gateway

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html/template"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/interlock-mcp/interlock/upstream/oauth"
)

// The pages of sign-ins, beside the endpoint. Nobody has to say who he is to see them:
// a ticket is worth 256 random bits.
const (
	signInPath   = "/signin/"
	callbackPath = "/oauth/callback"
	documentPath = "/oauth/client.json"
	nativePath   = "/oauth/native.json"
)

//go:embed signin.html signin.css
var pageFiles embed.FS

// pageTemplate is all pages, which differ by what there is to say. Neither changes.
var (
	pageStyle    = readPage("signin.css")
	pageTemplate = template.Must(template.New("page").Parse(readPage("signin.html")))
	pagePolicy   = contentPolicy(pageStyle)
)

func readPage(name string) string {
	b, err := pageFiles.ReadFile(name)
	if err != nil { // it is in the program
		panic(err)
	}
	return string(b)
}

// contentPolicy allows the pages nothing but their style, and their form to lead to
// here and from here to an authorization server: browsers hold redirects against
// form-action, too.
func contentPolicy(style string) string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; form-action 'self' https: http://127.0.0.1:* http://localhost:*; frame-ancestors 'none'; base-uri 'none'"
}

// page is what there is to say.
type page struct {
	Title, Text string
	// Ask has a button, with which a person says that it is meant: to sign in to
	// Upstream, which is at Host, for Who ("" for the gateway itself).
	Ask                 bool
	Upstream, Host, Who string
}

// show writes a page.
func (p page) show(w http.ResponseWriter, status int) {
	var b strings.Builder
	if err := pageTemplate.Execute(&b, struct {
		page
		Style template.CSS
	}{p, template.CSS(pageStyle)}); err != nil { //nolint:gosec // our own
		plainText(w, http.StatusInternalServerError, "the page could not be made")
		return
	}
	pageHeaders(w)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(b.String())) // a browser that is gone reads nothing
}

// pageHeaders are those of all pages: what is in their addresses is for nobody else.
// The referrer policy is same-origin, since with no-referrer browsers send the form
// with the Origin null.
func pageHeaders(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
}

// pageBase is the address of what is beside the endpoint, as a person's browser
// reaches it, without a slash at the end; "" if it cannot: nothing is served, or only
// in a way in which no authorization server sends anybody back.
func (g *Gateway) pageBase() string {
	s := &g.cfg.Load().Server
	if u := g.guard.Load().public; u != nil {
		return publicBase(u, s.Path)
	}
	at := g.served.Load()
	if at == nil {
		return ""
	}
	host, port, err := net.SplitHostPort(*at)
	if err != nil {
		return ""
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	switch {
	case s.TLS.Enabled():
		return "https://" + net.JoinHostPort(host, port)
	case oauth.Loopback(host):
		return "http://" + net.JoinHostPort(host, port)
	}
	return ""
}

// publicBase is pageBase behind server.public_url, for an endpoint at path.
func publicBase(u *url.URL, path string) string {
	if u.Scheme != "https" && !oauth.Loopback(u.Hostname()) {
		return ""
	}
	before, ok := strings.CutSuffix(strings.TrimSuffix(u.Path, "/"), strings.TrimSuffix(path, "/"))
	if !ok {
		before = ""
	}
	return u.Scheme + "://" + u.Host + before
}

// page serves one of the pages: get shows it, post, which may be nil, is what its
// button does.
func (g *Gateway) page(get, post http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if why := g.guard.Load().refuses(r); why != "" {
			plainText(w, http.StatusForbidden, why)
			return
		}
		switch {
		case r.Method == http.MethodGet || r.Method == http.MethodHead:
			get(w, r)
		case r.Method == http.MethodPost && post != nil:
			post(w, r)
		case post != nil:
			w.Header().Set("Allow", "GET, HEAD, POST")
			plainText(w, http.StatusMethodNotAllowed, "use GET or POST")
		default:
			w.Header().Set("Allow", "GET, HEAD")
			plainText(w, http.StatusMethodNotAllowed, "use GET")
		}
	}
}
