package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

// discovering is how long all requests of a discovery may take.
const discovering = time.Minute

// Discover finds out where tokens for a server come from: its protected resource
// metadata (RFC 9728) and that of its authorization server (RFC 8414, OpenID Connect
// Discovery), or the places of revision 2025-03-26 for servers without them. The
// header challenge is that of an answer 401 or 403; nil asks the server for one, with
// requests without a token. It blocks for a few requests, for a minute at most.
func Discover(ctx context.Context, t *Target, challenge http.Header) (*Discovery, error) {
	ctx, cancel := context.WithTimeout(ctx, discovering)
	defer cancel()
	if _, err := t.address(canonical(t.URL)); err != nil {
		return nil, fmt.Errorf("no sign-in to this upstream: %w", err)
	}
	asked := true
	if challenge == nil {
		var err error
		if challenge, asked, err = t.knock(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", redacted(t.URL), err)
		}
	}
	c := readChallenge(challenge)
	r, err := t.resource(ctx, c.metadata)
	if errors.Is(err, errNotThere) {
		if !asked {
			return nil, fmt.Errorf("%s asks for no sign-in: it answers without a token, and names no authorization server", redacted(t.URL))
		}
		return t.legacy(ctx, c.scopes)
	}
	if err != nil {
		return nil, err
	}
	issuer, err := t.issuer(r.AuthorizationServers)
	if err != nil {
		return nil, err
	}
	s, err := t.server(ctx, issuer)
	if err != nil {
		return nil, err
	}
	d := &Discovery{Resource: r.Resource, Scopes: c.scopes, Server: *s}
	if d.Scopes == nil {
		d.Scopes = union(r.ScopesSupported)
	}
	return d, nil
}

// issuer is the authorization server to use of those that a server relies on: the
// first, or the one of the configuration, which must be among them.
func (t *Target) issuer(named []string) (string, error) {
	pinned := t.Config.Issuer
	switch {
	case len(named) == 0 && pinned == "":
		return "", fmt.Errorf("%s names no authorization server (RFC 9728 section 2): set auth.issuer", redacted(t.URL))
	case len(named) == 0:
		return pinned, nil
	case pinned == "":
		return named[0], nil
	}
	for _, s := range named {
		if sameIssuer(s, pinned) {
			return s, nil
		}
	}
	return "", fmt.Errorf("%s relies on the authorization server %s now, and auth.issuer is %s: see that it is meant, then change auth.issuer", redacted(t.URL), clean(named[0]), pinned)
}

// server fetches an issuer's metadata from the first of its places that has some.
func (t *Target) server(ctx context.Context, issuer string) (*oauthex.AuthServerMeta, error) {
	u, err := t.address(issuer)
	if err != nil {
		return nil, fmt.Errorf("the authorization server that %s names: %w", redacted(t.URL), err)
	}
	if u.RawQuery != "" {
		return nil, fmt.Errorf("the authorization server %s has a query (RFC 8414 section 2)", clean(issuer))
	}
	var tried []string
	for _, place := range issuerPlaces(u) {
		var s oauthex.AuthServerMeta
		err := t.document(ctx, place, &s)
		if errors.Is(err, errNotThere) {
			tried = append(tried, place)
			continue
		}
		if err == nil {
			err = t.check(&s, issuer)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", place, err)
		}
		return &s, nil
	}
	return nil, fmt.Errorf("%s: %w that describes an authorization server, at %s", clean(issuer), errNotThere, strings.Join(tried, ", "))
}

// issuerPlaces are the addresses of an issuer's metadata, in the order of the MCP
// specification. The path of an issuer never means the root: it may be another tenant.
func issuerPlaces(issuer *url.URL) []string {
	at := func(path string) string {
		return (&url.URL{Scheme: issuer.Scheme, Host: issuer.Host, Path: path}).String()
	}
	path := strings.TrimSuffix(issuer.Path, "/")
	places := []string{at("/.well-known/oauth-authorization-server" + path), at("/.well-known/openid-configuration" + path)}
	if path != "" {
		places = append(places, at(path+"/.well-known/openid-configuration"))
	}
	return places
}

// check holds metadata to what is relied on, and leaves out of it what is not used.
func (t *Target) check(s *oauthex.AuthServerMeta, issuer string) error {
	if !sameIssuer(s.Issuer, issuer) { // RFC 8414 section 3.3: another issuer's would be a mix-up
		return fmt.Errorf("it is of the issuer %q, and not of %q", clean(s.Issuer), clean(issuer))
	}
	if s.TokenEndpoint == "" {
		return errors.New("it has no token_endpoint")
	}
	for _, e := range []struct{ name, address string }{
		{"token_endpoint", s.TokenEndpoint},
		{"authorization_endpoint", s.AuthorizationEndpoint},
		{"registration_endpoint", s.RegistrationEndpoint},
		{"revocation_endpoint", s.RevocationEndpoint},
	} {
		if e.address == "" {
			continue
		}
		if _, err := t.address(e.address); err != nil {
			return fmt.Errorf("%s: %w", e.name, err)
		}
	}
	s.ScopesSupported = union(s.ScopesSupported)
	s.JWKSURI, s.IntrospectionEndpoint, s.ServiceDocumentation, s.OpPolicyURI, s.OpTOSURI = "", "", "", "", ""
	return nil
}

// sameIssuer compares identifiers, but for one slash at the end: servers and their
// authorization servers often disagree about it. An iss is compared to the letter.
func sameIssuer(a, b string) bool {
	return strings.TrimSuffix(a, "/") == strings.TrimSuffix(b, "/")
}
