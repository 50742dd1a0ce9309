package upstream

import (
	"crypto/tls"
	"net/http"
	"net/url"

	"github.com/interlock-mcp/interlock/upstream/oauth"
)

// SignInTarget is what is signed in to with OAuth: nil for an upstream with which that
// is not done, since it is a process, has flow none, or an Authorization of its own is
// configured. The error says which file of tls cannot be used. What is fetched trusts
// the upstream's own authorities, but its client certificate is for it alone.
func (c *Config) SignInTarget() (*oauth.Target, error) {
	if c.Kind() == Stdio || c.Auth.Flow == oauth.NoFlow || c.Auth.Flow == "" && c.authorized() {
		return nil, nil //nolint:nilnil // as it says
	}
	var o oauth.GuardOptions
	if c.TLS.CA != "" {
		conf, err := clientTLS(TLS{CA: c.TLS.CA})
		if err != nil {
			return nil, err
		}
		o.TLS = &tls.Config{MinVersion: conf.MinVersion, RootCAs: conf.RootCAs}
	}
	return &oauth.Target{
		Upstream: c.Name, URL: c.URL, Config: c.Auth, Client: oauth.Guard(c.URL, c.Auth.Networks, o), Name: "Interlock",
	}, nil
}

// authorized reports whether an Authorization is configured, also by a name in the url.
func (c *Config) authorized() bool {
	if u, err := url.Parse(c.URL); err == nil && u.User != nil {
		return true
	}
	for name := range c.Headers {
		if http.CanonicalHeaderKey(name) == "Authorization" {
			return true
		}
	}
	return false
}
