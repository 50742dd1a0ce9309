package oauth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/oauth2"
)

// errNoRevocation says that an issuer has no way to be told.
var errNoRevocation = errors.New("it has no revocation endpoint")

// revoke tells the issuer of an account that its tokens are not used any more (RFC
// 7009): the refresh token, which takes the access tokens with it, then the access
// token for issuers where it does not.
func (t *Target) revoke(ctx context.Context, a *Account) error {
	if a.RevocationEndpoint == "" {
		return errNoRevocation
	}
	if _, err := t.address(a.RevocationEndpoint); err != nil {
		return fmt.Errorf("its revocation endpoint: %w", err)
	}
	var failed error
	for _, tok := range []struct {
		value Secret
		hint  string
	}{{a.RefreshToken, "refresh_token"}, {a.AccessToken, "access_token"}} {
		if tok.value == "" {
			continue
		}
		form := url.Values{"token": {string(tok.value)}, "token_type_hint": {tok.hint}}
		if err := t.tellRevoked(ctx, a, form); err != nil && failed == nil {
			failed = err
		}
	}
	return failed
}

// tellRevoked makes one request. An issuer that does not know the token, or does not
// revoke tokens of its kind, has nothing to revoke (RFC 7009 section 2.2).
func (t *Target) tellRevoked(ctx context.Context, a *Account, form url.Values) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	g := grant{target: t, client: t.client(a.Client), endpoint: a.RevocationEndpoint, params: form}
	c, err := g.request() // the client proves who it is as in token requests
	if err != nil {
		return err
	}
	form = c.EndpointParams
	form.Del("grant_type")
	if c.AuthStyle == oauth2.AuthStyleInParams {
		form.Set("client_id", c.ClientID)
		if c.ClientSecret != "" {
			form.Set("client_secret", c.ClientSecret)
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.RevocationEndpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return plain(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if c.AuthStyle == oauth2.AuthStyleInHeader {
		req.SetBasicAuth(url.QueryEscape(c.ClientID), url.QueryEscape(c.ClientSecret))
	}
	resp, err := t.still().Do(req)
	if err != nil {
		return plain(err)
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10) // nothing of it is of use
	if resp.StatusCode/100 != 2 && resp.StatusCode != http.StatusBadRequest {
		return fmt.Errorf("%s answered %d", a.RevocationEndpoint, resp.StatusCode)
	}
	return nil
}
