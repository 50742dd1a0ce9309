package oauth

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

const wellKnown = "/.well-known/oauth-protected-resource"

// resource fetches the server's protected resource metadata: from where its challenge
// says, else from the well-known places. errNotThere is wrapped if no place has any.
func (t *Target) resource(ctx context.Context, named string) (*oauthex.ProtectedResourceMetadata, error) {
	for _, place := range t.resourcePlaces(named) {
		if _, err := t.address(place); err != nil {
			return nil, fmt.Errorf("the metadata that the challenge of %s names: %w", redacted(t.URL), err)
		}
		var r oauthex.ProtectedResourceMetadata
		err := t.document(ctx, place, &r)
		if errors.Is(err, errNotThere) {
			continue
		}
		if err == nil && !covers(r.Resource, t.URL) {
			// RFC 9728 section 3.3: tokens for another server would come of it.
			err = fmt.Errorf("it is of the resource %q, and not of %q", clean(r.Resource), canonical(t.URL))
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", clean(place), err)
		}
		return &r, nil
	}
	return nil, errNotThere
}

func (t *Target) resourcePlaces(named string) []string {
	var places []string
	if named != "" {
		places = append(places, named)
	}
	u, err := url.Parse(canonical(t.URL))
	if err != nil {
		return places
	}
	root := u.Scheme + "://" + u.Host + wellKnown
	if path := strings.TrimSuffix(u.EscapedPath(), "/"); path != "" {
		places = append(places, root+path)
	}
	return append(places, root)
}

// covers tells whether a resource identifier is that of the server: the same address,
// or one above it on the same host. RFC 9728 wants the very address, but many servers
// name their host alone, and clients take that.
func covers(resource, server string) bool {
	r, err := url.Parse(resource)
	if err != nil || len(resource) > maxAddress || r.User != nil || r.Fragment != "" {
		return false
	}
	s, err := url.Parse(server)
	if err != nil {
		return false
	}
	if !strings.EqualFold(r.Scheme, s.Scheme) || !strings.EqualFold(r.Hostname(), s.Hostname()) || port(r) != port(s) {
		return false
	}
	if r.RawQuery != "" && r.RawQuery != s.RawQuery {
		return false
	}
	above, path := strings.TrimSuffix(r.EscapedPath(), "/"), strings.TrimSuffix(s.EscapedPath(), "/")
	return path == above || strings.HasPrefix(path, above+"/")
}

func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	return map[string]string{"http": "80", "https": "443"}[strings.ToLower(u.Scheme)]
}

// canonical is the identifier of a server that does not name its own: its address
// without what may be secret there.
func canonical(server string) string {
	u, err := url.Parse(server)
	if err != nil {
		return server
	}
	host := strings.ToLower(u.Hostname())
	if p := u.Port(); p != "" {
		host = net.JoinHostPort(host, p)
	} else if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return (&url.URL{Scheme: strings.ToLower(u.Scheme), Host: host, Path: u.Path, RawPath: u.RawPath}).String()
}

// redacted is an address as people may read it.
func redacted(address string) string { return clean(canonical(address)) }
