package oauth

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// checkRedirect is Guard's http.Client.CheckRedirect.
func checkRedirect(r *http.Request, via []*http.Request) error {
	first, last := via[0], via[len(via)-1]
	switch {
	case len(via) > maxRedirects:
		return &RefusedError{shown(r.URL), fmt.Sprintf("it is the redirect after %d others", maxRedirects)}
	case first.Method != http.MethodGet && first.Method != http.MethodHead:
		// 307 and 308 would send codes and secrets on to wherever they lead.
		return &RefusedError{shown(r.URL), "redirects of " + first.Method + " are not followed"}
	case last.URL.Scheme == "https" && r.URL.Scheme != "https":
		return &RefusedError{shown(r.URL), "it is a redirect from https to " + r.URL.Scheme}
	}
	return nil
}

// bounded is a body that ends with an error after a number of bytes.
type bounded struct {
	io.ReadCloser
	left int64
}

var errTooLarge = errors.New("the answer is larger than 1 MiB")

func (b *bounded) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, errTooLarge
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1] // one more tells a body that ends here from one that goes on
	}
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return n - 1, errTooLarge
	}
	return n, err
}

// isLoopback tells whether a host of a URL says itself that it is this machine.
func isLoopback(host string) bool {
	host = bare(host)
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Unmap().IsLoopback()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// shown is a URL as errors show it: no user, query or fragment, which may be secret.
func shown(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Opaque: u.Opaque, Host: u.Host, Path: u.Path}).String()
}

// plainly is an error of http.Client without the address in it, whose query may be
// secret: the code of a redirect.
func plainly(err error) error {
	if u := (*url.Error)(nil); errors.As(err, &u) {
		return u.Err
	}
	return err
}
