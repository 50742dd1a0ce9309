package gateway

import (
	"net/url"

	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/oauth"
)

// clientName is what authorization servers show of the gateway.
const clientName = "Interlock"

// SignInTarget returns what is signed in to for an upstream, nil if there is nothing:
// it is a process, its flow is none, or credentials are configured in its headers or
// its url. The error is that of a file of its tls.
func SignInTarget(u *upstream.Config) (*oauth.Target, error) {
	at, err := url.Parse(u.URL)
	if u.Kind() == upstream.Stdio || u.Auth.Flow == oauth.NoFlow || err != nil {
		return nil, nil //nolint:nilerr // a url that cannot be parsed is told by the dialer
	}
	if u.Auth.Flow == "" && (at.User != nil || config.HasAuthorization(u.Headers)) {
		return nil, nil
	}
	conf, err := u.ClientTLS()
	if err != nil {
		return nil, err
	}
	at.User = nil
	if conf != nil {
		conf.Certificates = nil // they are for the server, not for where it sends us
	}
	guard := oauth.Guard(at.String(), u.Auth.Networks, oauth.GuardOptions{TLS: conf})
	return &oauth.Target{Upstream: u.Name, URL: at.String(), Config: u.Auth, Client: guard, Name: clientName}, nil
}

// WithAdded returns a configuration as a gateway that runs with it has it: with the
// upstreams that were added at run time, as path keeps them (AddedFile in state_dir).
// Those that are not valid any more are left out.
func WithAdded(files *config.Config, path string) (*config.Config, error) {
	o, err := openOverlay(path, files)
	if err != nil {
		return nil, err
	}
	cfg, _ := o.survivors(files)
	return cfg, nil
}
