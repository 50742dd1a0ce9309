package oauth

import (
	"context"
	"errors"
	"net/url"

	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

// legacy is for servers without protected resource metadata, as revision 2025-03-26
// had them: the authorization server is at the root of the server's host, and without
// metadata its endpoints have fixed places. PKCE had to be supported.
func (t *Target) legacy(ctx context.Context, scopes []string) (*Discovery, error) {
	u, err := url.Parse(canonical(t.URL))
	if err != nil {
		return nil, err
	}
	root := u.Scheme + "://" + u.Host
	issuer := root
	if t.Config.Issuer != "" {
		issuer = t.Config.Issuer
	}
	s, err := t.server(ctx, issuer)
	switch {
	case errors.Is(err, errNotThere) && t.Config.Issuer == "":
		s = &oauthex.AuthServerMeta{
			Issuer: root, AuthorizationEndpoint: root + "/authorize", TokenEndpoint: root + "/token", RegistrationEndpoint: root + "/register",
			CodeChallengeMethodsSupported: []string{"S256"},
		}
	case err != nil:
		return nil, err
	}
	return &Discovery{Resource: canonical(t.URL), Scopes: scopes, Server: *s}, nil
}
